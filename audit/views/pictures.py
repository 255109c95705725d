"""Pictures for browsers: re-encoded, cached by content, permission asked at every request."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from audit.derivatives import FULL_SIDE, THUMB_SIDE, load_derivative
from audit.images import UnusableImage, media_type
from audit.models import Item


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
    # Its number, never the file's name: that may be the class.
    suffix = response["Content-Type"].rpartition("/")[2]
    response["Content-Disposition"] = f'inline; filename="item-{pk}.{suffix}"'
    response["Vary"] = "Cookie"
    return response
