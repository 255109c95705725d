"""What the review desk shows: the items an annotator holds, and what that annotator said before.

The full desk shows candidate classes without a mark on the given label; what each would make of
the label goes along, so that the page can propose a category at once. The quick desk shows the
label and the experts' top-1 classes. Confidences and methods leave the server only for items of
the revealed arm, other people's verdicts never.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from django.contrib.auth.models import User

from audit.evidence import load_top1
from audit.models import Item
from reviews.models import Adjudication, Judgment, Mode, Reveal, ReviewSlot, Sample, Verdict
from reviews.randomisation import sees_label_first, shuffle_classes
from reviews.services.class_cards import ClassCard, find_class_cards, find_shown_classes
from reviews.services.question_desk import MultipleChoice, describe_questions
from reviews.services.referrals import find_referred
from reviews.services.reveals import Told, describe_told

HISTORY = 60


@dataclass(frozen=True, slots=True)
class Question:
    """One item to judge."""

    slot: int
    item: int
    width: int
    height: int
    is_referred: bool
    mode: Mode
    candidates: tuple[ClassCard, ...]


@dataclass(frozen=True, slots=True)
class FullQuestion(Question):
    """Classes to tick. `categories`: what a class would make of the label; others: wrong label."""

    categories: dict[int, str]
    told: Told | None


@dataclass(frozen=True, slots=True)
class QuickQuestion(Question):
    """The label and, as candidates, what experts say instead; `chosen`: what they agree on."""

    given: ClassCard
    chosen: int | None
    n_experts: int
    n_confirming: int


@dataclass(frozen=True, slots=True)
class Past:
    """A verdict of the annotator's own that stands."""

    question: Question | MultipleChoice
    judgment: Judgment
    corrected: ClassCard | None
    ticked: tuple[ClassCard, ...] | None
    is_revealed: bool


@dataclass(frozen=True, slots=True)
class _Row:
    """One slot, each expert's top-1 class (-1 = no score), and the classes to choose from."""

    slot: ReviewSlot
    top1: tuple[int, ...]
    classes: tuple[int, ...]

    @property
    def item(self) -> Item:
        return self.slot.sampled_item.item


@dataclass(frozen=True, slots=True)
class _Desk:
    """Whose desk it is, and what has been read for its items at once."""

    sample: Sample
    annotator: User
    referred: Collection[int]
    near: Mapping[int, Mapping[str, str]]
    cards: Mapping[int, ClassCard]


def describe_slots(
    sample: Sample, annotator: User, slots: Sequence[ReviewSlot], mode: Mode
) -> Sequence[Question | MultipleChoice]:
    """Return what the desk shows for each slot."""
    if sample.audit.dataset.has_questions:
        return describe_questions(sample, annotator, slots, mode)
    rows = _read_rows(sample, slots)
    wanted = {label for row in rows for label in row.classes}
    known = find_shown_classes(sample, wanted)
    exemplars = {index: each.exemplars for index, each in known.items()}
    desk = _Desk(
        sample,
        annotator,
        referred=find_referred(annotator, slots),
        near={index: each.near for index, each in known.items()},
        cards=find_class_cards(sample.audit.dataset, wanted, exemplars),
    )
    ask = _ask_quickly if mode == Mode.QUICK else _ask_in_full
    return [ask(desk, row) for row in rows]


def _read_rows(sample: Sample, slots: Sequence[ReviewSlot]) -> list[_Row]:
    positions = [slot.sampled_item.item.position for slot in slots]
    top1s = np.asarray(load_top1(sample.audit_id)[:, positions]).T.tolist()
    rows = []
    for slot, top1 in zip(slots, top1s, strict=True):
        row = slot.sampled_item
        seen = [row.item.given_label, *(label for label in top1 if label >= 0), *row.candidates]
        rows.append(_Row(slot, tuple(top1), tuple(dict.fromkeys(seen))))
    return rows


def _ask_in_full(desk: _Desk, row: _Row) -> FullQuestion:
    item, seed, annotator = row.item, desk.sample.seed, desk.annotator.pk
    near = desk.near.get(item.given_label, {})
    is_revealed = sees_label_first(seed, desk.sample.revealed_share, item.pk, annotator)
    shown = shuffle_classes(row.classes, seed, item.pk, annotator)
    return FullQuestion(
        slot=row.slot.pk,
        item=item.pk,
        width=item.width,
        height=item.height,
        is_referred=row.slot.sampled_item_id in desk.referred,
        mode=Mode.FULL,
        candidates=tuple(desk.cards[label] for label in shown),
        categories={
            **{int(label): category for label, category in near.items()},
            item.given_label: Verdict.LABEL_CORRECT,
        },
        told=describe_told(desk.sample.audit, item) if is_revealed else None,
    )


def _ask_quickly(desk: _Desk, row: _Row) -> QuickQuestion:
    item = row.item
    seen = [label for label in row.top1 if label >= 0]
    others = list(dict.fromkeys(label for label in seen if label != item.given_label))
    agree = len(others) == 1 and seen.count(others[0]) == len(row.top1)
    return QuickQuestion(
        slot=row.slot.pk,
        item=item.pk,
        width=item.width,
        height=item.height,
        is_referred=row.slot.sampled_item_id in desk.referred,
        mode=Mode.QUICK,
        candidates=tuple(desk.cards[label] for label in others),
        given=desk.cards[item.given_label],
        chosen=others[0] if agree else None,
        n_experts=len(row.top1),
        n_confirming=seen.count(item.given_label),
    )


def recall_verdicts(sample: Sample, annotator: User, mode: Mode) -> list[Past]:
    """Return the annotator's newest standing verdicts, the newest last."""
    own = Judgment.objects.standing().filter(annotator=annotator, slot__sample=sample)
    newest = own.select_related("slot__sampled_item__item").order_by("-pk")[:HISTORY]
    judgments = list(reversed(newest))
    questions = describe_slots(sample, annotator, [each.slot for each in judgments], mode)
    cards = find_class_cards(sample.audit.dataset, labels_of(judgments))
    items = [each.slot.sampled_item_id for each in judgments]
    reveals = Reveal.objects.filter(annotator=annotator, sampled_item__in=items)
    revealed = set(reveals.values_list("sampled_item", flat=True))
    return [
        Past(
            question,
            judgment,
            None if judgment.corrected_label is None else cards[judgment.corrected_label],
            None if judgment.labels is None else tuple(cards[label] for label in judgment.labels),
            judgment.slot.sampled_item_id in revealed,
        )
        for question, judgment in zip(questions, judgments, strict=True)
    ]


def labels_of(judgments: Sequence[Judgment] | Sequence[Adjudication]) -> set[int]:
    """Return every class that the judgments, or decisions, name."""
    named = {label for judgment in judgments for label in judgment.labels or ()}
    return named | {each.corrected_label for each in judgments if each.corrected_label is not None}


def count_judged(sample: Sample) -> int:
    """Return how many of the sample's slots hold a verdict."""
    return sample.slots.filter(state=ReviewSlot.State.JUDGED).count()


def count_held_by_others(sample: Sample, annotator: User) -> int:
    """Return how many slots other people are looking at now."""
    leased = sample.slots.filter(state=ReviewSlot.State.LEASED)
    return leased.exclude(annotator=annotator).count()
