"""The API's description: the OpenAPI document, and a page that shows it to people."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from reviews.api.site import api

START = "/api/v1/"


@cache
def describe_api() -> dict[str, Any]:
    """Return the OpenAPI document; it says nothing about this installation."""
    return dict(api.get_openapi_schema(path_prefix=START))


@login_not_required
@require_safe
def openapi(_request: HttpRequest) -> JsonResponse:
    """Answer with the OpenAPI document, to whoever asks: tools read it before they have a token."""
    return JsonResponse(describe_api())


@require_safe
def reference(request: HttpRequest) -> HttpResponse:
    """Show every operation by subject, without a script and without anything from elsewhere."""
    return render(request, "reviews/api_reference.html", {"subjects": list_subjects()})


@cache
def list_subjects() -> list[tuple[str, list[dict[str, Any]]]]:
    """Return the operations by their subject, in the order of the document."""
    subjects: dict[str, list[dict[str, Any]]] = {}
    schemas = describe_api()["components"]["schemas"]
    for path, methods in describe_api()["paths"].items():
        for method, operation in methods.items():
            shown = _show(path, method, operation, schemas)
            subjects.setdefault(operation["tags"][0], []).append(shown)
    return list(subjects.items())


def _show(
    path: str, method: str, operation: dict[str, Any], schemas: dict[str, Any]
) -> dict[str, Any]:
    fields = [{**each, "words": _words(each["schema"])} for each in operation.get("parameters", [])]
    content = operation.get("requestBody", {}).get("content", {})
    name = content.get("application/json", {}).get("schema", {}).get("$ref", "").rpartition("/")[2]
    body = schemas.get(name, {})
    return {
        "id": operation["operationId"],
        "method": method.upper(),
        "path": path,
        "summary": operation["summary"],
        "description": operation.get("description", ""),
        "fields": fields,
        "body": [
            {
                "name": field,
                "words": _words(schema),
                "description": schema.get("description", ""),
                "required": field in body.get("required", []),
            }
            for field, schema in body.get("properties", {}).items()
        ],
        "answers": sorted(operation["responses"], key=str),
    }


def _words(schema: dict[str, Any]) -> str:
    """Return what values a schema takes, in a few words."""
    if "anyOf" in schema:
        return " or ".join(_words(each) for each in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(str(each) for each in schema["enum"])
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if schema.get("type") == "array":
        return f"list of {_words(schema['items'])}"
    return str(schema.get("format") or schema.get("type") or "any")
