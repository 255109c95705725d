"""The temperature fit: Halley's method on the inverse temperature, one streaming pass a step.

The NLL is convex in b = 1 / T (Guo et al. 2017), and one pass over the logits gives its first
three derivatives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import copysign, inf, sqrt

import numpy as np

from scoring.arrays import Ints, Mask, Rows, row_chunks
from scoring.degenerate import Degenerate, check_enough_rows
from scoring.row_sample import RowSample
from scoring.slopes import NO_GROUP, Groups, Slope, SlopeReader, read_slopes

MIN_TEMPERATURE = 0.05
MAX_TEMPERATURE = 20.0

_MAX_STEPS = 60
_ENOUGH = 1e-9  # estimated relative error left in b
_NEAR = 1e-3  # from here one more pass does
_SAMPLE_ELEMENTS = 2 * 1024 * 1024
_PART_ERROR = 0.006  # standard error wanted of b from a part of the rows, relative to b
_LARGEST_PART = 4  # one row in so many
_ROWS_IN_PART = 4000  # in every group, or the step is not worth the reading
_STEPS_ON_PART = 3


@dataclass(frozen=True, slots=True)
class LabelledRows:
    """The rows of a fit: ``labels`` (n_items,) and ``groups`` (n_items,), each group fitted alone.

    ``finite_only`` leaves out rows with NaN or infinity, which are refused else.
    """

    logits: Rows
    labels: Ints
    groups: Groups
    finite_only: bool = False

    def slopes(self, inverses: Mapping[int, float]) -> dict[int, Slope]:
        """Return the derivatives at each group's inverse temperature, in one pass."""
        return read_slopes(
            self.logits, self.labels, self.groups, inverses, finite_only=self.finite_only
        )

    def sample(self, n_rows: int) -> LabelledRows:
        """Return about so many rows from all over the data set."""
        some = RowSample(self.logits, n_rows)
        return replace(
            self,
            logits=some,
            labels=self.labels[some.positions],
            groups=self.groups[some.positions],
        )


def fit_temperature(logits: Rows, labels: Ints, valid: Mask) -> float:
    """Return T in [0.05, 20] minimising the mean NLL of ``labels`` over the ``valid`` rows.

    ``logits`` (n_items, n_classes) is streamed: a small sample gives the first guess, then two
    full passes follow as a rule; sums are float64. Raises ``Degenerate`` where the data is too
    thin or no minimum lies inside the bounds (Section 2.1).
    """
    groups = np.where(valid, 0, NO_GROUP).astype(np.int8)
    found = fit_temperatures(LabelledRows(logits, labels, groups), 1)[0]
    if isinstance(found, Degenerate):
        raise found
    return found


def fit_temperatures(
    rows: LabelledRows, n_groups: int, read_last: SlopeReader | None = None
) -> list[float | Degenerate]:
    """Return each group's temperature, or why it has none, reading the logits for all at once.

    ``read_last`` makes the pass that is likely to be the last, so that it may take down more.
    """
    found: list[float | Degenerate] = [_check_labels(rows, group) for group in range(n_groups)]
    searches = _guess(rows, [group for group, each in enumerate(found) if each == inf])
    if read_last and searches and len(searches) == n_groups:
        _approach(searches, rows)
    is_read = False  # by the pass that takes down more, which has to know of all groups at first
    while searches:
        ask = {group: search.inverse for group, search in searches.items()}
        is_near = all(search.near for search in searches.values())
        if read_last and is_near and (is_read or len(ask) == n_groups):
            slopes, is_read = read_last(ask), True
        else:
            slopes = rows.slopes(ask)
        for group, search in list(searches.items()):
            try:
                _check_signal(slopes.get(group), rows.logits, rows.groups == group)
            except Degenerate as refusal:
                found[group] = refusal
                del searches[group]
                continue
            search.step(slopes[group])
            if search.done:
                found[group] = _inside_bounds(search.inverse)
                del searches[group]
    return found


def _check_labels(rows: LabelledRows, group: int) -> float | Degenerate:
    """Return why the group's labels can't be fitted, infinity where they can."""
    labels = rows.labels[rows.groups == group]
    try:
        check_enough_rows(labels.size)
    except Degenerate as refusal:
        return refusal
    if (labels == labels[0]).all():
        return Degenerate("single_label", f"every label is class {labels[0]}")
    return inf


def _guess(rows: LabelledRows, groups: Sequence[int]) -> dict[int, _Search]:
    """Return searches that begin at each group's minimum over a small sample."""
    searches = {group: _Search(1.0) for group in groups}
    n_items, n_classes = rows.logits.shape
    if n_items * n_classes <= 4 * _SAMPLE_ELEMENTS:
        return searches  # the same for every order of the items, and more passes cost little
    sample = rows.sample(min(2048, max(256, _SAMPLE_ELEMENTS // n_classes)))
    logits = sample.logits[:]
    # A quarter of the sample brings the steps near, the whole of it then needs one or two.
    for every_nth in (4, 1):
        few = replace(
            sample,
            logits=logits[::every_nth],
            labels=sample.labels[::every_nth],
            groups=sample.groups[::every_nth],
        )
        asked = set(groups)
        while asked:
            slopes = few.slopes({group: searches[group].inverse for group in asked})
            for group, slope in slopes.items():
                searches[group].step(slope)
            asked = {g for g in slopes if not (searches[g].near or searches[g].done)}
        searches = {group: each.begun_again() for group, each in searches.items()}
    return searches


def _approach(searches: dict[int, _Search], rows: LabelledRows) -> None:
    """Move the searches on by steps on a part of the rows, where these are many.

    The part is as large as it takes to come within ``_PART_ERROR`` as a rule.
    """
    sizes = {group: int(np.count_nonzero(rows.groups == group)) for group in searches}
    if min(sizes.values()) < _LARGEST_PART * _ROWS_IN_PART:
        return
    share = max(
        max(search.n_rows_for(_PART_ERROR), _ROWS_IN_PART) / sizes[group]
        for group, search in searches.items()
    )
    part = rows.sample(int(min(share, 1 / _LARGEST_PART) * len(rows.labels)))
    for _ in range(_STEPS_ON_PART):
        slopes = part.slopes({group: search.inverse for group, search in searches.items()})
        for group, slope in slopes.items():
            searches[group].step(slope)
        if all(search.near for search in searches.values()):
            break
    for group, search in searches.items():
        searches[group] = search.begun_again(near=search.near)


def _inside_bounds(inverse: float) -> float | Degenerate:
    temperature = 1.0 / inverse
    if MIN_TEMPERATURE < temperature < MAX_TEMPERATURE:
        return temperature
    return Degenerate(
        "at_bound", f"the best temperature lies outside [{MIN_TEMPERATURE}, {MAX_TEMPERATURE}]"
    )


class _Search:
    """The search for the inverse temperature where f' = 0, or the bound behind which it lies.

    Halley's steps on the convex f, kept inside a bracket that f' shrinks, so that no flat region
    sends a step astray. Convergence is cubic: after a good guess two passes do.
    """

    def __init__(self, start: float, *, near: bool = False, last: Slope | None = None) -> None:
        self._low, self._high = 1.0 / MAX_TEMPERATURE, 1.0 / MIN_TEMPERATURE
        self.inverse = min(max(start, self._low), self._high)
        self.done, self.near = False, near
        self._last = last
        self._steps_left = _MAX_STEPS

    def begun_again(self, *, near: bool = False) -> _Search:
        """Return a search from here that does not trust the bracket: other rows follow."""
        return _Search(self.inverse, near=near, last=self._last)

    def n_rows_for(self, error: float) -> float:
        """Return how many rows tell the minimum with this relative standard error."""
        return self._last.n_rows_for(error) if self._last else inf

    def step(self, slope: Slope) -> None:
        """Move ``inverse`` on by what the slope there, up to rounding, tells."""
        self.inverse, self._last = slope.inverse, slope
        if slope.first > 0:
            self._high = self.inverse
        else:
            self._low = self.inverse
        if self._low >= self._high:
            self.done = True
            return
        step = _halley_step(slope)
        size = abs(step) / self.inverse
        # Near the minimum the error after a step is of the order of the step's cube.
        error = size**3 if size < 0.1 else size
        self.inverse = _inside(self.inverse + step, self._low, self._high, tried=slope.inverse)
        self._steps_left -= 1
        narrow = self._high / self._low - 1 <= _ENOUGH
        self.near = error <= _NEAR
        self.done = error <= _ENOUGH or narrow or self._steps_left == 0


def _halley_step(slope: Slope) -> float:
    """Return Halley's step towards f' = 0, or Newton's where the third derivative misleads."""
    if slope.second <= 0:
        return copysign(inf, -slope.first) if slope.first else 0.0
    newton = -slope.first / slope.second
    # Far from the minimum the correction may outweigh what it corrects; Newton is safe there.
    correction = newton * slope.third / slope.second / 2
    return newton / (1 + correction) if abs(correction) < 0.3 else newton


def _inside(target: float, low: float, high: float, *, tried: float) -> float:
    """Return ``target`` if it lies in the bracket, else a bound not yet tried, else the middle."""
    if low < target < high:
        return target
    edge = low if target <= low else high
    at_bound = edge in (1.0 / MAX_TEMPERATURE, 1.0 / MIN_TEMPERATURE)
    return edge if at_bound and edge != tried else sqrt(low * high)


def _check_signal(slope: Slope | None, logits: Rows, valid: Mask) -> None:
    """Raise ``Degenerate`` where the labels and the top classes leave nothing to calibrate."""
    if slope is None:
        raise Degenerate("empty_split", "no item has both a label and scores")
    n_rows, n_classes = slope.n_rows, logits.shape[1]
    if slope.n_top == n_rows:
        flat = all((chunk == chunk[:, :1]).all() for _, chunk in row_chunks(logits, where=valid))
        if flat:
            raise Degenerate("no_signal", "every row has the same logit for all classes")
        raise Degenerate("separable", f"the top class is the label in all {n_rows} rows")
    if slope.n_top * n_classes < n_rows:
        raise Degenerate(
            "worse_than_chance",
            f"the top class is the label in {slope.n_top} of {n_rows} rows, "
            f"chance gives {n_rows / n_classes:.1f}",
        )
