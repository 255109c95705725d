"""Leases: who may judge which slot, and until when. All times are the database's."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.auth.models import User
from django.core import signing
from django.db import connection, transaction
from django.db.models import DateTimeField, Exists, Expression, ExpressionWrapper, F, OuterRef
from django.db.models.functions import Now

from audit.models import Membership
from reviews.models import ReviewSlot, Sample
from reviews.services.gold import GOLD, TRAINING, known_uses, lease_training, slip_in_gold

if TYPE_CHECKING:
    from reviews.querysets import ReviewSlotQuerySet

BATCH = 10
MOST_SET_ASIDE = 50
CLAIM_ATTEMPTS = 3
TICKET = "reviews.lease"
STATE = ReviewSlot.State


def write_ticket(slot: ReviewSlot, annotator: User) -> str:
    """Return the proof that the annotator was given this slot with its present epoch."""
    return signing.Signer(salt=TICKET).sign(f"{slot.pk}.{slot.epoch}.{annotator.pk}")


def read_ticket(ticket: str, annotator: User) -> tuple[int, int]:
    """Return the slot and the epoch that a ticket names.

    ValueError when it is no ticket; PermissionError when it was given to somebody else.
    """
    try:
        content = signing.Signer(salt=TICKET).unsign(ticket)
    except signing.BadSignature as error:
        raise ValueError("no valid ticket for this item") from error
    slot, epoch, holder = (int(part) for part in content.split("."))
    if holder != annotator.pk:
        raise PermissionError("this item was given to somebody else")
    return slot, epoch


def was_given(slot: ReviewSlot, annotator: User, ticket: str) -> bool:
    """Whether the slot is the annotator's, or was when the ticket was written."""
    if slot.annotator_id == annotator.pk:
        return True
    try:
        return read_ticket(ticket, annotator)[0] == slot.pk
    except (PermissionError, ValueError):
        return False


def lease_end() -> Expression:
    """Return the moment at which a lease that starts or is renewed now runs out."""
    length = timedelta(seconds=settings.LEASE_SECONDS)
    return ExpressionWrapper(Now() + length, output_field=DateTimeField())


def claim_slots(
    sample: Sample, annotator: User, wanted: int = BATCH, set_aside: Collection[int] = ()
) -> list[ReviewSlot]:
    """Return the slots the annotator now holds, topped up to `wanted`, in serving order.

    Slots that the annotator put off for later (`set_aside`) stay theirs and don't count, up to
    `MOST_SET_ASIDE`. An empty answer means that nothing is left for this annotator.
    """
    aside = set(sorted(set_aside)[:MOST_SET_ASIDE])
    for _ in range(CLAIM_ATTEMPTS):
        enough = _top_up(sample, annotator, wanted, aside)
        held = list(
            sample.slots.held_by(annotator).select_related("sampled_item__item")[
                : wanted + MOST_SET_ASIDE
            ]
        )
        # Enough was held and is gone: the page before this one handed it back meanwhile.
        if held or not enough:
            break
    training = [slot for slot in held if slot.purpose == ReviewSlot.Purpose.TRAINING]
    return training or held


def _top_up(sample: Sample, annotator: User, wanted: int, aside: set[int]) -> bool:
    """Hold up to `wanted` slots besides those set aside; return whether so many could be had."""
    # First pass over what others are claiming at this moment; if that leaves too few, wait for
    # them; if it still does, look for leases that ran out.
    enough = _take(sample, annotator, wanted, aside, pass_over_locked=True)
    enough = enough or _take(sample, annotator, wanted, aside, pass_over_locked=False)
    if not enough and reopen_expired(sample):
        enough = _take(sample, annotator, wanted, aside, pass_over_locked=False)
    return enough


@transaction.atomic
def _take(
    sample: Sample, annotator: User, wanted: int, aside: set[int], *, pass_over_locked: bool
) -> bool:
    """Renew what is held and lease open slots, one per item, until `wanted` are held.

    Return whether that many are. A slot looks open to every reader until its lease is committed,
    so finding one is not enough: PostgreSQL locks the rows, and on every database the update asks
    for `open` again.
    """
    _take_turns(sample, annotator)
    held = sample.slots.held_by(annotator).order_by()
    n_held = held.update(leased_until=lease_end())
    known = known_uses(sample)
    if TRAINING in known and lease_training(sample, annotator, wanted, lease_end()):
        return True
    if aside:
        n_held -= held.filter(pk__in=aside).count()
    missing = wanted - n_held
    if missing <= 0:
        return True
    candidates = (
        sample.slots.claimable_by(annotator)
        .select_for_update(skip_locked=pass_over_locked)
        .values_list("sampled_item", "pk")[: missing * sample.votes_per_item]
    )
    one_per_item: dict[int, int] = {}
    for item, slot in candidates:
        one_per_item.setdefault(item, slot)
    chosen = list(one_per_item.values())[:missing]
    # Said the other way round, or SQLite would walk through all open slots to find these few.
    still_open = ReviewSlot.objects.filter(pk__in=chosen).exclude(
        state__in=[STATE.LEASED, STATE.JUDGED]
    )
    taken = still_open.update(
        state=STATE.LEASED, annotator=annotator, leased_until=lease_end(), epoch=F("epoch") + 1
    )
    if GOLD in known:
        slip_in_gold(sample, annotator, chosen)
    return taken == missing


def _take_turns(sample: Sample, annotator: User) -> None:
    """Let one person's claims from two windows wait for each other.

    Otherwise both could pick the same item. SQLite has one writer at a time anyway.
    """
    if connection.features.has_select_for_update:
        members = Membership.objects.select_for_update(of=("self",)).filter(
            user=annotator, project__datasets__audits__sample=sample
        )
        list(members.values_list("pk", flat=True))


def renew_leases(sample: Sample, annotator: User) -> list[int]:
    """Extend the annotator's leases and return the slots that are still theirs."""
    held = sample.slots.held_by(annotator).order_by()
    held.update(leased_until=lease_end())
    return list(held.values_list("pk", flat=True))


def hand_back(sample: Sample, annotator: User, slots: Iterable[int]) -> int:
    """Open the annotator's unjudged slots to everybody and return how many."""
    return open_slots(sample.slots.held_by(annotator).order_by().filter(pk__in=list(slots)))


def reopen_expired(sample: Sample | None = None) -> int:
    """Open slots whose lease ran out or whose holder has left the project; return how many.

    The epoch stays, so a late verdict is still welcome while nobody else took the slot.
    """
    slots = sample.slots.all() if sample else ReviewSlot.objects.all()
    members = Membership.objects.filter(
        user=OuterRef("annotator"),
        user__is_active=True,
        project__datasets__audits__sample=OuterRef("sample"),
    )
    deserted = slots.filter(~Exists(members), state=STATE.LEASED)
    return open_slots(slots.expired()) + open_slots(deserted)


def open_slots(slots: ReviewSlotQuerySet) -> int:
    """Take these slots out of their holders' hands; training stays with whom it is for."""
    others = slots.exclude(purpose=ReviewSlot.Purpose.TRAINING)
    return others.update(state=STATE.OPEN, annotator=None, leased_until=None, judgment=None)
