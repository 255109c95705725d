"""SQLite whose writers take turns: a transaction waits for its turn before it begins.

SQLite itself lets writers poll, for up to a tenth of a second at a time, and whoever polls at the
right moment wins: of sixteen busy writers some starve until they give up with "database is
locked". Here the threads of a process queue up for a lock, and the first of each process for a
lock on a file beside the database, which the system takes back from processes that die.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections import defaultdict, deque
from typing import Any

from django.db.backends.sqlite3 import base
from django.db.utils import OperationalError

PATIENCE_SECONDS = 20.0
BETWEEN_LOOKS = 0.0005
TOO_LONG = "database is locked: no turn to write came"


class Line:
    """Threads that wait in line: who gives back hands over to whoever has waited longest."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._is_taken = False

    def take(self, patience: float) -> bool:
        """Wait for the turn; False when it takes too long."""
        with self._guard:
            if not self._is_taken:
                self._is_taken = True
                return True
            called = threading.Lock()
            called.acquire()
            self._waiting.append(called)
        if called.acquire(timeout=patience):
            # Somebody in another process may wait for the file: let them look first.
            time.sleep(2 * BETWEEN_LOOKS)
            return True
        with self._guard:
            if called in self._waiting:
                self._waiting.remove(called)
                return False
        return True  # called at the last moment

    def give_back(self) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._is_taken = False


_lines: defaultdict[str, Line] = defaultdict(Line)
_handles: set[int] = set()


def _forget_after_fork() -> None:
    """Let a child begin with nobody in line, and without its parent's turn."""
    _lines.clear()
    for handle in _handles:
        os.close(handle)
    _handles.clear()


os.register_at_fork(after_in_child=_forget_after_fork)


class Turn:
    """One writer's turn on one database, from `take` to `give_back`."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._line: Line | None = None
        self._handle = -1

    def take(self, patience: float = PATIENCE_SECONDS) -> None:
        """Wait for the turn; OperationalError when it takes too long."""
        deadline = time.monotonic() + patience
        line = _lines[self._path]
        if not line.take(patience):
            raise OperationalError(TOO_LONG)
        self._line = line
        try:
            self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            self.give_back()
            raise OperationalError(f"no turn to write: {error}") from error
        _handles.add(self._handle)
        while not self._is_first():
            if time.monotonic() > deadline:
                self.give_back()
                raise OperationalError(TOO_LONG)
            time.sleep(BETWEEN_LOOKS)

    def _is_first(self) -> bool:
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def give_back(self) -> None:
        """End the turn, if it is one."""
        handle, self._handle = self._handle, -1
        line, self._line = self._line, None
        if handle in _handles:  # closed already where the process was forked meanwhile
            _handles.discard(handle)
            fcntl.flock(handle, fcntl.LOCK_UN)  # a child may hold a copy of it
            os.close(handle)
        if line is not None:
            line.give_back()


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection to SQLite that writes in turn.

    What it overrides is Django's own but missing from the type stubs, hence the ignored lines.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._turn: Turn | None = None

    def _start_transaction_under_autocommit(self) -> None:
        if not self.is_in_memory_db():
            self._turn = Turn(f"{self.settings_dict['NAME']}-turn")
            self._turn.take()
        try:
            super()._start_transaction_under_autocommit()  # type: ignore[misc]
        except BaseException:
            self._end_turn()
            raise

    def _commit(self) -> None:
        super()._commit()  # type: ignore[misc]
        # Only now: one that fails is rolled back in the same turn.
        self._end_turn()

    def _rollback(self) -> None:
        try:
            super()._rollback()  # type: ignore[misc]
        finally:
            self._end_turn()

    def _close(self) -> None:
        try:
            super()._close()  # type: ignore[misc]
        finally:
            self._end_turn()

    def _end_turn(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.give_back()
