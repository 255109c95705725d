"""Classes as people tell them apart: by name, WordNet id, gloss and clean examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from django.db.models import Count

from audit.models import Dataset, DatasetClass
from audit.shelves import Shelf
from reviews.models import Sample


@dataclass(frozen=True, slots=True)
class ClassCard:
    """One class; `exemplars` are items that show it clearly, the clearest first."""

    index: int
    name: str
    wordnet_id: str
    gloss: str
    synonyms: tuple[str, ...]
    shares_name: bool
    exemplars: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ShownClass:
    """Clear examples of a class; `near`: other classes -> what an item is that is one of those."""

    exemplars: tuple[int, ...]
    near: Mapping[str, str]


# Data sets and drawn samples never change, and every lease asks for some of their classes.
MOST_KEPT = 5_000
_cards: Shelf[tuple[int, int], ClassCard] = Shelf(MOST_KEPT)
_shown: Shelf[tuple[int, int], ShownClass] = Shelf(MOST_KEPT)


def find_class_cards(
    dataset: Dataset,
    indices: Iterable[int],
    exemplars: Mapping[int, Sequence[int]] | None = None,
) -> dict[int, ClassCard]:
    """Return the classes by index; one without a name of its own is called by its number."""
    keys = [(dataset.pk, index) for index in indices if index >= 0]
    found = _cards.find(keys, lambda missing: _read_cards(dataset, {key[1] for key in missing}))
    cards = {index: card for (_, index), card in found.items()}
    shown = {index: tuple(items) for index, items in (exemplars or {}).items() if index in cards}
    return cards | {index: replace(cards[index], exemplars=shown[index]) for index in shown}


def _read_cards(dataset: Dataset, wanted: set[int]) -> dict[tuple[int, int], ClassCard]:
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
    return {
        (dataset.pk, index): _make_card(row, twins, {}) for index, row in (found | unnamed).items()
    }


def find_shown_classes(sample: Sample, indices: Iterable[int]) -> dict[int, ShownClass]:
    """Return what the desk shows of classes beside a sample's items, by index."""

    def read(missing: set[tuple[int, int]]) -> dict[tuple[int, int], ShownClass]:
        rows = sample.classes.filter(index__in={index for _, index in missing}).order_by()
        return {
            (sample.pk, index): ShownClass(tuple(exemplars), near)
            for index, exemplars, near in rows.values_list("index", "exemplars", "near")
        }

    found = _shown.find([(sample.pk, index) for index in indices], read)
    return {index: shown for (_, index), shown in found.items()}


def list_class_cards(sample: Sample) -> list[ClassCard]:
    """Return every class of the data set, by index."""
    rows = list(sample.audit.dataset.classes.all())
    twins = {name for name, count in Counter(row.name for row in rows).items() if count > 1}
    exemplars = dict(sample.classes.values_list("index", "exemplars"))
    return [_make_card(row, twins, exemplars) for row in rows]


def _make_card(
    row: DatasetClass, twins: set[str], exemplars: Mapping[int, Sequence[int]]
) -> ClassCard:
    shown = tuple(exemplars.get(row.index, ()))
    return ClassCard(
        index=row.index,
        name=row.name,
        wordnet_id=row.wordnet_id,
        gloss=row.gloss,
        synonyms=tuple(row.synonyms),
        shares_name=row.name in twins,
        exemplars=shown,
    )
