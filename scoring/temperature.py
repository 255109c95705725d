"""The temperature fit: Halley's method on the inverse temperature, one streaming pass a step.

With b = 1 / T the NLL f(b) = mean(logsumexp(b z) - b z_y) is convex, and one pass over the logits
gives its first three derivatives: mean(E[z] - z_y), mean(Var[z]) and the mean third central moment
of z under softmax(b z).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import copysign, inf, isfinite, sqrt
from typing import Any, TypeAlias

import numpy as np

from scoring.arrays import Chunk, Ints, Mask, Rows, chunk_rows, row_chunks, row_sums, scratch_like
from scoring.degenerate import Degenerate, check_enough_rows
from scoring.mapped_pages import release_pages

MIN_TEMPERATURE = 0.05
MAX_TEMPERATURE = 20.0

NO_GROUP = -1
"""The group of the rows that take part in no fit."""

_MAX_STEPS = 60
_ENOUGH = 1e-9  # estimated relative error left in b
_NEAR = 1e-3  # from here one more pass does
_ENOUGH_FOR_A_GUESS = 1e-3  # a sample of some thousand rows errs by a percent or more
_SAMPLE_BLOCKS = 32
_CHUNKS_TAKEN = 40
_STEPS_ON_PART = 3
_MOST_CHUNKS_PER_TAKEN = 16
_ROWS_TAKEN = 4000  # in every group, or the step is not worth the reading
_SAMPLE_ELEMENTS = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Slope:
    """The NLL's derivatives at one inverse temperature; ``n_top``: rows with the label on top."""

    inverse: float
    first: float
    second: float
    third: float
    n_rows: int
    n_top: int


SlopeReader: TypeAlias = Callable[[Mapping[int, float]], Mapping[int, Slope]]
"""Returns each group's derivatives at (about) the inverse temperature asked for."""


def fit_temperature(logits: Rows, labels: Ints, valid: Mask) -> float:
    """Return T in [0.05, 20] minimising the mean NLL of ``labels`` over the ``valid`` rows.

    ``logits`` (n_items, n_classes) is streamed: a small sample gives the first guess, then two
    full passes follow as a rule; sums are float64. Raises ``Degenerate`` where the data is too
    thin or no minimum lies inside the bounds (Section 2.1).
    """
    found = fit_temperatures(logits, labels, np.where(valid, 0, NO_GROUP), 1)[0]
    if isinstance(found, Degenerate):
        raise found
    return found


def fit_temperatures(
    logits: Rows,
    labels: Ints,
    groups: Ints,
    n_groups: int,
    read_last: SlopeReader | None = None,
) -> list[float | Degenerate]:
    """Return each group's temperature, or why it has none, reading the logits for all at once.

    ``groups`` (n_items,) names each row's group, 0 to ``n_groups`` - 1, or ``NO_GROUP``.
    ``read_last`` makes the pass that is likely to be the last, so that it may take down more.
    """
    found: list[float | Degenerate] = []
    searches: dict[int, _Search] = {}
    for group in range(n_groups):
        members = groups == group
        try:
            _check_labels(labels[members])
            guess = _first_guess(logits, labels, members)
        except Degenerate as refusal:
            found.append(refusal)
            continue
        found.append(inf)
        searches[group] = _Search(guess, _ENOUGH)
    if read_last and len(searches) == n_groups:
        searches = _approach(searches, logits, labels, groups)
    while searches:
        ask = {group: search.inverse for group, search in searches.items()}
        last = len(ask) == n_groups and all(search.near for search in searches.values())
        slopes = read_last(ask) if read_last and last else _slopes(logits, labels, groups, ask)
        for group, slope in slopes.items():
            search = searches[group]
            try:
                _check_signal(slope, logits, groups == group)
            except Degenerate as refusal:
                found[group] = refusal
                del searches[group]
                continue
            search.step(slope)
            if search.done:
                found[group] = _inside_bounds(search.inverse)
                del searches[group]
    return found


def _check_labels(labels: Ints) -> None:
    check_enough_rows(labels.size)
    if (labels == labels[0]).all():
        raise Degenerate("single_label", f"every label is class {labels[0]}")


def _inside_bounds(inverse: float) -> float | Degenerate:
    temperature = 1.0 / inverse
    if MIN_TEMPERATURE < temperature < MAX_TEMPERATURE:
        return temperature
    return Degenerate(
        "at_bound", f"the best temperature lies outside [{MIN_TEMPERATURE}, {MAX_TEMPERATURE}]"
    )


def _first_guess(logits: Rows, labels: Ints, valid: Mask) -> float:
    """Return the minimum of a few blocks of rows spread over the data set."""
    n_items, n_classes = logits.shape
    if n_items * n_classes <= 4 * _SAMPLE_ELEMENTS:
        return 1.0  # the same for every order of the items, and more passes cost little
    size = min(64, max(8, _SAMPLE_ELEMENTS // (_SAMPLE_BLOCKS * n_classes)))
    starts = np.linspace(0, n_items - size, _SAMPLE_BLOCKS).astype(np.int64).tolist()
    rows = np.concatenate([np.arange(start, start + size) for start in starts])
    rows = rows[valid[rows]]
    if rows.size == 0:
        return 1.0
    blocks = []
    for start in starts:
        block = logits[start : start + size]
        blocks.append(block[valid[start : start + size]])
        release_pages(block)
    sample = np.concatenate(blocks)
    guess = 1.0
    # A quarter of the sample brings the steps near, the whole of it then needs one or two.
    for part in (slice(None, None, 4), slice(None)):
        chosen, given = sample[part], labels[rows[part]]
        alone = np.zeros(len(given), dtype=np.int64)
        search = _Search(guess, _ENOUGH_FOR_A_GUESS)
        while not search.done:
            search.step(_slopes(chosen, given, alone, {0: search.inverse})[0])
        guess = search.inverse
    return guess


def _approach(
    searches: dict[int, _Search], logits: Rows, labels: Ints, groups: Ints
) -> dict[int, _Search]:
    """Return the searches moved on by some steps on a part of the chunks, where these are many.

    The error left is that of so many rows, a percent or two.
    """
    size = chunk_rows(logits.shape[1])
    every_nth = min(_MOST_CHUNKS_PER_TAKEN, len(groups) // size // _CHUNKS_TAKEN)
    if every_nth < 2:
        return searches
    taken = np.arange(len(groups)) // size % every_nth == 0
    thinned = np.where(taken, groups, NO_GROUP)
    if np.bincount(thinned[taken] + 1, minlength=len(searches) + 1)[1:].min() < _ROWS_TAKEN:
        return searches
    for _ in range(_STEPS_ON_PART):
        ask = {group: search.inverse for group, search in searches.items()}
        for group, slope in _slopes(logits, labels, thinned, ask).items():
            searches[group].step(slope)
        if all(search.near for search in searches.values()):
            break
    return {
        group: _Search(search.inverse, _ENOUGH, near=search.near)
        for group, search in searches.items()
    }


class _Search:
    """The search for the inverse temperature where f' = 0, or the bound behind which it lies.

    Halley's steps on the convex f, kept inside a bracket that f' shrinks, so that no flat region
    sends a step astray. Convergence is cubic: after a good guess two passes do.
    """

    def __init__(self, start: float, enough: float, *, near: bool = False) -> None:
        self._low, self._high = 1.0 / MAX_TEMPERATURE, 1.0 / MIN_TEMPERATURE
        self.inverse = min(max(start, self._low), self._high)
        self.done, self.near = False, near
        self._enough = enough
        self._steps_left = _MAX_STEPS

    def step(self, slope: Slope) -> None:
        """Move ``inverse`` on by what the slope there, up to rounding, tells."""
        self.inverse = slope.inverse
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
        narrow = self._high / self._low - 1 <= self._enough
        self.near = error <= _NEAR
        self.done = error <= self._enough or narrow or self._steps_left == 0


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


@dataclass(slots=True)
class _Sums:
    """What one pass adds up for one group of rows, in units of the scaled logits."""

    first: float = 0.0
    second: float = 0.0
    third: float = 0.0
    n_rows: int = 0
    n_top: int = 0

    def add(
        self, logits: Chunk, labels: Ints, inverse: np.floating[Any], scaled: Chunk, weight: Chunk
    ) -> None:
        """Add rows, overwriting ``scaled``, which may be ``logits`` itself, and ``weight``.

        The scaled logits become distances from the largest, so that no exponential overflows.
        """
        every = np.arange(len(logits))
        np.multiply(logits, inverse, out=scaled)
        np.subtract(scaled, scaled[every, scaled.argmax(axis=1), None], out=scaled)
        to_label = scaled[every, labels].astype(np.float64)
        np.exp(scaled, out=weight)
        total = row_sums(weight)
        mean = np.vecdot(weight, scaled) / total
        np.multiply(weight, scaled, out=weight)
        square = np.vecdot(weight, scaled) / total
        np.multiply(weight, scaled, out=weight)
        cube = np.vecdot(weight, scaled) / total
        self.first += float((mean - to_label).sum())
        self.second += float(np.maximum(square - mean * mean, 0.0).sum())
        self.third += float((cube - mean * (3.0 * square - 2.0 * mean * mean)).sum())
        self.n_rows += len(logits)
        self.n_top += int(np.count_nonzero(to_label == 0))


def _slopes(
    logits: Rows, labels: Ints, groups: Ints, inverses: Mapping[int, float]
) -> dict[int, Slope]:
    """Return the NLL's derivatives at each group's inverse temperature, in one pass."""
    sums = {group: _Sums() for group in inverses}
    scratch, weights = scratch_like(logits, 2)
    # The arithmetic sees a rounded number; the iteration has to know which.
    rounded = {group: scratch.dtype.type(inverse) for group, inverse in inverses.items()}
    for index, chunk in row_chunks(logits, where=np.isin(groups, list(inverses))):
        for group, total in sums.items():
            mine = np.flatnonzero(groups[index] == group)
            part = chunk
            if mine.size < len(chunk):
                part = np.take(chunk, mine, axis=0, out=scratch[: mine.size], mode="clip")
            space = scratch[: mine.size], weights[: mine.size]
            total.add(part, labels[index][mine], rounded[group], *space)
    slopes = {}
    for group, total in sums.items():
        if not isfinite(total.first + total.second):
            raise ValueError("rows marked as valid contain NaN, infinity or numbers too far apart")
        inverse, n_rows = float(rounded[group]), total.n_rows
        slopes[group] = Slope(
            inverse,
            total.first / n_rows / inverse,
            total.second / n_rows / inverse**2,
            total.third / n_rows / inverse**3,
            n_rows,
            total.n_top,
        )
    return slopes


def _check_signal(slope: Slope, logits: Rows, valid: Mask) -> None:
    """Raise ``Degenerate`` where the labels and the top classes leave nothing to calibrate."""
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
