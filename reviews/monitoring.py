"""What monitors ask about the review desk: whether leases are taken back, how much was said."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Count, F, Max, Q
from django.db.models.functions import Now

from audit.checkup.findings import Finding, fine, warn
from audit.checkup.gauges import Gauge
from audit.checkup.readiness import FORGOTTEN
from reviews.models import Judgment, ReviewSlot


def look_at_leases() -> Iterator[Finding]:
    """Look for leases that ran out a while ago: a worker opens them again within seconds."""
    others = ReviewSlot.objects.expired().exclude(purpose=ReviewSlot.Purpose.TRAINING)
    if others.filter(leased_until__lt=Now() - FORGOTTEN).exists():
        yield warn("leases", "some ran out and aren't opened again", "start a worker")
    else:
        yield fine("leases", "none is forgotten")


def review_gauges() -> Iterator[Gauge]:
    """Yield how many items people hold, for how long one has run out, and all that was said."""
    held = ReviewSlot.objects.filter(state=ReviewSlot.State.LEASED)
    others = ~Q(purpose=ReviewSlot.Purpose.TRAINING)
    found = held.aggregate(n=Count("pk"), late=Max(Now() - F("leased_until"), filter=others))
    late = max(found["late"].total_seconds(), 0.0) if found["late"] else 0.0
    yield Gauge("leases", "Items that annotators hold.", found["n"])
    yield Gauge("lease_overdue_seconds", "For how long the oldest lease has run out.", late)
    yield Gauge("judgments", "Verdicts stored, withdrawn ones too.", Judgment.objects.count())
