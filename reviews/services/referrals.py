"""Flags for adjudication: an annotator asks for an item to be decided by somebody else."""

from __future__ import annotations

from django.contrib.auth.models import User

from reviews.models import Referral, SampledItem


def refer_item(annotator: User, row: SampledItem, *, is_open: bool, note: str = "") -> Referral:
    """Set or take back the annotator's flag on an item; the same twice changes nothing."""
    referral, _ = Referral.objects.update_or_create(
        sampled_item=row, annotator=annotator, defaults={"is_open": is_open, "note": note}
    )
    return referral
