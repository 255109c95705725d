"""Classes as people tell them apart: by name, WordNet id, gloss and clean examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Count

from audit.models import Dataset, DatasetClass
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


def find_class_cards(
    dataset: Dataset,
    indices: Iterable[int],
    exemplars: Mapping[int, Sequence[int]] | None = None,
) -> dict[int, ClassCard]:
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
    return {
        index: _make_card(row, twins, exemplars or {}) for index, row in (found | unnamed).items()
    }


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
