"""Compare methods: precision against detection rate, what one k means, and the overlap."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from audit.methods import CALIBRATED_ENSEMBLE, name_method
from audit.models import Audit
from audit.views.access import find_audit
from reviews.judge_words import JUDGE, list_judges
from reviews.models import JUDGE_PREFIX, Policy, ReviewSlot, Sample
from reviews.policies import list_policies
from reviews.report_cache import find_report
from reviews.reports import Document
from reviews.truths import JUDGMENTS, VOTES, UnknownTruthError, list_truths

# The comparison of the paper's Table 3; other pairs are in the downloads.
SHOWN_PAIR = ("calibrated_ensemble", "confident_learning")
LIMITS = ("estimate", "low", "high")
COUNTS = ("flagged", "judged", "errors", "unsure")
HEADER = (
    *("method", "set", *COUNTS),
    *("precision", "precision_low", "precision_high"),
    *("detection_rate", "detection_rate_low", "detection_rate_high", "kind"),
    *("precision_judge_only", "precision_people_only"),
    *("detection_rate_judge_only", "detection_rate_people_only"),
)


@dataclass(frozen=True, slots=True)
class Choice:
    """One position of a switch on the page."""

    label: str
    query: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """How far people are with the sample."""

    sample: Sample
    n_judged: int
    n_slots: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which figures the page shows."""

    truth: str
    policy: str
    policies: list[str]


@require_GET
def curves_page(request: HttpRequest, pk: int) -> HttpResponse:
    """Show every method's curve against one truth, under one policy."""
    audit = find_audit(request, pk)
    return render(request, "reviews/curves.html", _context(request, audit))


@require_GET
def curves_data(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer with the report as one JSON document."""
    audit = find_audit(request, pk)
    return JsonResponse(_report(audit, read_wanted(request, audit)))


@require_GET
def curves_csv(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer with every point of every method as a table."""
    audit = find_audit(request, pk)
    wanted = read_wanted(request, audit)
    report = _report(audit, wanted)
    name = f"curves-{audit.pk}-{wanted.truth.replace(':', '-')}-{wanted.policy}.csv"
    response = HttpResponse(
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
    writer = csv.writer(response)
    writer.writerow(HEADER)
    for method, described in report["methods"].items():
        writer.writerows(_point_row(method, point) for point in described["points"])
    return response


def read_wanted(request: HttpRequest, audit: Audit) -> Wanted:
    """Read truth and policy from the address; an unknown policy falls back to lenient."""
    policy = request.GET.get("policy", "")
    known = list_policies(audit.dataset.project_id)
    return Wanted(
        policies=known,
        truth=request.GET.get("truth") or JUDGMENTS,
        policy=policy if policy in known else Policy.LENIENT.value,
    )


def _report(audit: Audit, wanted: Wanted) -> Document:
    if not audit.is_ready:
        raise Http404("this audit has no flags yet")
    try:
        return find_report(audit, wanted.truth, wanted.policy)
    except UnknownTruthError as error:
        raise Http404(str(error)) from error


def _context(request: HttpRequest, audit: Audit) -> dict[str, Any]:
    wanted = read_wanted(request, audit)
    context: dict[str, Any] = {"audit": audit, "wanted": wanted}
    if not audit.is_ready:
        return context
    truths = [*list_truths(audit.dataset), *list_judges(audit)]
    report = _report(audit, wanted)
    described = report["methods"].get(CALIBRATED_ENSEMBLE)
    return context | {
        "report": report,
        "query": urlencode({"truth": wanted.truth, "policy": wanted.policy}),
        "truths": [
            Choice(_name_truth(truth), _query(truth, wanted.policy), truth == wanted.truth)
            for truth in truths
        ],
        "policies": [
            Choice(policy, _query(wanted.truth, policy), policy == wanted.policy)
            for policy in wanted.policies
        ],
        "names": {method: name_method(method) for method in report["methods"]},
        "pairs": report["overlap"],
        "shade_note": "95 % intervals" if report["judge"] else "95 % band",
        "shown_pair": _find_pair(report),
        "first_k": _first_k(described),
        "first_point": _first_point(described),
        "progress": find_progress(audit),
        "other_truth": truths[1] if len(truths) > 1 else "",
    }


def find_progress(audit: Audit) -> Progress | None:
    """Return how far people are with the audit's sample, None without one."""
    sample = Sample.objects.filter(audit=audit).first()
    if sample is None:
        return None
    judged = sample.slots.for_estimates().filter(state=ReviewSlot.State.JUDGED).count()
    return Progress(sample, judged, sample.n_votes)


def _query(truth: str, policy: str) -> str:
    return urlencode({"truth": truth, "policy": policy})


def _name_truth(truth: str) -> str:
    if truth.startswith(JUDGE):
        return f"people and {JUDGE_PREFIX}{truth.removeprefix(JUDGE)}"
    return truth.removeprefix(VOTES) if truth.startswith(VOTES) else "people's judgments"


def _find_pair(report: Document) -> Document | None:
    pairs = {(pair["a"], pair["b"]): pair for pair in report["overlap"]}
    return pairs.get(SHOWN_PAIR)


def _first_k(described: Document | None) -> int:
    """Return the k that the page opens with: the largest that keeps the precision, else all."""
    if described is None:
        return 0
    k: int = described["largest_k"]["k"] or len(described["points"])
    return k


def _first_point(described: Document | None) -> Document | None:
    return described["points"][_first_k(described) - 1] if described else None


def _point_row(method: str, point: Document) -> list[Any]:
    precision, rate = point["precision"], point["detection_rate"]
    return [
        method,
        f"k={point['k']}" if "k" in point else f"n={point['n']}",
        *(point[column] for column in COUNTS),
        *(precision[column] for column in LIMITS),
        *(rate[column] for column in LIMITS),
        rate["kind"],
        *_alone(precision),
        *_alone(rate),
    ]


def _alone(rate: Document) -> tuple[float | None, float | None]:
    """Return what a judge and what people say alone, where a judge has a part in the rate."""
    people = rate.get("people_only") or {}
    return rate.get("judge_only"), people.get("estimate")
