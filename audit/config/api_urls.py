"""Addresses of requests under /api/: the API's own, and every page's, so that they can be named."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.urls import include, path

from audit.config.urls import urlpatterns as pages

handler400 = "audit.config.api_urls.bad_request"
handler403 = "audit.config.api_urls.forbidden"
handler404 = "audit.config.api_urls.not_found"
handler500 = "audit.views.errors.api_error"
urlpatterns = [path("api/v1/", include("reviews.api.urls")), *pages]


def bad_request(_request: HttpRequest, **_: Exception) -> JsonResponse:
    """Answer what Django refuses before anybody reads it: a wrong host, too many fields."""
    refusal = {"code": "bad_request", "message": "the request can't be read"}
    return JsonResponse(refusal, status=400)


def forbidden(_request: HttpRequest, **_: Exception) -> JsonResponse:
    """Answer what Django itself doesn't allow."""
    return JsonResponse({"code": "forbidden", "message": "not allowed"}, status=403)


def not_found(_request: HttpRequest, **_: Exception) -> JsonResponse:
    """Answer an address that there isn't."""
    refusal = {"code": "not_found", "message": "there is nothing here, or nothing for you"}
    return JsonResponse(refusal, status=404)
