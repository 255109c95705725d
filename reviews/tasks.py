"""What workers are woken up for in reviews: releases, measurements, outside votes."""

from __future__ import annotations

from typing import Any

from audit.config.celery import app
from audit.models import Claimable, Import, Measurement
from audit.services import workers
from audit.tasks import announce
from reviews.models import Release
from reviews.services import measuring, releases, votes


@app.task(name="reviews.tasks.build_release")
def build_release(release_id: int, **_: Any) -> None:
    """Build one release. Safe to deliver twice or to restart."""
    if not workers.version_refusal():
        releases.build_release(release_id)


def announce_releases() -> int:
    """Send wake-ups for pending releases that have none on their way; return how many."""
    return announce(build_release, Release.objects.filter(work=Claimable.Work.PENDING))


@app.task(name="reviews.tasks.measure")
def measure(measurement_id: int, **_: Any) -> None:
    """Make one measurement. Safe to deliver twice or to restart."""
    if not workers.version_refusal():
        measuring.measure(measurement_id)


def announce_measurements() -> int:
    """Send wake-ups for pending measurements that have none on their way; return how many."""
    return announce(measure, Measurement.objects.pending())


@app.task(name="reviews.tasks.bring_votes")
def bring_votes(import_id: int, **_: Any) -> None:
    """Bring outside votes in. Safe to deliver twice or to restart."""
    if not workers.version_refusal():
        votes.run_votes_import(import_id)


def announce_votes() -> int:
    """Send wake-ups for pending imports of votes that have none on their way; return how many."""
    return announce(bring_votes, Import.objects.pending().of_votes())
