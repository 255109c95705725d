"""Workers' signs of life, and whether a worker may work for this installation at all."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet, Sum
from django.db.models.functions import Now

from audit.models import Claimable, Installation, Worker
from audit.redaction import clean_error

# Signs of workers that were killed are shown for a day.
REMEMBERED = timedelta(days=1)


def version_refusal() -> str:
    """Return why code of this version must not work on this database, empty if it may."""
    versions = Installation.objects.values_list("version", flat=True)
    version, own = versions.first(), settings.LABEL_AUDIT_VERSION
    if version in {None, own}:
        return ""
    return f"version_mismatch: this worker is version {own}, the installation {version}"


def sign_in(name: str, *, devices: str = "", slots: int = 1, trouble: str = "") -> None:
    """Record a worker's sign of life."""
    facts = {
        "version": settings.LABEL_AUDIT_VERSION,
        "devices": devices[:255],
        "slots": slots,
        "trouble": clean_error(trouble),
        "seen_at": Now(),
    }
    if not Worker.objects.filter(name=name).update(**facts):
        Worker.objects.get_or_create(name=name, defaults={**facts, "started_at": Now()})


def sign_out(name: str) -> None:
    """Forget a worker that stops, and those that were killed long ago."""
    Worker.objects.filter(Q(name=name) | Q(seen_at__lt=Now() - REMEMBERED)).delete()


def count_slots() -> int:
    """Return how many chunks the listening workers can score at a time."""
    return Worker.objects.listening().aggregate(Sum("slots"))["slots__sum"] or 0


def is_deaf(waiting: Sequence[QuerySet[Any]], pids: Sequence[int]) -> bool:
    """Whether wake-ups have waited for a claim's time while none of these processes took any work.

    A Celery worker that could not acknowledge a message, its broker being half dead, counts it for
    ever and takes no other. Nothing but its idleness tells.
    """
    long_ago = Now() - timedelta(seconds=settings.CLAIM_SECONDS)
    owners = [f"{socket.gethostname()}:{pid}" for pid in pids]
    if not any(rows.filter(announced_at__lt=long_ago).exists() for rows in waiting):
        return False
    taken = Q(work=Claimable.Work.RUNNING) | Q(claimed_at__gte=long_ago)
    return not any(
        rows.model._default_manager.filter(taken, owner__in=owners).exists() for rows in waiting
    )


def forget_announcements() -> None:
    """Let all pending work be announced anew: a dead worker may have taken wake-ups with it."""
    for kind in Claimable.__subclasses__():
        pending = kind._default_manager.filter(work=Claimable.Work.PENDING)
        pending.filter(announced_at__isnull=False).update(announced_at=None)
