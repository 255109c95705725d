"""Addresses with numbers that no row can have: nothing is there, on either database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse

LARGEST = 2**63 - 1


class NumbersOfRows:
    """Middleware: a number in an address that is larger than the database counts answers 404.

    SQLite and PostgreSQL refuse to look for one, each by an error of its own.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self,
        _request: HttpRequest,
        _view: Callable[..., HttpResponse],
        _arguments: tuple[Any, ...],
        named: dict[str, Any],
    ) -> None:
        if any(type(value) is int and value > LARGEST for value in named.values()):
            raise Http404("no row has so large a number")
