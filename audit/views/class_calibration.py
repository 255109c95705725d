"""Calibration class by class: where an expert is surer than it is right, worst first."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import numpy as np
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from audit.evidence import load_evidence
from audit.forms import ClassGapForm
from audit.models import Audit
from audit.spreadsheets import neutralise
from audit.views.access import find_audit
from scoring.class_calibration import ClassGaps, class_gaps

PER_PAGE = 50
DRAWN = 30
BY_CHANCE = 0.05
HEADER = ("class", "name", "items", "confidence", "accuracy", "gap", "gap_low", "gap_high")


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One class of the table."""

    index: int
    name: str
    count: int
    confidence: float
    accuracy: float
    gap: float
    low: float
    high: float

    @property
    def is_sure(self) -> bool:
        """Whether the limits leave zero out."""
        return self.low > 0 or self.high < 0


@require_GET
def class_calibration(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the classes of one expert by their calibration gap."""
    audit = find_audit(request, pk)
    context: dict[str, Any] = {"audit": audit}
    form = ClassGapForm(request.GET, audit=audit)
    rows = _rows(audit, form)
    if rows is not None:
        page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
        context |= {
            "page": page,
            "query": urlencode({k: v for k, v in request.GET.items() if k != "page"}),
            "n_sure": sum(row.is_sure for row in rows),
            "n_by_chance": BY_CHANCE * len(rows),
            "charts": [
                {"name": row.name, "gap": row.gap, "low": row.low, "high": row.high, "n": row.count}
                for row in rows[:DRAWN]
            ],
        }
    return render(request, "audit/class_calibration.html", context | {"form": form})


@require_GET
def class_calibration_csv(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer with the same classes as a table."""
    audit = find_audit(request, pk)
    rows = _rows(audit, ClassGapForm(request.GET, audit=audit))
    if rows is None:
        raise Http404("this audit has no scored items")
    response = HttpResponse(
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="class-gaps-{audit.pk}.csv"'},
    )
    writer = csv.writer(response)
    writer.writerow(HEADER)
    for row in rows:
        figures = (row.confidence, row.accuracy, row.gap, row.low, row.high)
        writer.writerow([row.index, neutralise(row.name), row.count, *figures])
    return response


def _rows(audit: Audit, form: ClassGapForm) -> list[ClassRow] | None:
    """Return the classes that pass the filters, worst first; None where nothing is scored."""
    if not audit.is_ready or not form.is_valid():
        return None
    said = form.cleaned_data
    try:
        gaps = find_gaps(audit, int(said["expert"]), by_given=said["by"] == form.GIVEN)
    except (OSError, IndexError):
        return None
    names = dict(audit.dataset.classes.values_list("index", "name"))
    worst_first = np.argsort(
        -np.abs(gaps.gap if said["order"] == form.GAP else gaps.sure_gap), kind="stable"
    )
    rows = [
        ClassRow(
            index=int(gaps.index[place]),
            name=names.get(int(gaps.index[place]), f"class {gaps.index[place]}"),
            count=int(gaps.count[place]),
            confidence=float(gaps.confidence[place]),
            accuracy=float(gaps.accuracy[place]),
            gap=float(gaps.gap[place]),
            low=float(gaps.low[place]),
            high=float(gaps.high[place]),
        )
        for place in worst_first
    ]
    return [row for row in rows if form.passes(row.name, row.count, row.gap)]


def find_gaps(audit: Audit, expert: int, *, by_given: bool) -> ClassGaps:
    """Return the gaps of an expert's cross-fitted confidences, by its answer or the given label."""
    evidence = load_evidence(audit.pk)
    top1, confidence = np.array(evidence.top1[expert]), np.array(evidence.confidence[expert])
    labels = audit.dataset.items.order_by("position").values_list("given_label", flat=True)
    given = np.fromiter(labels, dtype=np.int64, count=top1.size)
    scored = top1 >= 0
    groups = given if by_given else top1
    return class_gaps(groups[scored], confidence[scored], top1[scored] == given[scored])
