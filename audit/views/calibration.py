"""How well each expert knows when it knows: reliability before and after calibration."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from audit.models import AuditExpert
from audit.views.access import find_audit
from audit.views.calibrators import bench_context

HALVES = [("a", "A", "fitted here"), ("b", "B", "held out")]
REASONS = {
    "empty_split": "One half of the items has nothing to fit on",
    "too_few": "A half has too few scored items to fit a temperature",
    "single_label": "All items of a half have the same outcome, so there is nothing to fit",
    "no_signal": "The expert says the same about every item",
    "separable": "Confidence separates right from wrong exactly; any steeper line fits better",
    "worse_than_chance": "The expert is worse than guessing on these labels",
    "at_bound": "The best temperature lies outside the range that makes sense (.05 to 20)",
}


@dataclass(frozen=True, slots=True)
class HalfFigures:
    """One half's figures before and after, None where nothing was fitted or measured.

    The intervals hold the figure after, or before where nothing was fitted.
    """

    name: str
    role: str
    ece_before: float | None
    ece_after: float | None
    ece_interval: Mapping[str, float] | None
    nll_before: float | None
    nll_after: float | None
    brier_before: float | None
    brier_after: float | None
    nll_interval: Mapping[str, float] | None
    brier_interval: Mapping[str, float] | None
    fitted: str


@dataclass(frozen=True, slots=True)
class ReliabilityRow:
    """One confidence bin of one half, before or after."""

    half: str
    moment: str
    bin: int
    count: int
    confidence: float
    accuracy: float

    @property
    def gap(self) -> float:
        """Confidence minus accuracy: positive = overconfident."""
        return self.confidence - self.accuracy


@dataclass(frozen=True, slots=True)
class ExpertPicture:
    """Everything the page shows of one expert."""

    name: str
    accuracy: float | None
    n_scored: int
    halves: list[HalfFigures]
    degenerate: str
    caveat: str
    is_raw: bool
    rows: list[ReliabilityRow]
    charts: dict[str, Any]
    place: int

    @property
    def script_id(self) -> str:
        """The id of the element that carries the charts' data."""
        return f"calibration-{self.place}"

    @property
    def file_name(self) -> str:
        """What saved pictures are called."""
        return re.sub(r"[^A-Za-z0-9.-]+", "-", self.name).strip("-.") or "expert"

    @property
    def description(self) -> str:
        """The diagrams' message in words, for people who can't see them."""
        if self.degenerate or self.is_raw:
            return f"{self.name}, raw confidences"
        figures = [
            f"calibration error on half {half.name} "
            f"{half.ece_before:.3f} before, {half.ece_after:.3f} after"
            for half in self.halves
            if half.ece_before is not None and half.ece_after is not None
        ]
        return f"{self.name}: {'; '.join(figures)}"


@require_GET
def calibration(request: HttpRequest, pk: int) -> HttpResponse:
    """Show every expert's reliability diagrams, figures and confidence histogram."""
    audit = find_audit(request, pk)
    experts = audit.experts.select_related("score_set")
    pictures = [picture_expert(expert) for expert in experts if expert.calibration]
    context = {"audit": audit, "pictures": pictures} | bench_context(audit)
    return render(request, "audit/calibration.html", context)


def picture_expert(expert: AuditExpert) -> ExpertPicture:
    """Turn the stored calibration into what the template and the charts read."""
    stored = expert.calibration
    reliability = stored.get("reliability") or {}
    return ExpertPicture(
        name=expert.name,
        accuracy=stored.get("accuracy"),
        n_scored=stored.get("n_scored") or 0,
        halves=[_half_figures(stored, *half) for half in HALVES],
        degenerate=_explain(stored.get("degenerate")),
        caveat=expert.score_set.caveat,
        is_raw=stored.get("calibrator") == "none",
        rows=_reliability_rows(reliability),
        charts={
            "reliability": reliability,
            "histogram": stored.get("histogram") or {},
        },
        place=expert.order,
    )


def _half_figures(stored: dict[str, Any], half: str, name: str, role: str) -> HalfFigures:
    ece, nll, brier = (stored.get(figure) or {} for figure in ("ece", "nll", "brier"))
    limits = {
        figure: _last_limits(stored.get(f"{figure}_interval") or {}, half)
        for figure in ("ece", "nll", "brier")
    }
    fitted = (stored.get("parameters") or {}).get(half) or {}
    return HalfFigures(
        name=name,
        role=role,
        ece_before=ece.get(f"{half}_before"),
        ece_after=ece.get(f"{half}_after"),
        ece_interval=limits["ece"],
        nll_before=nll.get(f"{half}_before"),
        nll_after=nll.get(f"{half}_after"),
        brier_before=brier.get(f"{half}_before"),
        brier_after=brier.get(f"{half}_after"),
        nll_interval=limits["nll"],
        brier_interval=limits["brier"],
        fitted=_describe_fit(fitted),
    )


def _last_limits(limits: Mapping[str, Any], half: str) -> Mapping[str, float] | None:
    """Return the limits after calibration, or before where nothing was fitted."""
    found: Mapping[str, float] | None = limits.get(f"{half}_after") or limits.get(f"{half}_before")
    return found


def _describe_fit(parameters: dict[str, Any]) -> str:
    """Return a half's fitted numbers in words, empty where nothing was fitted."""
    numbers = {name: value for name, value in parameters.items() if isinstance(value, float)}
    if numbers:
        return ", ".join(f"{name} {value:.3f}" for name, value in numbers.items())
    return f"{len(next(iter(parameters.values())))} steps" if parameters else ""


def _explain(degenerate: dict[str, str] | None) -> str:
    """Return in plain words why nothing was fitted, empty where something was."""
    if not degenerate:
        return ""
    reason = degenerate.get("reason", "")
    words = REASONS.get(reason, reason.replace("_", " "))
    detail = degenerate.get("detail", "")
    return f"{words} ({detail})." if detail else f"{words}."


def _reliability_rows(reliability: dict[str, Any]) -> list[ReliabilityRow]:
    rows = []
    for half, name, _ in HALVES:
        for moment in ("before", "after"):
            table = reliability.get(f"{half}_{moment}") or {}
            columns = (table.get(column) or [] for column in ("count", "confidence", "accuracy"))
            rows += [
                ReliabilityRow(name, moment, number, *values)
                for number, values in enumerate(zip(*columns, strict=True))
            ]
    return rows
