"""Requests that lost against another one in the database are tried again before anybody is told."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

from django.db import OperationalError, connection
from django.http import HttpRequest, HttpResponse

MOST_RETRIES = 3
FIRST_PAUSE = 0.02  # seconds; doubled for each further try
# PostgreSQL's serialization_failure and deadlock_detected: the same request may well succeed.
CONFLICTS = frozenset({"40001", "40P01"})


class RetryConflicts:
    """Middleware: a view that fails for a conflict runs again, three times at most, then 503.

    The database has rolled the transaction back, and every change is one transaction or guarded
    by its key, so nothing happens twice. Must stand last: the middlewares before it see one view.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self,
        request: HttpRequest,
        view: Callable[..., HttpResponse],
        arguments: tuple[Any, ...],
        named: dict[str, Any],
    ) -> HttpResponse:
        for tried in range(MOST_RETRIES):
            try:
                return view(request, *arguments, **named)
            except OperationalError as error:
                if not is_conflict(error) or connection.in_atomic_block:
                    raise
                # Those who collided must not come back in step.
                pause = FIRST_PAUSE * 2**tried
                time.sleep(random.uniform(pause / 2, pause))  # noqa: S311 - not a secret
        return view(request, *arguments, **named)


def is_conflict(error: OperationalError) -> bool:
    """Whether PostgreSQL ended the transaction in favour of another one."""
    return getattr(error.__cause__, "sqlstate", None) in CONFLICTS
