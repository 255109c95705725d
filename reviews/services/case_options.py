"""The rows of a case file: each class or option with what experts give it and who votes for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from django.contrib.auth.models import User

from audit.models import Item
from reviews.disputes import read_said
from reviews.models import Judgment
from reviews.services.class_cards import ClassCard
from reviews.services.reveals import Told


@dataclass(frozen=True, slots=True)
class Chance:
    """What one expert gives a class, calibrated and raw; None where that isn't kept."""

    calibrated: float | None = None
    raw: float | None = None
    is_top: bool = False


@dataclass(frozen=True, slots=True)
class CaseOption:
    """One class that may hold. ``letter`` and ``text`` are a question's, else empty."""

    card: ClassCard
    is_given: bool
    letter: str
    text: str
    chances: tuple[Chance, ...]
    voters: tuple[User, ...]


def list_options(
    item: Item,
    told: Told,
    standing: Sequence[Judgment],
    wanted: Sequence[int],
    cards: Mapping[int, ClassCard],
) -> tuple[CaseOption, ...]:
    """Return a question's options in their order, or classes: the given, then the most voted."""
    held = [
        (each, read_said(item.given_label, each.verdict, each.corrected_label, each.labels)[1])
        for each in standing
    ]
    options = [
        CaseOption(
            card=cards[label],
            is_given=label == item.given_label,
            letter=ascii_uppercase[label] if item.choices else "",
            text=item.choices[label] if item.choices else "",
            chances=tuple(_find_chance(told, place, label) for place in range(len(told.experts))),
            voters=tuple(judgment.annotator for judgment, labels in held if label in labels),
        )
        for label in wanted
    ]
    if item.choices:
        return tuple(options)
    return tuple(sorted(options, key=lambda one: (not one.is_given, -len(one.voters))))


def _find_chance(told: Told, place: int, label: int) -> Chance:
    word = told.experts[place]
    is_top = word.top1 is not None and word.top1.index == label
    options = told.options[place] if told.options else None
    if options and options.calibrated:
        return Chance(options.calibrated[label], options.raw[label], is_top)
    if is_top:
        return Chance(word.confidence, word.raw_confidence, is_top=True)
    return Chance(word.on_label if label == told.given.index else None)
