"""What the review desk shows: the items an annotator holds, and what that annotator said before.

Quick mode shows the given label and the experts' top-1 classes. Confidences, methods and other
people's verdicts never leave the server from here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from django.contrib.auth.models import User
from django.db.models import Count
from numpy.typing import NDArray

from audit.evidence import load_evidence
from audit.models import Audit, Dataset, DatasetClass
from reviews.models import Judgment, ReviewSlot, Sample

HISTORY = 60


@dataclass(frozen=True, slots=True)
class ClassCard:
    """A class as people tell it apart: by name, WordNet id and gloss."""

    index: int
    name: str
    wordnet_id: str
    gloss: str
    shares_name: bool


@dataclass(frozen=True, slots=True)
class Question:
    """One item to judge in quick mode.

    `candidates` are the experts' top-1 classes that differ from the given label; `chosen` is the
    class they agree on, or None.
    """

    slot: int
    item: int
    width: int
    height: int
    given: ClassCard
    candidates: tuple[ClassCard, ...]
    chosen: int | None
    n_experts: int
    n_confirming: int


@dataclass(frozen=True, slots=True)
class Past:
    """A verdict of the annotator's own that stands."""

    question: Question
    judgment: Judgment
    corrected: ClassCard | None


def describe_slots(audit: Audit, slots: Sequence[ReviewSlot]) -> list[Question]:
    """Return what the desk shows for each slot."""
    top1 = _read_top1(audit, slots)
    given = [slot.sampled_item.item.given_label for slot in slots]
    cards = find_class_cards(audit.dataset, {*given, *(int(label) for label in top1.ravel())})
    return [_describe(slot, top1[:, place], cards) for place, slot in enumerate(slots)]


def _read_top1(audit: Audit, slots: Sequence[ReviewSlot]) -> NDArray[np.int32]:
    """Return the experts' top-1 classes, shape (n_experts, n_slots); -1 where there is none."""
    positions = [slot.sampled_item.item.position for slot in slots]
    return np.asarray(load_evidence(audit.pk).top1[:, positions])


def _describe(slot: ReviewSlot, top1: NDArray[np.int32], cards: dict[int, ClassCard]) -> Question:
    item = slot.sampled_item.item
    seen = [int(label) for label in top1 if label >= 0]
    others = list(dict.fromkeys(label for label in seen if label != item.given_label))
    agree = len(others) == 1 and seen.count(others[0]) == len(top1)
    return Question(
        slot=slot.pk,
        item=item.pk,
        width=item.width,
        height=item.height,
        given=cards[item.given_label],
        candidates=tuple(cards[label] for label in others),
        chosen=others[0] if agree else None,
        n_experts=len(top1),
        n_confirming=seen.count(item.given_label),
    )


def find_class_cards(dataset: Dataset, indices: Iterable[int]) -> dict[int, ClassCard]:
    """Return the classes by index; one without a name of its own is called by its number."""
    wanted = {index for index in indices if index >= 0}
    found = {row.index: row for row in dataset.classes.filter(index__in=wanted)}
    names = {row.name for row in found.values()}
    twins = set(
        dataset.classes.filter(name__in=names)
        .order_by()
        .values_list("name", flat=True)
        .annotate(n_classes=Count("pk"))
        .filter(n_classes__gt=1)
    )
    unnamed = {
        index: DatasetClass(dataset=dataset, index=index, name=f"class {index}")
        for index in wanted - found.keys()
    }
    return {index: make_card(row, twins) for index, row in (found | unnamed).items()}


def make_card(row: DatasetClass, twins: set[str]) -> ClassCard:
    """Return the class as a card; `twins` are the names that several classes share."""
    return ClassCard(row.index, row.name, row.wordnet_id, row.gloss, row.name in twins)


def list_class_cards(dataset: Dataset) -> list[ClassCard]:
    """Return every class of the data set, by index."""
    rows = list(dataset.classes.all())
    twins = {name for name, count in Counter(row.name for row in rows).items() if count > 1}
    return [make_card(row, twins) for row in rows]


def recall_verdicts(sample: Sample, annotator: User) -> list[Past]:
    """Return the annotator's newest standing verdicts, the newest last."""
    own = Judgment.objects.standing().filter(annotator=annotator, slot__sample=sample)
    newest = own.select_related("slot__sampled_item__item").order_by("-pk")[:HISTORY]
    judgments = list(reversed(newest))
    questions = describe_slots(sample.audit, [judgment.slot for judgment in judgments])
    labels = [judgment.corrected_label for judgment in judgments]
    cards = find_class_cards(sample.audit.dataset, {label for label in labels if label is not None})
    return [
        Past(question, judgment, None if label is None else cards[label])
        for question, judgment, label in zip(questions, judgments, labels, strict=True)
    ]


def count_judged(sample: Sample) -> int:
    """Return how many of the sample's slots hold a verdict."""
    return sample.slots.filter(state=ReviewSlot.State.JUDGED).count()


def count_held_by_others(sample: Sample, annotator: User) -> int:
    """Return how many slots other people are looking at now."""
    leased = sample.slots.filter(state=ReviewSlot.State.LEASED)
    return leased.exclude(annotator=annotator).count()
