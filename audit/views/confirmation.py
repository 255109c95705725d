"""What gives or takes power is done by somebody who gave their password a short while ago."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from audit.views.addresses import find_page

CONFIRMED_SECONDS = 15 * 60
Given = ParamSpec("Given")


def needs_confirmation(
    view: Callable[Concatenate[HttpRequest, Given], HttpResponse],
) -> Callable[Concatenate[HttpRequest, Given], HttpResponse]:
    """Send whoever logged in or confirmed long ago to the page that asks for their password.

    They come back to the page they were on; nothing was done yet.
    """

    @wraps(view)
    def ask_first(
        request: HttpRequest, /, *args: Given.args, **kwargs: Given.kwargs
    ) -> HttpResponse:
        if is_confirmed(request):
            return view(request, *args, **kwargs)
        if request.method not in {"GET", "HEAD"}:
            messages.info(request, "Nothing has been done yet: confirm first, then send it again.")
        address = f"{reverse('confirm')}?{urlencode({'next': find_page(request)})}"
        if request.headers.get("HX-Request"):
            return HttpResponse(status=204, headers={"HX-Redirect": address})
        return redirect(address)

    return ask_first


def is_confirmed(request: HttpRequest) -> bool:
    """Whether the person gave their password within the last quarter of an hour."""
    confirmed_at: int = request.session.get("confirmed_at", 0)
    return 0 <= time.time() - confirmed_at < CONFIRMED_SECONDS


def note_confirmed(request: HttpRequest) -> None:
    """Remember that the person has just given their password, under a new session key."""
    request.session.cycle_key()
    request.session["confirmed_at"] = int(time.time())


def local_address(request: HttpRequest, address: str) -> str:
    """Return an address of this site as it is, and the start page in place of any other."""
    is_local = url_has_allowed_host_and_scheme(
        address, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return address if is_local else "/"
