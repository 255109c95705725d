"""Fetch and permission in one call, for the small requests that the desk's script sends."""

from __future__ import annotations

import json
from typing import Any, cast
from uuid import UUID

from django.contrib.auth.models import User
from django.core.exceptions import BadRequest
from django.http import Http404, HttpRequest
from django.shortcuts import get_object_or_404

from reviews.models import Judgment, Sample


def find_sample(request: HttpRequest, pk: int) -> tuple[Sample, User]:
    """Return the audit's sample and the annotator, or answer 404."""
    samples = Sample.objects.open_to(request.user).select_related("audit__dataset")
    return get_object_or_404(samples, audit=pk), cast("User", request.user)


def find_own_judgment(sample: Sample, annotator: User, key: object) -> Judgment:
    """Return the annotator's own judgment that was sent with this key, or answer 404."""
    try:
        sent = UUID(str(key))
    except ValueError as error:
        raise Http404("nothing was sent with this key") from error
    own = Judgment.objects.filter(annotator=annotator, slot__sample=sample)
    return get_object_or_404(
        own.select_related("slot__sampled_item__item__dataset"), idempotency_key=sent
    )


def read_json(request: HttpRequest) -> dict[str, Any]:
    """Return the request's body, a JSON object, or answer 400.

    Half a surrogate pair, which JSON can spell out, is no text: no database would store it.
    """
    try:
        data = json.loads(request.body)
        if b"\\u" in request.body:
            json.dumps(data, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise BadRequest("not JSON") from error
    if not isinstance(data, dict):
        raise BadRequest("not a JSON object")
    return data
