"""Messages as files in a folder: what carries wake-ups where there is no Redis.

kombu's own transport of this kind leaves parts of messages on a full disk, and stops at them.
Here a message appears once it is whole, and one that can't be read is dropped: it was but a
wake-up. Who listens to which queue is known to each process, for all name queues the same.
"""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from queue import Empty
from typing import Any
from uuid import uuid4

from kombu.exceptions import ChannelError
from kombu.transport import TRANSPORT_ALIASES, virtual
from kombu.utils.json import dumps, loads

from audit.durable_files import write_whole

logger = logging.getLogger(__name__)
SCHEME = "folder"
WAITING = ".message"


class Channel(virtual.Channel):
    """One reader or writer of the folder; bindings of queues are kept in memory."""

    supports_fanout = False

    @property
    def _folder(self) -> Path:
        options: Any = self.connection.client.transport_options  # type: ignore[union-attr]
        return Path(options["folder"])

    def _folder_of(self, queue: str) -> Path:
        folder = self._folder / queue
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _put(self, queue: str, message: Any, **_: Any) -> None:
        # In the order of their arrival, as names are sorted.
        path = self._folder_of(queue) / f"{time.monotonic_ns():020d}-{uuid4()}{WAITING}"
        try:
            write_whole(path, [dumps(message).encode()])
        except OSError as error:
            reason = f"no message can be written to {self._folder}: {error.strerror}"
            raise ChannelError(reason) from error

    def _get(self, queue: str, timeout: float | None = None) -> Any:  # noqa: ARG002 - kombu's
        for path in self._waiting(queue):
            taken = path.with_suffix(f".{os.getpid()}")
            try:
                path.rename(taken)
            except FileNotFoundError:
                continue  # somebody else was quicker
            content = taken.read_bytes()
            taken.unlink()
            try:
                return loads(content.decode())
            except ValueError:
                logger.warning("dropped a message that can't be read: %s", path)
        raise Empty

    def _waiting(self, queue: str) -> list[Path]:
        return sorted(self._folder_of(queue).glob(f"*{WAITING}"))

    def _size(self, queue: str) -> int:
        return len(self._waiting(queue))

    def _purge(self, queue: str) -> int:
        waiting = self._waiting(queue)
        for path in waiting:
            path.unlink(missing_ok=True)
        return len(waiting)


class Transport(virtual.Transport):
    """Messages as files, a folder for each queue."""

    Channel = Channel
    driver_type = driver_name = SCHEME
    default_port = 0
    global_state = virtual.BrokerState()
    implements = virtual.Transport.implements.extend(
        asynchronous=False, exchange_type=frozenset(["direct"])
    )

    def __init__(self, client: Any, **options: Any) -> None:
        super().__init__(client, **options)
        self.state = self.global_state

    def driver_version(self) -> str:
        return "1"


TRANSPORT_ALIASES[SCHEME] = f"{__name__}:Transport"
