"""Child processes of the embedded stack: started together, watched, stopped without leftovers."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

logger = logging.getLogger(__name__)

PR_SET_PDEATHSIG = 1
PATIENCE_SECONDS = 20
# A child that dies faster than this is broken, not unlucky: wait longer before the next start.
QUICK_DEATH_SECONDS = 5


@dataclass(slots=True)
class Child:
    """A command that is kept running."""

    name: str
    command: Sequence[str]
    restart: bool = True
    is_wanted: bool = True
    is_stopping: bool = False
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    not_before: float = 0.0
    deaths: int = 0

    def start(self) -> None:
        # A session of its own: Ctrl-C reaches this process only, which then stops its children
        # in order. PDEATHSIG: they don't outlive it even when it is killed.
        self.process = subprocess.Popen(  # noqa: S603 - our own commands, no shell
            list(self.command),
            env={**os.environ, **self.environment},
            start_new_session=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - the parent is single-threaded here
        )
        self.started_at = time.monotonic()
        self.is_stopping = False

    def start_again(self) -> bool:
        """Start a child that ended, later and later if it keeps dying at once; say if it did."""
        now = time.monotonic()
        if self.not_before == 0.0:
            quick = now - self.started_at < QUICK_DEATH_SECONDS
            self.deaths = self.deaths + 1 if quick else 0
            self.not_before = now + (min(2.0**self.deaths, 30.0) if quick else 0.1)
            logger.warning("%s ended, it is started again", self.name)
        if now < self.not_before:
            return False
        self.not_before = 0.0
        self.start()
        return True

    def pause(self) -> None:
        """Ask a running child to stop; it is started again once it is wanted."""
        if self.is_running and self.process is not None and not self.is_stopping:
            self.process.terminate()
            self.is_stopping = True

    def restart_soon(self) -> None:
        """End a child that does nothing any more; it is started again."""
        if self.is_running and self.process is not None:
            self.signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=2)
            except subprocess.TimeoutExpired:
                self.signal(signal.SIGKILL)

    def family(self) -> list[int]:
        """Return the ids of the child's own children (Linux; elsewhere none are known)."""
        if self.process is None:
            return []
        try:
            listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        except OSError:
            return []
        return [int(pid) for pid in listed.split()]

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def signal(self, number: int) -> None:
        """Send a signal to the child and whatever it has started."""
        if self.process is not None:
            try:
                os.killpg(self.process.pid, number)
            except ProcessLookupError:
                return


def die_with_parent() -> None:
    """Ask the kernel to end this process when its parent ends (Linux; elsewhere nothing)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Stop(Exception):  # noqa: N818 - a request, not an error
    """Somebody asked this process to stop."""


def raise_stop(_number: int, _frame: FrameType | None) -> None:
    """Turn SIGTERM and SIGINT into an exception that unwinds the main loop."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise Stop


def keep_running(
    children: Sequence[Child],
    *,
    every: float,
    tick: Callable[[], bool],
    on_restart: Callable[[], None] = lambda: None,
) -> int:
    """Run the children until a signal comes, `tick` returns False or one that may not die dies.

    `tick` is called about every `every` seconds. Returns the exit code for this process.
    """
    signal.signal(signal.SIGTERM, raise_stop)
    signal.signal(signal.SIGINT, raise_stop)
    try:
        for child in children:
            child.start()
        while tick():
            for child in children:
                if not child.is_wanted:
                    child.pause()
                elif child.is_running:
                    continue
                elif not child.restart:
                    return 1
                elif child.start_again():
                    on_restart()
            time.sleep(every)
    except Stop:
        return 0
    finally:
        stop_all(children)
    return 0


def stop_all(children: Sequence[Child]) -> None:
    """Ask every child to stop, wait, then end what is left of it."""
    for child in children:
        if child.is_running and child.process is not None:
            child.process.terminate()
    deadline = time.monotonic() + PATIENCE_SECONDS
    for child in children:
        if child.process is None:
            continue
        try:
            child.process.wait(timeout=max(deadline - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            logger.warning("%s did not stop in %s seconds", child.name, PATIENCE_SECONDS)
        child.signal(signal.SIGKILL)
        child.process.wait()


def manage_command(*arguments: str) -> list[str]:
    """Return the command line of one of our management commands."""
    manage = Path(__file__).resolve().parents[1] / "manage.py"
    return [sys.executable, str(manage), *arguments]
