"""Keys that senders give their requests, so that what is sent again happens once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Annotated, TypeVar
from uuid import UUID

from django.db import models
from django.http import HttpRequest, HttpResponse
from ninja import Header

from audit.services.sent_requests import AlreadySentError, OtherRequestError, Sent, find_made
from reviews.api.errors import ApiError
from reviews.api.routes import person
from reviews.api.shapes import Body

Made = TypeVar("Made", bound=models.Model)
REPLAYED = "Idempotency-Replayed"
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="A UUID of your own, made anew for each act; sent again, the act isn't.",
    ),
]


def read_key(sent: str | None) -> UUID:
    """Return the key of an act, which has to have one."""
    if not sent:
        raise ApiError(400, "key_missing", "send a UUID of your own as Idempotency-Key")
    try:
        return UUID(sent)
    except ValueError as error:
        message = "the Idempotency-Key is no UUID"
        raise ApiError(422, "invalid", message, col="Idempotency-Key") from error


def make_once(
    request: HttpRequest,
    response: HttpResponse,
    key: str | None,
    body: Body,
    make: Callable[[Sent | None], Made],
    rows: models.QuerySet[Made],
) -> Made:
    """Return what `make` makes, or what it made of `rows` when the request was sent before.

    Without a key it is made every time. What was refused has used no key. A repeated answer shows
    what was made as it is now, and says by a header that nothing was made for it.
    """
    if key is None:
        return make(None)
    sent = Sent(person(request), read_key(key), _hash(request, body))
    try:
        made = find_made(sent)
        if made is None:
            try:
                return make(sent)
            except AlreadySentError:
                made = find_made(sent)
    except OtherRequestError as error:
        raise ApiError(422, "key_reuse", str(error), col="Idempotency-Key") from error
    response[REPLAYED] = "true"
    return rows.get(pk=made)


def _hash(request: HttpRequest, body: Body) -> str:
    said = json.dumps(body.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(f"{request.method} {request.path}\n{said}".encode()).hexdigest()
