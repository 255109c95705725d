"""What this thread is busy with, so that whatever is logged meanwhile says so.

A web request has an id that its answer and its error page carry too; a worker names the audit,
score set or chunk in hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_busy_with: ContextVar[dict[str, str]] = ContextVar("busy_with")


def begin_request(number: str) -> None:
    """Note the request that this thread answers.

    Two functions in place of a context manager: Django logs an answer after all middleware.
    """
    _busy_with.set({"request": number})


def end_request() -> None:
    """Forget the request."""
    _busy_with.set({})


@contextmanager
def busy_with(**work: object) -> Iterator[None]:
    """Name work, such as ``chunk=7``, in all that is logged while the block lasts."""
    token = _busy_with.set(_busy_with.get({}) | {name: str(value) for name, value in work.items()})
    try:
        yield
    finally:
        _busy_with.reset(token)


def current_work() -> dict[str, str]:
    """Return what this thread is busy with, by kind: ``request``, ``audit``, ``chunk``, ..."""
    return _busy_with.get({})
