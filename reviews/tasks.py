"""What workers are woken up for in reviews: building releases."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q
from django.db.models.functions import Now

from audit.config.celery import app
from audit.models import Claimable
from reviews.models import Release
from reviews.services import releases


@app.task(name="reviews.tasks.build_release")
def build_release(release_id: int, **_: Any) -> None:
    """Build one release. Safe to deliver twice or to restart."""
    releases.build_release(release_id)


def announce_releases() -> int:
    """Send wake-ups for pending releases that have none on their way; return how many."""
    lost = Now() - timedelta(seconds=2 * settings.CLAIM_SECONDS)
    due = Release.objects.filter(
        Q(announced_at__isnull=True) | Q(announced_at__lt=lost), work=Claimable.Work.PENDING
    )
    sent = 0
    for pk in list(due.values_list("pk", flat=True)):
        if due.filter(pk=pk).update(announced_at=Now()):
            build_release.delay(pk)
            sent += 1
    return sent
