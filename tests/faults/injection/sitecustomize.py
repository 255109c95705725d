"""Loaded by every Python process whose PYTHONPATH names this folder: breaks what it is told to.

FAULT_AT_ITEM=kill|abort|segfault|memory|hang|exit|interrupt|generator: what happens to a process
whose stub expert is given the marked picture (its first pixel is 1, 2, 3).
FAULT_AT_COMMIT=FILE: once the file is there, the process that next commits a transaction removes it
and is killed, before or after the commit, as the file says.
FAULT_AT_CHUNK=FILE: the same for the process that next finishes a chunk.
FAULT_SLOW=milliseconds: what a stub expert takes longer for each input, whatever its name says.
FAULT_VISIBILITY=seconds: after so long without an answer Redis hands a message out again.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

MARK = (1, 2, 3)


def out_of_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, resource.RLIM_INFINITY))
    bytearray(1 << 31)


def hang() -> None:
    while True:
        pass


def raise_error(error: BaseException) -> None:
    raise error


FAULTS = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "abort": os.abort,
    "segfault": lambda: ctypes.string_at(0),
    "memory": out_of_memory,
    "hang": hang,
    "exit": lambda: raise_error(SystemExit(3)),
    "interrupt": lambda: raise_error(KeyboardInterrupt()),
    "generator": lambda: raise_error(GeneratorExit()),
}


def poison(name: str) -> None:
    from scoring.experts.stub_expert import StubExpert

    healthy = StubExpert.predict

    def predict(self: Any, inputs: Sequence[Any]) -> Any:
        if any(image.getpixel((0, 0)) == MARK for image in inputs):
            FAULTS[name]()
        return healthy(self, inputs)

    StubExpert.predict = predict  # type: ignore[method-assign]


def slow_down(milliseconds: float) -> None:
    from scoring.experts.stub_expert import StubExpert

    quick = StubExpert.predict

    def predict(self: Any, inputs: Sequence[Any]) -> Any:
        time.sleep(milliseconds / 1000 * len(inputs))
        return quick(self, inputs)

    StubExpert.predict = predict  # type: ignore[method-assign]


def take(flag: Path) -> str:
    """Return what a file says and remove it, nothing if it isn't there."""
    moment = ""
    with suppress(FileNotFoundError):
        moment = flag.read_text()
        flag.unlink()
    return moment


def kill_around(moment: str, act: Callable[[], Any]) -> Any:
    if moment == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    done = act()
    if moment == "after":
        os.kill(os.getpid(), signal.SIGKILL)
    return done


def kill_at_commit(flag: Path) -> None:
    from django.db.backends.base.base import BaseDatabaseWrapper

    healthy = BaseDatabaseWrapper.commit

    def commit(self: Any) -> None:
        kill_around(take(flag), lambda: healthy(self))

    BaseDatabaseWrapper.commit = commit


def kill_at_chunk(flag: Path) -> None:
    from django.db.models.query import QuerySet

    healthy = QuerySet.update

    def update(self: Any, **changes: Any) -> int:
        moment = take(flag) if changes.get("work") == "done" and "shard" in changes else ""
        n_changed: int = kill_around(moment, lambda: healthy(self, **changes))
        return n_changed

    QuerySet.update = update


def shorten_visibility(seconds: float) -> None:
    from kombu.transport.redis import Channel

    options = Channel.from_transport_options
    Channel.from_transport_options = tuple(o for o in options if o != "visibility_timeout")
    Channel.visibility_timeout = seconds


if os.environ.get("FAULT_AT_ITEM"):
    poison(os.environ["FAULT_AT_ITEM"])
if os.environ.get("FAULT_SLOW"):
    slow_down(float(os.environ["FAULT_SLOW"]))
if os.environ.get("FAULT_VISIBILITY"):
    shorten_visibility(float(os.environ["FAULT_VISIBILITY"]))
if os.environ.get("FAULT_AT_COMMIT"):
    kill_at_commit(Path(os.environ["FAULT_AT_COMMIT"]))
if os.environ.get("FAULT_AT_CHUNK"):
    kill_at_chunk(Path(os.environ["FAULT_AT_CHUNK"]))
