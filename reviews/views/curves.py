"""Compare methods: precision against detection rate, which to trust, what one k means, a plan."""

from __future__ import annotations

import csv
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from audit.models import Audit
from audit.views.access import find_audit
from reviews.comparison_page import Wanted, describe_page, read_wanted
from reviews.comparison_tables import TABLES
from reviews.report_cache import find_report
from reviews.reports import Document
from reviews.truths import UnknownTruthError


@require_GET
def curves_page(request: HttpRequest, pk: int) -> HttpResponse:
    """Show every method's curve against one truth, under one policy."""
    audit = find_audit(request, pk)
    wanted = read_wanted(request.GET, audit)
    context: dict[str, Any] = {"audit": audit, "wanted": wanted}
    if audit.is_ready:
        context |= describe_page(audit, wanted, _report(audit, wanted))
    return render(request, "reviews/curves.html", context)


@require_GET
def curves_points(request: HttpRequest, pk: int) -> HttpResponse:
    """Show every point of every method as tables; a part of the page, read when it is unfolded."""
    audit = find_audit(request, pk)
    context = {"audit": audit, "report": _report(audit, read_wanted(request.GET, audit))}
    return render(request, "reviews/_points_tables.html", context)


@require_GET
def curves_data(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer with the report as one JSON document."""
    audit = find_audit(request, pk)
    return JsonResponse(_report(audit, read_wanted(request.GET, audit)))


@require_GET
def curves_csv(request: HttpRequest, pk: int, table: str = "curves") -> HttpResponse:
    """Answer with every point of every method, or another of the page's tables."""
    audit = find_audit(request, pk)
    wanted = read_wanted(request.GET, audit)
    report = _report(audit, wanted)
    names = (table, str(audit.pk), wanted.truth, wanted.policy)
    name = "-".join(names).replace(":", "-").replace(",", "+")
    response = HttpResponse(
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}.csv"'},
    )
    csv.writer(response).writerows(TABLES[table](report))
    return response


def _report(audit: Audit, wanted: Wanted) -> Document:
    if not audit.is_ready:
        raise Http404("this audit has no flags yet")
    try:
        return find_report(audit, wanted.truth, wanted.policy)
    except UnknownTruthError as error:
        raise Http404(str(error)) from error
