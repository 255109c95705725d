"""The guide's examples: each category explained by clean pictures of the data set itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from reviews.models import Sample, SampledClass, Verdict
from reviews.services.class_cards import ClassCard, find_class_cards

LOOKED_AT = 400  # classes: enough to find examples in, of however many


@dataclass(frozen=True, slots=True)
class GuideExample:
    """A label, the classes that really hold, and a picture of each of those."""

    label: ClassCard
    shows: tuple[ClassCard, ...]
    pictures: tuple[int, ...]


def find_examples(sample: Sample) -> dict[str, GuideExample]:
    """Return an example per verdict, as far as the data set has classes and pictures for it."""
    clear = sample.classes.exclude(exemplars=[]).order_by("index")[:LOOKED_AT]
    rows = {row.index: row for row in clear}
    chosen = dict(_choose(rows))
    named = {index for label, shown in chosen.values() for index in (label, *shown)}
    cards = find_class_cards(sample.audit.dataset, named)
    return {
        verdict: GuideExample(
            cards[label],
            tuple(cards[index] for index in shown),
            tuple(rows[index].exemplars[0] for index in shown),
        )
        for verdict, (label, shown) in chosen.items()
    }


def _choose(rows: dict[int, SampledClass]) -> Iterator[tuple[str, tuple[int, tuple[int, ...]]]]:
    """Yield per verdict the label of an example and the classes that it shows."""
    for index in list(rows)[:1]:
        yield Verdict.LABEL_CORRECT, (index, (index,))
    unlike = next(
        (
            (one, other)
            for one in rows
            for other in rows
            if one != other and str(other) not in rows[one].near
        ),
        None,
    )
    if unlike:
        yield Verdict.WRONG_LABEL, (unlike[0], (unlike[1],))
        yield Verdict.MULTI_OBJECT, (unlike[0], unlike)
    for kinship in (Verdict.SIMILAR_CLASS, Verdict.SUB_CLASS, Verdict.SUPER_CLASS):
        pairs = (
            (label, int(shown))
            for label, row in rows.items()
            for shown, category in row.near.items()
            if category == kinship and int(shown) in rows
        )
        for label, shown in pairs:
            yield kinship, (label, (shown,))
            break
