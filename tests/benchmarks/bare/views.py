"""The bare site: log-in by session, one indexed claim, one insert, one page of rows."""

from __future__ import annotations

import json

from django.core.paginator import Paginator
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template import Context, Engine
from django.urls import path
from django.views.decorators.http import require_GET, require_POST

from tests.benchmarks.bare.models import Row, Verdict


@require_POST
def claim(request: HttpRequest) -> JsonResponse:
    """Answer with the first open row, now the person's own."""
    waiting = Row.objects.filter(audit=1, state="open").order_by("priority", "id")
    with transaction.atomic():
        row = waiting.select_for_update(skip_locked=True).first()
        if row is None:
            return JsonResponse({"items": []})
        Row.objects.filter(pk=row.pk).update(state="leased", holder=request.user.pk)
    return JsonResponse({"items": [{"slot": row.pk}]})


@require_POST
def submit(request: HttpRequest) -> JsonResponse:
    """Store one verdict."""
    said = json.loads(request.body)
    with transaction.atomic():
        Verdict.objects.create(
            row_id=said["slot"],
            person=request.user.pk,
            verdict=said["verdict"],
            key=said["key"],
        )
    return JsonResponse({"key": said["key"]})


PER_PAGE = 50
LISTING = Engine(autoescape=True).from_string(
    "<!doctype html><title>Rows</title><p>{{ page.paginator.count }} rows<table>"
    "{% for row in page %}<tr><td>{{ row.priority }}<td>{{ row.state }}<td>{{ row.holder }}"
    "{% endfor %}</table>"
)


@require_GET
def rows(request: HttpRequest) -> HttpResponse:
    """Show one page of the queue and how many rows there are."""
    waiting = Row.objects.filter(audit=1, state="open").order_by("priority", "id")
    page = Paginator(waiting, PER_PAGE).get_page(request.GET.get("page"))
    return HttpResponse(LISTING.render(Context({"page": page})))


urlpatterns = [path("claim/", claim), path("submit/", submit), path("rows/", rows)]
