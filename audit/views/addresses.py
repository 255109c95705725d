"""Addresses: numbers that no row can have, and the page that a form was sent from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from django.http import Http404, HttpRequest, HttpResponse

LARGEST = 2**63 - 1


def find_page(request: HttpRequest) -> str:
    """Return the page to come back to: this one, or the one that sent the form.

    Where a form goes to often shows no page of its own.
    """
    if request.method in {"GET", "HEAD"}:
        return request.get_full_path()
    told = urlsplit(request.headers.get("Referer", ""))
    same_site = told.netloc == request.get_host()
    return (f"{told.path}?{told.query}" if told.query else told.path) if same_site else "/"


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
