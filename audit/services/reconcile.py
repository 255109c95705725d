"""Puts right what crashes leave behind, from the database alone. Safe to run anywhere, any time."""

from __future__ import annotations

from audit.models import Audit, Chunk, ScoreSet
from audit.services import claims
from audit.services.attempts import give_up_attempt
from audit.services.audits import advance_audits, retry_or_fail_audit
from audit.services.closing import retry_or_fail_closing


def reconcile() -> None:
    """Take back work of dead workers, move audits on."""
    for chunk in claims.abandoned(Chunk.objects.select_related("score_set__dataset")):
        give_up_attempt(chunk, f"worker {chunk.owner} died or fell silent", killed=True)
    for score_set in claims.abandoned(ScoreSet.objects.complete()):
        reason = f"worker {score_set.owner} died or fell silent"
        retry_or_fail_closing(score_set, reason)
    advance_audits()
    for audit in claims.abandoned(Audit.objects.filter(state=Audit.State.CALIBRATING)):
        retry_or_fail_audit(audit, f"worker {audit.owner} died or fell silent")
