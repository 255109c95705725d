"""Starting, stopping and advancing audits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction

from audit.models import Act, Audit, AuditExpert, Claimable, Dataset, ScoreSet
from audit.redaction import clean_error
from audit.services import claims
from audit.services.log import write_log
from audit.services.scores import (
    ScoresRefusedError,
    check_independent,
    request_scores,
    resume_scores,
)
from audit.services.sent_requests import Sent, keep_sent

MAX_SEED = 2**31


class AuditRefusedError(ValueError):
    """The audit can't be run as asked; the message says what is allowed."""


@transaction.atomic
def start_audit(  # noqa: PLR0913 - an audit's parameters, by name
    dataset: Dataset,
    experts: Sequence[str],
    *,
    n_bins: int = 15,
    bins_over: str = Audit.BinsOver.DISPUTED,
    calibrator: str = Audit.Calibrator.TEMPERATURE,
    require_agreement: bool = False,
    seed: int = 0,
    created_by: Any = None,
    sent: Sent | None = None,
    from_anywhere: bool = False,
) -> Audit:
    """Create an audit; experts without scores of this data set are planned to be run.

    Their weights lie among the installation's models, or with ``from_anywhere`` where they like.
    A request that was `sent` before, with its key, makes no other one.
    """
    if len(experts) < 2:
        raise AuditRefusedError("an audit needs two or more experts")
    if len(set(experts)) != len(experts):
        raise AuditRefusedError("the experts must differ: an expert can't confirm itself")
    if not 1 <= n_bins <= 1000:
        raise AuditRefusedError(f"the number of bins must lie in 1..1000, got {n_bins}")
    if not 0 <= seed < MAX_SEED:
        raise AuditRefusedError(f"the seed must lie in 0..{MAX_SEED - 1}, got {seed}")
    try:
        score_sets = [
            request_scores(dataset, expert, from_anywhere=from_anywhere) for expert in experts
        ]
        check_independent(score_sets)
    except ScoresRefusedError as error:
        raise AuditRefusedError(str(error)) from error
    audit = Audit.objects.create(
        dataset=dataset,
        n_bins=n_bins,
        bins_over=bins_over,
        calibrator=calibrator,
        require_agreement=require_agreement,
        seed=seed,
        created_by=created_by,
    )
    keep_sent(sent, audit.pk)
    AuditExpert.objects.bulk_create(
        AuditExpert(audit=audit, score_set=score_set, order=order)
        for order, score_set in enumerate(score_sets)
    )
    advance_audits()
    audit.refresh_from_db()
    _log(Act.AUDIT_STARTED, audit, created_by, experts=[each.expert for each in score_sets])
    return audit


def _log(act: Act, audit: Audit, person: Any, **detail: Any) -> None:
    subject = f"audit {audit.pk} of {audit.dataset.slug}"
    write_log(act, subject, person=person, project=audit.dataset.project, **detail)


def advance_audits() -> None:
    """Move every audit whose experts are all done, or one of whose experts failed, on."""
    for audit in Audit.objects.filter(state=Audit.State.SCORING):
        states = set(audit.score_sets.values_list("state", flat=True))
        still_scoring = Audit.objects.filter(pk=audit.pk, state=Audit.State.SCORING)
        if states == {ScoreSet.State.READY}:
            still_scoring.update(
                state=Audit.State.CALIBRATING,
                work=Claimable.Work.PENDING,
                attempts=0,
                announced_at=None,
            )
        elif ScoreSet.State.FAILED in states:
            failed = audit.score_sets.filter(state=ScoreSet.State.FAILED)
            reasons = "; ".join(f"{each.expert}: {each.error}" for each in failed)
            still_scoring.update(state=Audit.State.FAILED, error=clean_error(reasons))
        elif ScoreSet.State.CANCELLED in states:
            still_scoring.update(state=Audit.State.CANCELLED)


@transaction.atomic
def retry_or_fail_audit(audit: Audit, reason: str) -> None:
    """Let a calibration that failed be tried again, or fail the audit after three attempts."""
    if claims.retry_or_fail(audit, reason):
        Audit.objects.filter(pk=audit.pk).update(state=Audit.State.FAILED)


@transaction.atomic
def set_urgent(audit: Audit, *, is_urgent: bool) -> None:
    """Score an audit's items before everybody else's, or in turn again."""
    Audit.objects.filter(pk=audit.pk).update(is_urgent=is_urgent)
    _pass_urgency_on(audit)


def _pass_urgency_on(audit: Audit) -> None:
    """Mark those of the audit's experts that any urgent audit waits for."""
    urgent = ScoreSet.objects.filter(audits__is_urgent=True, audits__state=Audit.State.SCORING)
    audit.score_sets.filter(pk__in=urgent.values("pk")).update(is_urgent=True)
    audit.score_sets.exclude(pk__in=urgent.values("pk")).update(is_urgent=False)


@transaction.atomic
def cancel_audit(audit: Audit, person: Any = None) -> bool:
    """Stop an audit; experts that no other audit waits for stop after the chunk in hand."""
    cancelled = Audit.objects.under_way().filter(pk=audit.pk)
    if cancelled.update(state=Audit.State.CANCELLED) != 1:
        return False
    waited_for = ScoreSet.objects.filter(audits__state=Audit.State.SCORING)
    ScoreSet.objects.scoring().filter(audits=audit).exclude(pk__in=waited_for.values("pk")).update(
        state=ScoreSet.State.CANCELLED
    )
    _pass_urgency_on(audit)
    _log(Act.AUDIT_CANCELLED, audit, person)
    return True


@transaction.atomic
def resume_audit(audit: Audit, person: Any = None) -> bool:
    """Take a cancelled or failed audit up again where it stopped."""
    stopped = Audit.objects.filter(
        pk=audit.pk, state__in=[Audit.State.CANCELLED, Audit.State.FAILED]
    )
    resumed = stopped.update(
        state=Audit.State.SCORING,
        work=Claimable.Work.PENDING,
        attempts=0,
        announced_at=None,
        error="",
    )
    if not resumed:
        return False
    for score_set in audit.score_sets.all():
        resume_scores(score_set)
    _pass_urgency_on(audit)
    advance_audits()
    _log(Act.AUDIT_RESUMED, audit, person)
    return True
