"""Puts right what crashes leave behind, from the database alone. Safe to run anywhere, any time."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Q
from django.db.models.functions import Now

from audit.models import Audit, Chunk, Claimable, ScoreSet, Worker
from audit.services import claims
from audit.services.attempts import give_up_attempt
from audit.services.audits import advance_audits, retry_or_fail_audit
from audit.services.scores import finish_scores


def reconcile() -> None:
    """Take back work of dead workers, close what is complete, move audits on."""
    for chunk in claims.abandoned(Chunk.objects.select_related("score_set__dataset")):
        give_up_attempt(chunk, f"worker {chunk.owner} died or fell silent", killed=True)
    for score_set in ScoreSet.objects.scoring().filter(source=ScoreSet.Source.RUN):
        finish_scores(score_set)
    advance_audits()
    for audit in claims.abandoned(Audit.objects.filter(state=Audit.State.CALIBRATING)):
        retry_or_fail_audit(audit, f"worker {audit.owner} died or fell silent")


def sign_in(name: str, version: str) -> None:
    """Record a worker's sign of life."""
    if not Worker.objects.filter(name=name).update(seen_at=Now(), version=version):
        Worker.objects.get_or_create(
            name=name, defaults={"version": version, "started_at": Now(), "seen_at": Now()}
        )


def sign_out(name: str) -> None:
    """Forget a worker that stops."""
    Worker.objects.filter(Q(name=name) | Q(seen_at__lt=Now() - timedelta(days=1))).delete()


def forget_announcements() -> None:
    """Let all pending work be announced anew: a dead worker may have taken wake-ups with it."""
    for kind in Claimable.__subclasses__():
        kind._default_manager.filter(work=Claimable.Work.PENDING).update(announced_at=None)
