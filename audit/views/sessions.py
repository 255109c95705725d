"""Log-ins end: twelve hours after they began, or where nobody has done anything for a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse

NOTED_EVERY = 300  # seconds: so often a session is written at most
# What an open page asks for by itself says nothing of a person in front of it.
ASKED_BY_PAGES = {"heartbeat", "release_list", "cascade_list"}


class EndSessions:
    """Middleware: whoever's log-in has run out is nobody. Must stand before what asks who it is."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], _args: Any, _kwargs: Any
    ) -> None:
        if not getattr(view, "login_required", True) or not request.user.is_authenticated:
            return
        now = int(time.time())
        begun, seen = (request.session.get(name, 0) for name in ("begun_at", "seen_at"))
        if now - begun > settings.SESSION_COOKIE_AGE or now - seen > settings.IDLE_SECONDS:
            logout(request)
        elif now - seen > NOTED_EVERY and not is_asked_by_page(request):
            request.session["seen_at"] = now


def is_asked_by_page(request: HttpRequest) -> bool:
    """Whether the page asks for it again and again, with nobody at the machine."""
    name = (request.resolver_match and request.resolver_match.url_name) or ""
    return name in ASKED_BY_PAGES or name.endswith("_progress")
