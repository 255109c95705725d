"""What is hidden until an annotator has judged: the label, the experts' words, the flags."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import User

from audit.evidence import load_evidence
from audit.methods import CALIBRATED_ENSEMBLE, RANKINGS, name_method, order_methods
from audit.models import Audit, DatasetClass, Item
from audit.services.item_evidence import expert_words
from reviews.models import Judgment, Reveal
from reviews.services.class_cards import ClassCard, find_class_cards
from reviews.services.question_words import (
    JudgeAnswer,
    OptionWord,
    describe_options,
    find_judge_answers,
)


@dataclass(frozen=True, slots=True)
class ToldWord:
    """One expert's top-1 with its confidence before and after calibration, None without one."""

    expert: str
    top1: ClassCard | None
    raw_confidence: float | None
    confidence: float | None
    on_label: float | None


@dataclass(frozen=True, slots=True)
class ToldFlag:
    """One method that flagged the item, and its place in that method's queue."""

    method: str
    rank: int


@dataclass(frozen=True, slots=True)
class Told:
    """Everything that is revealed of one item. `bin` counts from the most confident, 1.

    Of a question also what experts give each option, and what judge models answer.
    """

    given: ClassCard
    experts: tuple[ToldWord, ...]
    flags: tuple[ToldFlag, ...]
    bin: int | None
    n_bins: int
    options: tuple[OptionWord, ...] = ()
    judges: tuple[JudgeAnswer, ...] = ()


def reveal_to(annotator: User, judgment: Judgment) -> Told:
    """Reveal the item of the annotator's own judgment, and remember that it was."""
    row = judgment.slot.sampled_item
    Reveal.objects.bulk_create(
        [Reveal(sampled_item=row, annotator=annotator)], ignore_conflicts=True
    )
    return describe_told(judgment.slot.sample.audit, row.item)


def describe_told(audit: Audit, item: Item) -> Told:
    """Return what the audit knows of an item, in the words of the desk."""
    evidence = load_evidence(audit.pk)
    tops = {int(label) for label in evidence.top1[:, item.position]}
    cards = find_class_cards(audit.dataset, {item.given_label, *tops})
    rows = {index: DatasetClass(index=index) for index in cards}
    flags = {flag.method: flag for flag in audit.flags.filter(item=item)}
    binned = flags.get(CALIBRATED_ENSEMBLE)
    return Told(
        given=cards[item.given_label],
        experts=tuple(
            ToldWord(
                word.name,
                cards[word.top1.index] if word.top1 else None,
                word.raw_confidence,
                word.confidence,
                word.given_probability,
            )
            for word in expert_words(audit, item, evidence, rows)
        ),
        flags=tuple(
            ToldFlag(name_method(method), flags[method].rank)
            for method in order_methods(flags)
            if method not in RANKINGS
        ),
        bin=binned.bin_rank if binned else None,
        n_bins=audit.n_bins,
        options=describe_options(audit, item) if audit.dataset.has_questions else (),
        judges=find_judge_answers(item) if audit.dataset.has_questions else (),
    )
