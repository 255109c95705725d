"""Parts of the queue explorer that rest on people's verdicts and on the drawn sample."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from audit.views.access import find_audit
from reviews.queue_told import describe_depth, tell_item


@require_GET
def queue_figures(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer with what each k is worth, for the slider."""
    audit = find_audit(request, pk)
    if not audit.is_ready:
        raise Http404("this audit has no flags yet")
    return JsonResponse(describe_depth(audit))


@require_GET
def queue_told(request: HttpRequest, pk: int, item_pk: int) -> HttpResponse:
    """Show clean examples of the classes in question, and what people said of the item."""
    audit = find_audit(request, pk)
    item = get_object_or_404(audit.dataset.items, pk=item_pk)
    context = {"audit": audit, "item": item, "told": tell_item(audit, item)}
    return render(request, "reviews/_queue_told.html", context)
