"""One more vote where the two that were asked for differ."""

from __future__ import annotations

from django.db.models import F

from reviews.disputes import ANSWER_FIELDS, agreed, read_said
from reviews.models import ReviewSlot, Sample, SampledItem

TWO = 2


def ask_third_vote(head: Sample, slot_id: int) -> None:
    """Open a third slot for the slot's item if its two votes are in and say different things.

    The caller holds the lock of the sample's chain (`head`), so that of two votes at one moment
    the second one sees the first.
    """
    if not head.adds_third_vote or head.votes_per_item < TWO:
        return
    row = SampledItem.objects.select_related("stratum").get(slots=slot_id)
    if row.votes_wanted != TWO:
        return
    votes = ReviewSlot.objects.filter(sampled_item=row).for_estimates().order_by("number")
    said = list(votes.values_list("state", *ANSWER_FIELDS))
    are_in = len(said) == TWO and all(vote[0] == ReviewSlot.State.JUDGED for vote in said)
    if not are_in or row.adjudications.exists():
        return
    if agreed([read_said(*vote) for _, *vote in said]):
        return
    number = row.slots.order_by("-number").values_list("number", flat=True)[0] + 1
    ReviewSlot.objects.create(sample_id=head.pk, sampled_item=row, number=number, order=row.order)
    Sample.objects.filter(pk=head.pk).update(n_votes=F("n_votes") + 1)


def drop_third_vote(row: SampledItem) -> None:
    """Take back what was asked beyond the plan and that nobody has begun, once it is decided."""
    unasked = row.slots.for_estimates().filter(
        state=ReviewSlot.State.OPEN, number__gt=row.votes_wanted, judgments=None
    )
    dropped, _ = ReviewSlot.objects.filter(
        pk__in=list(unasked.values_list("pk", flat=True))
    ).delete()
    Sample.objects.filter(pk=row.sample_id).update(n_votes=F("n_votes") - dropped)
