"""Whether two data sets mean the same classes by the same numbers: scores go by numbers alone."""

from __future__ import annotations

from dataclasses import dataclass

from audit.models import Dataset, DatasetClass

SHOWN = 5


@dataclass(frozen=True, slots=True)
class ClassMismatch:
    """Classes of one number that are called otherwise: number, name here, name there.

    ``is_reordered``: one of the names belongs to another number there, so that an expert's scores
    would be held against the wrong class.
    """

    pairs: tuple[tuple[int, str, str], ...]
    is_reordered: bool

    def __str__(self) -> str:
        first = self.pairs[:SHOWN]
        shown = [f"{index}: {here!r} and {there!r}" for index, here, there in first]
        more = len(self.pairs) - len(first)
        return "; ".join([*shown, f"and {more:,} more"] if more else shown)


def compare_classes(one: Dataset, other: Dataset) -> ClassMismatch | None:
    """Return how the classes of two data sets differ, None where they are the same.

    By WordNet id where both have one, else by name, whatever its case.
    """
    here, there = (dict(_read_classes(each)) for each in (one, other))
    differing = [
        index
        for index in sorted(here.keys() & there.keys())
        if not _same(here[index], there[index])
    ]
    if not differing:
        return None
    pairs = tuple((index, here[index].name, there[index].name) for index in differing)
    elsewhere = {mark for index in differing for mark in _marks(there[index])}
    is_reordered = any(elsewhere & _marks(here[index]) for index in differing)
    return ClassMismatch(pairs, is_reordered)


def _read_classes(dataset: Dataset) -> list[tuple[int, DatasetClass]]:
    return [(each.index, each) for each in dataset.classes.order_by("index")]


def _marks(each: DatasetClass) -> set[str]:
    return {each.wordnet_id, each.name.casefold()} - {""}


def _same(one: DatasetClass, other: DatasetClass) -> bool:
    if one.wordnet_id and other.wordnet_id:
        return one.wordnet_id == other.wordnet_id
    return one.name.casefold() == other.name.casefold()
