"""Start an audit, watch it, stop it, take it up again."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.contrib import messages
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import HttpResponseClientRefresh

from audit.forms import NewAuditForm
from audit.methods import CALIBRATED_ENSEMBLE, RANKINGS, order_methods
from audit.models import Audit, Project, Role, UnscorableItem
from audit.services.audits import (
    AuditRefusedError,
    cancel_audit,
    resume_audit,
    set_urgent,
    start_audit,
)
from audit.services.progress import engine_trouble, expert_progress
from audit.services.timeline import timeline
from audit.views.access import find_audit

REASONS_SHOWN = 200
STOPPED = {Audit.State.FAILED, Audit.State.CANCELLED}
STAGES = [
    (Audit.State.SCORING, "Scoring"),
    (Audit.State.CALIBRATING, "Calibrating"),
    (Audit.State.READY, "Ready"),
]


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of the stage strip: done, current, stopped or to come."""

    label: str
    status: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An item that takes no part in the audit, or not in one expert's figures."""

    key: str
    expert: str
    code: str
    detail: str


@require_http_methods(["GET", "POST"])
def audit_new(request: HttpRequest) -> HttpResponse:
    """Show the form; a valid one starts the audit and leads to its page."""
    require_maintainer(request)
    if request.method == "POST":
        form = NewAuditForm(request.POST, user=request.user)
        audit = _start(form, request)
        if audit is not None:
            return redirect("audit:audit_detail", audit.pk)
        return render(request, "audit/audit_new.html", _new_context(form), status=422)
    form = NewAuditForm(initial={"dataset": request.GET.get("dataset")}, user=request.user)
    return render(request, "audit/audit_new.html", _new_context(form))


@require_GET
def audit_estimate(request: HttpRequest) -> HttpResponse:
    """Say what the audit would cost, for the form as far as it is filled in."""
    require_maintainer(request)
    form = NewAuditForm(request.GET, user=request.user)
    return render(request, "audit/_estimate.html", {"estimate": form.estimate()})


def require_maintainer(request: HttpRequest) -> None:
    """Answer 404 to whoever is no maintainer anywhere."""
    if not Project.objects.open_to(request.user, at_least=Role.MAINTAINER).exists():
        raise Http404("only maintainers start audits")


def _start(form: NewAuditForm, request: HttpRequest) -> Audit | None:
    if not form.is_valid():
        return None
    chosen = form.cleaned_data
    try:
        return start_audit(
            chosen["dataset"],
            chosen["experts"],
            n_bins=chosen["n_bins"],
            bins_over=chosen["bins_over"],
            calibrator=chosen["calibrator"],
            require_agreement=chosen["require_agreement"],
            seed=chosen["seed"],
            created_by=request.user,
        )
    except AuditRefusedError as refusal:
        form.add_error("other_experts", str(refusal))
        return None


def _new_context(form: NewAuditForm) -> dict[str, Any]:
    return {"form": form, "dataset": form.chosen, "estimate": form.estimate()}


@require_GET
def audit_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """Show an audit: under way its progress, at the end its figures, always its parameters."""
    audit = find_audit(request, pk)
    context = _progress_context(audit)
    if audit.is_ready:
        context |= {"queues": _queue_sizes(audit), "n_left_out": _count_left_out(audit)}
    left_out = _left_out(audit)
    context |= {"left_out": left_out, "reasons_shown": REASONS_SHOWN}
    if left_out:
        context |= {"left_out_by_reason": _count_reasons(audit)}
    return render(request, "audit/audit_detail.html", context)


@require_GET
def audit_progress(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer the page's poll: the progress, or "load the page anew" when more of it has changed.

    That is when an audit ends, and when somebody cancels or resumes it elsewhere; `shown` is the
    state that the page shows.
    """
    audit = find_audit(request, pk)
    if not audit.is_under_way and audit.state != request.GET.get("shown"):
        return HttpResponseClientRefresh()
    if audit.is_under_way and request.GET.get("shown") in STOPPED:
        return HttpResponseClientRefresh()
    return render(request, "audit/_progress.html", _progress_context(audit))


@require_GET
def audit_timeline(request: HttpRequest, pk: int) -> HttpResponse:
    """Say what happened when and who did it, for the part of the page that unfolds."""
    audit = find_audit(request, pk)
    return render(request, "audit/_timeline.html", {"audit": audit, "steps": timeline(audit)})


@require_POST
def audit_cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Stop an audit; what is scored stays scored."""
    audit = find_audit(request, pk)
    if cancel_audit(audit, request.user):
        messages.success(request, "The audit is cancelled. What is scored so far is kept.")
    else:
        messages.info(request, "There was nothing to cancel: the audit is no longer under way.")
    return redirect("audit:audit_detail", pk)


@require_POST
def audit_resume(request: HttpRequest, pk: int) -> HttpResponse:
    """Take up a cancelled or failed audit where it stopped."""
    audit = find_audit(request, pk)
    if resume_audit(audit, request.user):
        messages.success(request, "The audit goes on where it stopped.")
    else:
        messages.info(request, "There was nothing to resume.")
    return redirect("audit:audit_detail", pk)


@require_POST
def audit_urgent(request: HttpRequest, pk: int) -> HttpResponse:
    """Score this audit's items first, or in turn again."""
    audit = find_audit(request, pk)
    is_urgent = request.POST.get("urgent") == "yes"
    set_urgent(audit, is_urgent=is_urgent)
    said = "is scored first" if is_urgent else "waits its turn again"
    messages.success(request, f"This audit {said}.")
    return redirect("audit:audit_detail", pk)


def _progress_context(audit: Audit) -> dict[str, Any]:
    experts = expert_progress(audit)
    is_scored = bool(experts) and all(expert.state == "ready" for expert in experts)
    return {
        "audit": audit,
        "experts": experts,
        "stages": _stages(audit, is_scored=is_scored),
        "trouble": engine_trouble() if audit.is_under_way else None,
    }


def _stages(audit: Audit, *, is_scored: bool) -> list[Stage]:
    """Return the stage strip; what failed or was cancelled stopped at its first open stage."""
    names = [state for state, _ in STAGES]
    stopped = audit.state in STOPPED
    place = (1 if is_scored else 0) if stopped else names.index(Audit.State(audit.state))
    statuses = {place: "stopped" if stopped else "done" if audit.is_ready else "current"}
    return [
        Stage(label, statuses.get(number, "done" if number < place else "to come"))
        for number, (_, label) in enumerate(STAGES)
    ]


def _queue_sizes(audit: Audit) -> list[tuple[str, int | None]]:
    """Return how many items each method flags, None for a ranking of them all.

    For the paper's method the number counts all its bins.
    """
    counts = dict(audit.queue_counts)
    by_k = counts.get(CALIBRATED_ENSEMBLE)
    if isinstance(by_k, list):
        counts[CALIBRATED_ENSEMBLE] = by_k[-1] if by_k else 0
    return [
        (method, None if method in RANKINGS else counts[method]) for method in order_methods(counts)
    ]


def _count_left_out(audit: Audit) -> int:
    """Return how many items take no part, or not in every expert's figures."""
    unscorable = UnscorableItem.objects.filter(score_set__audits=audit, item__quarantine_code="")
    return audit.dataset.n_quarantined + unscorable.values("item").distinct().count()


def _count_reasons(audit: Audit) -> list[tuple[str, str, int]]:
    """Return reason, expert (empty: all) and how many items were left out for it, most first."""
    quarantined = audit.dataset.items.quarantined().values_list("quarantine_code")
    unscorable = UnscorableItem.objects.filter(
        score_set__audits=audit, item__quarantine_code=""
    ).values_list("code", "score_set__expert")
    counts = [(code, "", n) for code, n in quarantined.annotate(n=Count("pk")).order_by()]
    counts += unscorable.annotate(n=Count("pk")).order_by()
    return sorted(counts, key=lambda row: (-row[2], row[:2]))


def _left_out(audit: Audit) -> list[LeftOut]:
    quarantined = audit.dataset.items.quarantined().order_by("position")
    rows = quarantined.values_list("key", "quarantine_code", "quarantine_detail")
    everyone = (LeftOut(key, "", code, detail) for key, code, detail in rows[:REASONS_SHOWN])
    unscorable = (
        UnscorableItem.objects.filter(score_set__audits=audit)
        .order_by("item__position", "score_set__expert")
        .values_list("item__key", "score_set__expert", "code", "detail")
    )
    single = (LeftOut(*row) for row in unscorable[:REASONS_SHOWN])
    return list(islice((*everyone, *single), REASONS_SHOWN))
