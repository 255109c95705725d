"""Log-ins end: twelve hours after they began, or where nobody has done anything for a while.

Whoever comes without one is asked for it, and led back.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from audit.views.addresses import find_page

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


class AskForLogIn(LoginRequiredMiddleware):
    """Middleware: a view is for people who are logged in, unless it says otherwise.

    Whoever's log-in ran out with a form open comes back to the form, and reads that it wasn't sent.
    """

    def handle_no_permission(
        self, request: HttpRequest, view_func: Callable[..., Any]
    ) -> HttpResponseRedirect:
        page = find_page(request)
        is_form = request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate"
        if request.method == "POST" and is_form:
            messages.info(
                request, "Your log-in has ended: nothing was done. Log in, then do it again."
            )
        return redirect_to_login(page, self.get_login_url(view_func))


def is_asked_by_page(request: HttpRequest) -> bool:
    """Whether the page asks for it again and again, with nobody at the machine."""
    name = (request.resolver_match and request.resolver_match.url_name) or ""
    return name in ASKED_BY_PAGES or name.endswith("_progress")
