"""How well annotators judge, by what they say of items whose answer is known. No arithmetic."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from audit.models import Audit
from reviews.models import Judgment, KnownItem, Training
from reviews.truths import is_error_by
from scoring.intervals import Interval, wilson


@dataclass(frozen=True, slots=True)
class GoldFigures:
    """What one annotator, or all together, said of gold.

    ``sensitivity``: how often a label error is called one; ``specificity``: how often a correct
    label is; unsure verdicts count in neither.
    """

    name: str
    n_errors: int
    n_found: int
    n_correct: int
    n_cleared: int
    n_unsure: int

    @property
    def n(self) -> int:
        return self.n_errors + self.n_correct + self.n_unsure

    @property
    def sensitivity(self) -> Interval:
        return wilson(self.n_found, self.n_errors)

    @property
    def specificity(self) -> Interval:
        return wilson(self.n_cleared, self.n_correct)


def gold_figures(audit: Audit, policy: str) -> tuple[GoldFigures, list[GoldFigures]]:
    """Return the figures of all annotators together, and of each by name."""
    known = {
        item: is_error_by(verdict, policy)
        for item, verdict in KnownItem.objects.filter(audit=audit).values_list("item", "verdict")
    }
    said = Judgment.objects.on_gold().filter(slot__sample__audit=audit).order_by()
    counts: Counter[tuple[str, bool | None, bool | None]] = Counter(
        (name, known[item], is_error_by(verdict, policy))
        for name, item, verdict in said.values_list(
            "annotator__username", "slot__sampled_item__item", "verdict"
        )
        if item in known
    )
    names = sorted({name for name, _, _ in counts})
    return _sum_up("all", counts, set(names)), [_sum_up(each, counts, {each}) for each in names]


def _sum_up(
    title: str, counts: Counter[tuple[str, bool | None, bool | None]], names: set[str]
) -> GoldFigures:
    cells: Counter[tuple[bool | None, bool | None]] = Counter()
    for (name, is_error, call), n_verdicts in counts.items():
        if name in names:
            cells[is_error, call] += n_verdicts
    return GoldFigures(
        name=title,
        n_errors=cells[True, True] + cells[True, False],
        n_found=cells[True, True],
        n_correct=cells[False, False] + cells[False, True],
        n_cleared=cells[False, False],
        n_unsure=cells[True, None] + cells[False, None],
    )


def trainings(audit: Audit) -> list[Training]:
    """Return who has gone through the training set, and how, by name."""
    rows = Training.objects.filter(sample__audit=audit).select_related("annotator")
    return list(rows.order_by("annotator__username"))
