"""What the API answers instead of what was asked for: one shape, {code, message, row?, col?}."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django import forms
from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from ninja import NinjaAPI, Schema
from ninja.errors import AuthenticationError, HttpError, ValidationError
from pydantic import Field


class Problem(Schema):
    """Why a request was refused. `code` is for programs, `message` for people."""

    code: str = Field(examples=["not_found"])
    message: str
    row: int | None = Field(None, description="Of a file: the row that is wrong, from 1.")
    col: str | None = Field(None, description="Of a file: the column; of a request: the field.")


class ApiError(Exception):
    """A refusal on its way to the client."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        row: int | None = None,
        col: str | None = None,
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        where = {name: value for name, value in (("row", row), ("col", col)) if value is not None}
        self.content = {"code": code, "message": message, **where, **more}


def check_form(form: forms.Form) -> None:
    """Refuse what the page's own form refuses, with its first reason."""
    if not form.is_valid():
        field, reasons = next(iter(form.errors.items()))
        where = None if field == "__all__" else field
        raise ApiError(422, "invalid", f"{where or 'body'}: {reasons[0]}", col=where)


def refuse(error: ApiError) -> JsonResponse:
    """Return the answer that says so."""
    return JsonResponse(error.content, status=error.status)


def refuse_values(error: ValidationError) -> JsonResponse:
    """Return the first thing that is wrong with what was sent, by the name of its field."""
    first = error.errors[0]
    where = [str(part) for part in first["loc"][1:]]
    field = ".".join(where[1:] if where[:1] == ["body"] and len(where) > 1 else where)
    reason = str(first["msg"]).removeprefix("Value error, ")
    message = f"{field}: {reason}" if field else reason
    more = len(error.errors) - 1
    if more:
        message += f" (and {more} more)"
    return refuse(ApiError(422, "invalid", message, col=field or None))


def refuse_stranger() -> JsonResponse:
    """Return what somebody without a token that counts is told; not which of the reasons it is."""
    response = refuse(ApiError(401, "unauthenticated", "send a valid token: Authorization: Bearer"))
    response["WWW-Authenticate"] = 'Bearer realm="label-audit"'
    return response


def refuse_missing(error: Http404) -> JsonResponse:
    """Return 404, which is also the answer to whoever may not know that it exists."""
    said = str(error)
    # Django's own words name the model.
    message = "there is nothing here, or nothing for you" if "matches the" in said else said
    return refuse(ApiError(404, "not_found", message or "there is nothing here"))


ANSWERS: dict[type[Exception], Callable[[Any], JsonResponse]] = {
    ApiError: refuse,
    ValidationError: refuse_values,
    AuthenticationError: lambda _: refuse_stranger(),
    Http404: refuse_missing,
    RequestDataTooBig: lambda _: refuse(ApiError(413, "too_large", "the body is larger than 1 MB")),
    HttpError: lambda error: refuse(ApiError(error.status_code, "bad_request", str(error))),
}


def handle_errors(api: NinjaAPI) -> None:
    """Let every refusal of an API leave in the one shape."""
    for kind, answer in ANSWERS.items():
        api.add_exception_handler(kind, partial(_answer, answer))


def _answer(
    answer: Callable[[Any], JsonResponse], _request: HttpRequest, error: Any
) -> HttpResponse:
    # What reading a body raised is told, not merely that it couldn't be read.
    cause = error.__cause__ if isinstance(error, HttpError) else None
    return refuse(cause) if isinstance(cause, ApiError) else answer(error)
