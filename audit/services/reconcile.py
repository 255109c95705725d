"""Puts right what crashes leave behind, from the database alone. Safe to run anywhere, any time."""

from __future__ import annotations

import logging
import os
import socket
from datetime import timedelta

from django.conf import settings
from django.db.models import Q
from django.db.models.functions import Coalesce, Now

from audit.models import Audit, Chunk, Claimable, ScoreSet, Worker
from audit.services import claims
from audit.services.audits import advance_audits
from audit.services.chunks import give_up_attempt
from audit.services.scores import finish_scores

logger = logging.getLogger(__name__)
MAX_CALIBRATION_ATTEMPTS = 3


def reconcile() -> None:
    """Take back work of dead workers, close what is complete, move audits on."""
    for chunk in silent_chunks():
        give_up_attempt(chunk, f"worker {chunk.owner} died or fell silent", killed=True)
    for score_set in ScoreSet.objects.scoring().filter(source=ScoreSet.Source.RUN):
        finish_scores(score_set)
    advance_audits()
    for audit in silent_calibrations():
        _retry_calibration(audit)


def silent_chunks() -> list[Chunk]:
    """Return running chunks whose worker is dead: silent for too long, or gone from this host."""
    running = Chunk.objects.filter(work=Claimable.Work.RUNNING).select_related("score_set")
    silent = set(Chunk.objects.silent(settings.CLAIM_SECONDS).values_list("pk", flat=True))
    return [chunk for chunk in running if chunk.pk in silent or is_dead_here(chunk.owner)]


def silent_calibrations() -> list[Audit]:
    """Return audits whose calibrating worker is dead."""
    running = Audit.objects.filter(state=Audit.State.CALIBRATING, work=Claimable.Work.RUNNING)
    too_long = Now() - timedelta(seconds=settings.CLAIM_SECONDS)
    silent = set(
        running.annotate(last_sign=Coalesce("heartbeat_at", "claimed_at"))
        .filter(last_sign__lt=too_long)
        .values_list("pk", flat=True)
    )
    return [audit for audit in running if audit.pk in silent or is_dead_here(audit.owner)]


def _retry_calibration(audit: Audit) -> None:
    if audit.attempts < MAX_CALIBRATION_ATTEMPTS:
        claims.put_back(audit, audit.epoch, f"worker {audit.owner} died or fell silent")
    elif claims.fail(audit, audit.epoch, "three workers died while calibrating"):
        Audit.objects.filter(pk=audit.pk).update(state=Audit.State.FAILED)


def is_dead_here(owner: str) -> bool:
    """Whether `owner` names a process of this host that no longer exists."""
    host, _, pid = owner.rpartition(":")
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


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
    Chunk.objects.filter(work=Claimable.Work.PENDING).update(announced_at=None)
    Audit.objects.filter(work=Claimable.Work.PENDING).update(announced_at=None)
