"""The way into the API: its addresses are loaded by the first request for them, and by no other."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.utils.cache import patch_vary_headers

START = "/api/"


class ApiDoor:
    """Middleware: requests under /api/ are looked up among addresses of their own.

    What serves the API weighs some 16 MB in a process; a process that serves pages alone does
    without. Stands before whatever looks at addresses.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path_info.startswith(START):
            return self.get_response(request)
        request.urlconf = "audit.config.api_urls"
        response = self.get_response(request)
        if isinstance(response, HttpResponseNotAllowed):
            response = refuse_method(response)
        patch_vary_headers(response, ["Authorization"])
        # Whose answer it is depends on the token: no cache between may keep it.
        how = "private, no-cache" if response.has_header("ETag") else "private, no-store"
        response.setdefault("Cache-Control", how)
        return response


def refuse_method(response: HttpResponse) -> JsonResponse:
    """Return a 405 in the API's words."""
    allowed = response["Allow"]
    refusal = {"code": "method_not_allowed", "message": f"this address takes {allowed}"}
    return JsonResponse(refusal, status=405, headers={"Allow": allowed})
