"""Calibrators side by side, as a worker measured them, and the order to do so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from audit.models import Audit, Measurement
from audit.services.measurements import order_measurement
from audit.services.progress import engine_trouble
from audit.views.access import find_audit

KIND = Measurement.Kind.CALIBRATORS
NAMES = {
    "temperature": "Temperature",
    "platt": "Platt",
    "histogram": "Histogram",
    "isotonic": "Isotonic",
}
FIGURES = ("ece", "nll", "brier")


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of the held-out half before and after, with the limits of the latter."""

    before: float | None
    after: float | None
    limits: dict[str, float] | None
    is_best: bool


@dataclass(frozen=True, slots=True)
class CalibratorRow:
    """One calibrator of one expert."""

    name: str
    title: str
    refusal: str
    figures: list[Figure]
    tables: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Bench:
    """One expert's calibrators, and whether its halves call for the same temperature."""

    name: str
    place: int
    rows: list[CalibratorRow]
    drift: dict[str, Any] | None

    @property
    def script_id(self) -> str:
        """The id of the element that carries the charts' data."""
        return f"bench-{self.place}"

    @property
    def charts(self) -> dict[str, Any]:
        """The reliability tables by calibrator."""
        return {row.name: row.tables for row in self.rows}


@require_POST
def measure_calibrators(request: HttpRequest, pk: int) -> HttpResponse:
    """Have a worker fit every calibrator."""
    audit = find_audit(request, pk)
    if not audit.is_ready:
        raise Http404("this audit is not calibrated")
    order_measurement(audit, KIND, {}, cast("User", request.user))
    return redirect(reverse("audit:calibration", args=[audit.pk]) + "#bench")


@require_GET
def calibrators_progress(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer the page's poll; once the figures are there, have the page show them."""
    audit = find_audit(request, pk)
    context = bench_context(audit)
    response = render(request, "audit/_calibrators.html", context | {"audit": audit})
    if context["bench_row"] is not None and context["bench_row"].is_ready:
        response["HX-Refresh"] = "true"
    return response


def bench_context(audit: Audit) -> dict[str, Any]:
    """Return the newest measurement of the calibrators, and what it shows once it is there."""
    rows = audit.measurements.filter(kind=KIND).order_by("-number")
    newest = ready = rows.first()
    if newest is not None and not newest.is_ready:
        ready = rows.ready().first()
    is_waited_for = newest is not None and newest.is_under_way
    experts = ready.document["experts"] if ready else []
    return {
        "bench_row": newest,
        "benches": [_show_bench(expert, place) for place, expert in enumerate(experts)],
        "trouble": engine_trouble() if is_waited_for else None,
    }


def _show_bench(expert: dict[str, Any], place: int) -> Bench:
    calibrators = expert["calibrators"]
    best = {
        figure: min(
            (
                value
                for each in calibrators.values()
                if (value := each[figure]["b_after"]) is not None
            ),
            default=None,
        )
        for figure in FIGURES
    }
    return Bench(
        name=expert["name"],
        place=place,
        # Not in the order stored: PostgreSQL sorts the keys of a document.
        rows=[_show_row(name, calibrators[name], best) for name in NAMES if name in calibrators],
        drift=expert["drift"],
    )


def _show_row(name: str, stored: dict[str, Any], best: dict[str, float | None]) -> CalibratorRow:
    refusal = stored["degenerate"] or {}
    return CalibratorRow(
        name=name,
        title=NAMES[name],
        refusal=": ".join(filter(None, (refusal.get("reason", ""), refusal.get("detail", "")))),
        figures=[
            Figure(
                before=stored[figure]["b_before"],
                after=stored[figure]["b_after"],
                limits=stored[f"{figure}_interval"].get("b_after"),
                is_best=stored[figure]["b_after"] is not None
                and stored[figure]["b_after"] == best[figure],
            )
            for figure in FIGURES
        ],
        tables=stored["reliability"],
    )
