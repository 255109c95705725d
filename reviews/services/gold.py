"""Slip items with known answers among those that somebody is given to judge.

A gold item takes the row of a slot that was just leased; the item that was there moves to a new
row. So neither number nor place of a slot says what it is for.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from django.contrib.auth.models import User
from django.db.models import Exists, Max, OuterRef, QuerySet
from django.db.models.expressions import Combinable

from reviews.models import (
    KnownItem,
    Policy,
    QualityPlan,
    ReviewSlot,
    Sample,
    SampledItem,
    Training,
)
from reviews.truths import is_error_by

STATE, PURPOSE = ReviewSlot.State, ReviewSlot.Purpose
GOLD, TRAINING = KnownItem.Use.GOLD, KnownItem.Use.TRAINING
DEFAULT_SHARE = 0.05
chance = random.SystemRandom()


def known_uses(sample: Sample) -> set[str]:
    """Return what for items are marked whose answer is known."""
    marked = KnownItem.objects.filter(audit=sample.audit_id, is_active=True)
    return set(marked.order_by().values_list("use", flat=True).distinct())


def slip_in_gold(sample: Sample, annotator: User, leased: Sequence[int]) -> None:
    """Add gold to the slots an annotator was just given, in the share that the plan asks for."""
    share = find_plan(sample).gold_share
    n_gold = sum(chance.random() < share / (1 - share) for _ in leased)
    if not n_gold:
        return
    rows = list(unseen(sample, annotator, GOLD).values_list("pk", flat=True))
    lots = chance.sample(rows, min(n_gold, len(rows)))
    # Locked in one order: two people given the same item at one moment number their slots in turn.
    chosen = list(SampledItem.objects.select_for_update().filter(pk__in=lots).order_by("pk"))
    untouched = sample.slots.held_by(annotator).filter(pk__in=leased, judgments=None)
    slots = chance.sample(list(untouched), min(len(chosen), len(untouched)))
    places = list(sample.slots.held_by(annotator).values_list("order", flat=True))
    for row, slot in zip(chosen, slots, strict=False):
        _change_places(row, slot, chance.choice(places))


def _change_places(row: SampledItem, slot: ReviewSlot, order: int) -> None:
    """Let the slot's row show the gold item, and a new row what it showed."""
    moved = ReviewSlot(
        sample_id=slot.sample_id,
        sampled_item_id=slot.sampled_item_id,
        number=slot.number,
        order=slot.order,
        state=slot.state,
        annotator_id=slot.annotator_id,
        leased_until=slot.leased_until,
        epoch=slot.epoch,
    )
    ReviewSlot.objects.filter(pk=slot.pk).update(
        sampled_item=row, number=_next_number(row), order=order, purpose=PURPOSE.GOLD
    )
    moved.save(force_insert=True)


def lease_training(sample: Sample, annotator: User, wanted: int, leased_until: Combinable) -> bool:
    """Lease what is left of the training set; False once there is nothing to train on.

    The caller lets one person's claims take turns.
    """
    plan = QualityPlan.objects.filter(audit=sample.audit_id, n_training__gt=0).first()
    if plan is None or Training.objects.filter(sample=sample, annotator=annotator).exists():
        return False
    mine = sample.slots.filter(annotator=annotator, purpose=PURPOSE.TRAINING)
    rest = unseen(sample, annotator, TRAINING).order_by("order")
    n_missing = min(plan.n_training - mine.count(), wanted)
    chosen = list(rest.values_list("pk", flat=True)[: max(n_missing, 0)])
    for row in SampledItem.objects.select_for_update().filter(pk__in=chosen).order_by("pk"):
        ReviewSlot.objects.create(
            sample=sample,
            sampled_item=row,
            number=_next_number(row),
            purpose=PURPOSE.TRAINING,
            order=row.order,
            state=STATE.LEASED,
            annotator=annotator,
            leased_until=leased_until,
            epoch=1,
        )
    if mine.filter(state=STATE.LEASED).exists():
        return True
    _finish_training(sample, annotator, mine)
    return False


def _finish_training(sample: Sample, annotator: User, mine: QuerySet[ReviewSlot]) -> None:
    """Record that somebody has judged the whole training set, and how much of it rightly."""
    judged = dict(
        mine.filter(state=STATE.JUDGED).values_list("sampled_item__item", "judgment__verdict")
    )
    if not judged:
        return
    known = KnownItem.objects.filter(audit=sample.audit_id, item__in=judged)
    n_right = sum(is_right(each.verdict, judged[each.item_id]) for each in known)
    Training.objects.get_or_create(
        sample=sample,
        annotator=annotator,
        defaults={"n_items": len(judged), "n_right": n_right},
    )


def is_right(known: str, said: str) -> bool:
    """Whether a verdict is on the side of the known answer: label error or not."""
    return is_error_by(said, Policy.LENIENT) is is_error_by(known, Policy.LENIENT)


def unseen(sample: Sample, annotator: User, use: str) -> QuerySet[SampledItem]:
    """Return the rows of items with known answers that the annotator has no part in yet."""
    known = KnownItem.objects.filter(
        audit=sample.audit_id, item=OuterRef("item"), use=use, is_active=True
    )
    mine = ReviewSlot.objects.filter(sampled_item=OuterRef("pk"), annotator=annotator)
    # Whoever met an item as gold can't vote on it, so its own votes come first.
    to_come = ReviewSlot.objects.for_estimates().filter(sampled_item=OuterRef("pk"))
    return SampledItem.objects.filter(
        Exists(known), ~Exists(mine), ~Exists(to_come.exclude(state=STATE.JUDGED)), sample=sample
    )


def find_plan(sample: Sample) -> QualityPlan:
    """Return the audit's plan, or what holds without one."""
    plan = QualityPlan.objects.filter(audit=sample.audit_id).first()
    return plan or QualityPlan(audit_id=sample.audit_id, gold_share=DEFAULT_SHARE)


def _next_number(row: SampledItem) -> int:
    return (row.slots.aggregate(Max("number"))["number__max"] or 0) + 1
