"""Pictures for browsers: re-encoded, cached by content, permission asked at every request."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from audit.images import UnusableImage, derivative, media_type, open_rgb
from audit.models import Item

FULL_SIDE = 4096
THUMB_SIDE = 160
# Part of every cached file's name: raise it when `derivative` makes something else.
RECIPE = 1


@require_safe
def item_image(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer with an item's whole picture."""
    return _answer(request, pk, FULL_SIDE)


@require_safe
def item_thumb(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer with a small version of an item's picture."""
    return _answer(request, pk, THUMB_SIDE)


def _answer(request: HttpRequest, pk: int, side: int) -> HttpResponse:
    items = Item.objects.open_to(request.user).exclude(content_sha256="")
    item = get_object_or_404(items.select_related("dataset"), pk=pk)
    try:
        content = load_derivative(item, side)
    except UnusableImage as error:
        raise Http404("this picture can't be shown") from error
    response = HttpResponse(content, content_type=media_type(content))
    # An item never changes, and neither does what is made of it; `Vary: Cookie` keeps one
    # person's copy from the next one at the same browser.
    response["Cache-Control"] = "private, max-age=31536000, immutable"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response["Cross-Origin-Resource-Policy"] = "same-origin"
    response["Vary"] = "Cookie"
    return response


def load_derivative(item: Item, side: int) -> bytes:
    """Return the item's picture for browsers, made on first use and kept by content hash."""
    digest = item.content_sha256
    kept = Path(settings.LABEL_AUDIT_HOME, "derivatives", digest[:2], f"{digest}-{side}-{RECIPE}")
    try:
        return kept.read_bytes()
    except FileNotFoundError:
        content = derivative(open_rgb(item.dataset.folder, item.image, sha256=digest), side)
    _keep(kept, content)
    return content


def _keep(path: Path, content: bytes) -> None:
    """Write a cached file at one stroke: a reader finds the whole of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    Path(temporary).replace(path)
