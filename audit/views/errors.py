"""What is answered when something broke: 503 while the database is away, else 500."""

from __future__ import annotations

import sys

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseServerError, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string

RETRY_AFTER_SECONDS = 5


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
        if "password" not in name and name != "csrfmiddlewaretoken"
        for text in texts
        if any(sign.isalpha() for sign in text)
    ]
    return render(request, "403_csrf.html", {"written": written}, status=403)
