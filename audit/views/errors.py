"""What is answered instead of a page: what was too much, what can't be read, what broke."""

from __future__ import annotations

import sys
from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.db import InterfaceError, OperationalError
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseServerError,
    JsonResponse,
)
from django.shortcuts import render
from django.template.loader import render_to_string

RETRY_AFTER_SECONDS = 5

NOT_WRITTEN = {"csrfmiddlewaretoken", "act", "next"}  # what a form says by itself
TOO_MUCH = (RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer what Django refuses before a view reads it: 413 with the limits for too much of it."""
    if request.method == "GET" or not isinstance(exception, TOO_MUCH):
        return render(request, "400.html", status=400)
    most = {
        "megabytes": settings.DATA_UPLOAD_MAX_MEMORY_SIZE // 1_000_000,
        "fields": settings.DATA_UPLOAD_MAX_NUMBER_FIELDS,
    }
    return render(request, "413.html", most, status=413)


class NameRefusedMethods:
    """Middleware: whoever opens an address that only takes forms reads so, on a page."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        answer = self.get_response(request)
        if (
            isinstance(answer, HttpResponseNotAllowed)
            and request.method == "GET"
            and "text/html" in request.headers.get("Accept", "")
        ):
            answer.content = render_to_string("405.html", request=request)
        return answer


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer a request that raised; called while the exception is being handled.

    Pages here know no user: looking one up would ask the database again.
    """
    if isinstance(sys.exception(), OperationalError | InterfaceError):
        again = RETRY_AFTER_SECONDS if request.method == "GET" else 0
        page = render_to_string("503.html", {"again_after": again})
        return HttpResponse(page, status=503, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})
    return HttpResponseServerError(render_to_string("500.html"))


def api_error(_request: HttpRequest) -> JsonResponse:
    """Answer a request to the API that raised, in the API's one shape."""
    if isinstance(sys.exception(), OperationalError | InterfaceError):
        refusal = {"code": "unavailable", "message": "the database is away; try again"}
        again = {"Retry-After": str(RETRY_AFTER_SECONDS)}
        return JsonResponse(refusal, status=503, headers=again)
    refusal = {"code": "internal", "message": "something broke here; it is in the log"}
    return JsonResponse(refusal, status=500)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:  # noqa: ARG001
    """Answer a form whose token has gone, with what was written in it: nothing of that is lost.

    Only where the browser says that the form was one of ours: whoever else sends one can't have
    their words shown here.
    """
    is_ours = request.headers.get("Sec-Fetch-Site") == "same-origin"
    written = [
        (name.replace("_", " "), text)
        for name, texts in (request.POST.lists() if is_ours else ())
        if "password" not in name and name not in NOT_WRITTEN
        for text in texts
        if any(sign.isalpha() for sign in text)
    ]
    return render(request, "403_csrf.html", {"written": written}, status=403)
