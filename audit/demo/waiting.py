"""Waiting for the worker or the web site of the demonstration."""

from __future__ import annotations

import time
from collections.abc import Callable

from django.core.management.base import CommandError

from audit.processes import Child

WAIT_SECONDS = 600


def wait_until(
    is_over: Callable[[], bool],
    what: str,
    engine: Child | None = None,
    *,
    seconds: float = WAIT_SECONDS,
) -> None:
    """Wait for ``what``, starting a worker again that was killed."""
    deadline = time.monotonic() + seconds
    while not is_over():
        if engine is not None and not engine.is_running:
            engine.start_again()
        if time.monotonic() > deadline:
            raise CommandError(f"{what} took more than {seconds:.0f} seconds")
        time.sleep(0.1)
