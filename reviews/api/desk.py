"""The review desk for scripts: claim items, keep them, hand them back, refer them.

Blind as the desk is: until a person has judged an item, nothing here tells its label, what
experts or methods say of it, or what anybody else said. Whoever asks for the quick desk sees the
label and the experts' answers, and the verdict is kept as one that did.
"""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from typing import Annotated, Any

from django.conf import settings
from django.http import Http404, HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Router, Schema
from pydantic import Field

from audit.models import Scope
from reviews.api.access import find_sample
from reviews.api.routes import person, route
from reviews.api.shapes import LARGEST, Body, Document, Id, Text
from reviews.models import Mode, ReviewSlot
from reviews.services import desk, leases
from reviews.services.class_cards import list_class_cards
from reviews.services.desk import Question
from reviews.services.question_desk import MultipleChoice
from reviews.services.referrals import refer_item

router = Router(tags=["review desk"])
SlotId = Annotated[int, Field(ge=1, le=LARGEST)]
HIDDEN = {"categories", "key_label", "experts", "n_experts", "chosen"}
"""What the desk's page needs to propose a verdict, and what is empty unless it is told."""


class DeskMode(StrEnum):
    """Blind, naming the classes that hold; or quick, label and experts in sight."""

    FULL = "full"
    QUICK = "quick"


class Claim(Body):
    """At which desk, and which items are put off for later."""

    mode: DeskMode = DeskMode.FULL
    set_aside: list[SlotId] = Field(default_factory=list, max_length=leases.MOST_SET_ASIDE)


class ClaimedItem(Document):
    """An item to judge. A picture has `candidates`; a question has `question` and `choices`."""

    slot: int
    item: int
    ticket: str
    mode: DeskMode
    is_training: bool


class Claimed(Schema):
    """The items that are the person's now, and for how long without a sign of life."""

    items: list[ClaimedItem]
    elsewhere: int = Field(description="Where there are none: how many others hold.")
    lease_seconds: int


class Held(Schema):
    """Which slots are still the person's, and how many of all are judged."""

    held: list[int]
    judged: int


class Slots(Body):
    """Items by their slots."""

    slots: list[SlotId] = Field(max_length=2 * leases.MOST_SET_ASIDE)


class Opened(Schema):
    """How many items are open to everybody again."""

    opened: int


class Flagged(Body):
    """An item that an adjudicator shall look at, or no longer."""

    slot: SlotId
    ticket: Text = Field("", max_length=200)
    is_open: bool = True
    note: Text = Field("", max_length=2000)


class FlagState(Schema):
    """Whether an adjudicator will look at it."""

    slot: int
    is_open: bool


class ClassCards(Schema):
    """Every class of the data set with clear examples."""

    classes: list[dict[str, Any]]


@route(router, "POST", "/audits/{audit}/review/claim", Scope.JUDGE, Claimed)
def claim_items(request: HttpRequest, audit: Id, body: Claim) -> dict[str, Any]:
    """Claim items to judge, topped up to ten besides those put off."""
    sample, annotator = find_sample(request, audit), person(request)
    mode = Mode(body.mode.value)
    slots = leases.claim_slots(sample, annotator, set_aside=body.set_aside)
    questions = desk.describe_slots(sample, annotator, slots, mode)
    return {
        "items": [
            {
                **write_question(question),
                "ticket": leases.write_ticket(slot, annotator),
                "is_training": slot.purpose == ReviewSlot.Purpose.TRAINING,
            }
            for question, slot in zip(questions, slots, strict=True)
        ],
        "elsewhere": 0 if slots else desk.count_held_by_others(sample, annotator),
        "lease_seconds": settings.LEASE_SECONDS,
    }


def write_question(question: Question | MultipleChoice) -> dict[str, Any]:
    """Return an item to judge, without what would tell its label at the full desk."""
    said = asdict(question)
    if question.mode == Mode.FULL:
        # Of the revealed arm alone there is something to tell.
        hidden = HIDDEN if said["told"] else HIDDEN | {"told"}
        said = {name: value for name, value in said.items() if name not in hidden}
    if isinstance(question, MultipleChoice):
        return said
    start = f"/api/v1/items/{question.item}"
    return {**said, "image": f"{start}/image", "thumb": f"{start}/thumb"}


@route(router, "POST", "/audits/{audit}/review/heartbeat", Scope.JUDGE, Held)
def keep_items(request: HttpRequest, audit: Id) -> dict[str, Any]:
    """Keep the person's items theirs; answer with those that still are."""
    sample = find_sample(request, audit)
    held = leases.renew_leases(sample, person(request))
    return {"held": held, "judged": desk.count_judged(sample)}


@route(router, "POST", "/audits/{audit}/review/hand-back", Scope.JUDGE, Opened)
def hand_back_items(request: HttpRequest, audit: Id, body: Slots) -> dict[str, Any]:
    """Give items back that the person leaves unjudged."""
    sample = find_sample(request, audit)
    return {"opened": leases.hand_back(sample, person(request), body.slots)}


@route(router, "POST", "/audits/{audit}/review/refer", Scope.JUDGE, FlagState)
def refer(request: HttpRequest, audit: Id, body: Flagged) -> dict[str, Any]:
    """Flag one of the person's items for adjudication, or take the flag back."""
    sample, annotator = find_sample(request, audit), person(request)
    slots = sample.slots.select_related("sampled_item")
    slot = get_object_or_404(slots, pk=body.slot)
    if not leases.was_given(slot, annotator, body.ticket):
        raise Http404("this item was not given to you")
    row = slot.sampled_item
    referral = refer_item(annotator, row, is_open=body.is_open, note=body.note)
    return {"slot": slot.pk, "is_open": referral.is_open}


@route(router, "GET", "/audits/{audit}/review/classes", Scope.JUDGE, ClassCards)
def list_cards(request: HttpRequest, audit: Id) -> dict[str, Any]:
    """List every class that can be named, with clear examples."""
    cards = list_class_cards(find_sample(request, audit))
    return {"classes": [asdict(card) for card in cards]}
