"""Flags for adjudication: an annotator asks for an item to be decided by somebody else."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib.auth.models import User

from reviews.models import Referral, ReviewSlot, SampledItem


def find_referred(annotator: User, slots: Sequence[ReviewSlot]) -> set[int]:
    """Return which of the slots' sampled items the annotator has flagged."""
    referrals = Referral.objects.standing().filter(
        annotator=annotator, sampled_item__in=[slot.sampled_item_id for slot in slots]
    )
    return set(referrals.values_list("sampled_item", flat=True))


def refer_item(annotator: User, row: SampledItem, *, is_open: bool, note: str = "") -> Referral:
    """Set or take back the annotator's flag on an item; the same twice changes nothing."""
    referral, _ = Referral.objects.update_or_create(
        sampled_item=row, annotator=annotator, defaults={"is_open": is_open, "note": note}
    )
    return referral
