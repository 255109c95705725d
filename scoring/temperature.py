"""The temperature fit: Newton's method on the inverse temperature, one streaming pass a step.

With b = 1 / T the NLL f(b) = mean(logsumexp(b z) - b z_y) is convex, and one pass over the logits
gives its first two derivatives: f' = mean(E[z] - z_y) and f'' = mean(Var[z]) under softmax(b z).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import copysign, inf, isfinite, sqrt

import numpy as np

from scoring.arrays import Chunk, Floats, Ints, Mask, Rows, row_chunks, scratch_like
from scoring.degenerate import Degenerate, check_enough_rows

MIN_TEMPERATURE = 0.05
MAX_TEMPERATURE = 20.0

_MAX_STEPS = 60
_ENOUGH = 1e-10  # estimated relative error left in b; heavy tails add a digit or two
_SAMPLE_BLOCKS = 32
_SAMPLE_ELEMENTS = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Slope:
    """f' and f'' of the NLL at one inverse temperature; ``n_top``: rows whose label is on top."""

    inverse: float
    first: float
    second: float
    n_rows: int
    n_top: int


def fit_temperature(logits: Rows, labels: Ints, valid: Mask) -> float:
    """Return T in [0.05, 20] minimising the mean NLL of ``labels`` over the ``valid`` rows.

    ``logits`` (n_items, n_classes) is streamed: a small sample gives the first guess, then two or
    three full passes follow; sums are float64. Raises ``Degenerate`` where the data is too thin or
    no minimum lies inside the bounds (Section 2.1).
    """
    check_enough_rows(int(np.count_nonzero(valid)))
    used = labels[valid]
    if (used == used[0]).all():
        raise Degenerate("single_label", f"every label is class {used[0]}")

    def checked_slope(inverse: float) -> _Slope:
        slope = _slope(logits, labels, valid, inverse)
        _check_signal(slope, logits, valid)
        return slope

    inverse = _find_minimum(checked_slope, _first_guess(logits, labels, valid))
    temperature = 1.0 / inverse
    if not MIN_TEMPERATURE < temperature < MAX_TEMPERATURE:
        raise Degenerate(
            "at_bound",
            f"the best temperature lies outside [{MIN_TEMPERATURE}, {MAX_TEMPERATURE}]",
        )
    return temperature


def _first_guess(logits: Rows, labels: Ints, valid: Mask) -> float:
    """Return the best inverse temperature of a few blocks of rows spread over the data set."""
    n_items, n_classes = logits.shape
    if n_items * n_classes <= 4 * _SAMPLE_ELEMENTS:
        return 1.0  # the same for every order of the items, and some more passes cost little
    size = min(64, max(8, _SAMPLE_ELEMENTS // (_SAMPLE_BLOCKS * n_classes)))
    starts = np.linspace(0, n_items - size, _SAMPLE_BLOCKS).astype(np.int64).tolist()
    rows = np.concatenate([np.arange(start, start + size) for start in starts])
    if not valid[rows].any():
        return 1.0
    sample = np.concatenate([logits[start : start + size] for start in starts])
    return _find_minimum(lambda b: _slope(sample, labels[rows], valid[rows], b), 1.0)


def _find_minimum(slope_at: Callable[[float], _Slope], start: float) -> float:
    """Return the inverse temperature where f' = 0, or the bound behind which it lies.

    Newton steps on the convex f, kept inside a bracket that f' shrinks, so that no flat region
    sends a step astray. From the second pass on the change of f'' shows the third derivative,
    which makes the convergence cubic: two full passes are enough after a good first guess.
    """
    lowest, highest = 1.0 / MAX_TEMPERATURE, 1.0 / MIN_TEMPERATURE
    low, high = lowest, highest
    inverse = min(max(start, lowest), highest)
    before: _Slope | None = None
    for _ in range(_MAX_STEPS):
        slope = slope_at(inverse)
        low, high = (low, inverse) if slope.first > 0 else (inverse, high)
        if low >= high:
            return inverse
        step = _newton_step(slope, before)
        error = _error_after(step, slope, before)
        inverse = _inside(inverse + step, low, high, tried=slope.inverse)
        if error <= _ENOUGH or high / low - 1 <= _ENOUGH:
            break
        before = slope
    return inverse


def _newton_step(slope: _Slope, before: _Slope | None) -> float:
    """Return Newton's step, or Halley's where the previous pass tells the third derivative."""
    if slope.second <= 0:
        return copysign(inf, -slope.first) if slope.first else 0.0
    curvature = slope.second
    if before is not None and before.inverse != slope.inverse:
        third = (slope.second - before.second) / (slope.inverse - before.inverse)
        bend = slope.first * third / (2 * slope.second)
        # Far from the minimum the correction may outweigh what it corrects; Newton is safe there.
        if abs(bend) < 0.1 * curvature:
            curvature -= bend
    return -slope.first / curvature


def _error_after(step: float, slope: _Slope, before: _Slope | None) -> float:
    """Return the order of the relative error that is left in b once ``step`` has been taken."""
    size = abs(step) / slope.inverse
    if before is None or size > 0.1:
        return size
    # Newton squares the error; the estimated third derivative gains the previous step once more.
    gained = max(size, abs(slope.inverse / before.inverse - 1))
    return size * size * gained


def _inside(target: float, low: float, high: float, *, tried: float) -> float:
    """Return ``target`` if it lies in the bracket, else a bound not yet tried, else the middle."""
    if low < target < high:
        return target
    edge = low if target <= low else high
    at_bound = edge in (1.0 / MAX_TEMPERATURE, 1.0 / MIN_TEMPERATURE)
    return edge if at_bound and edge != tried else sqrt(low * high)


def _slope(logits: Rows, labels: Ints, valid: Mask, inverse: float) -> _Slope:
    """Return the NLL's derivatives at ``inverse`` over the valid rows, in one pass."""
    first = second = 0.0
    n_rows = n_top = 0
    distances, weights = scratch_like(logits, 2)
    # The arithmetic sees a rounded number; the iteration has to know which.
    inverse = float(distances.dtype.type(inverse))
    for index, chunk in row_chunks(logits, where=valid):
        distance, weight = distances[: len(chunk)], weights[: len(chunk)]
        np.subtract(chunk, chunk.max(axis=1, keepdims=True), out=distance)
        to_label = distance[np.arange(len(chunk)), labels[index]].astype(np.float64)
        mean, variance = _moments(distance, inverse, weight)
        first += float((mean - to_label).sum())
        second += float(variance.sum())
        n_rows += len(chunk)
        n_top += int(np.count_nonzero(to_label == 0))
    if not isfinite(first + second):
        raise ValueError("rows marked as valid contain NaN, infinity or numbers too far apart")
    return _Slope(inverse, first / n_rows, second / n_rows, n_rows, n_top)


def _moments(distance: Chunk, inverse: float, weight: Chunk) -> tuple[Floats, Floats]:
    """Return the mean and the variance of ``distance`` per row under softmax(inverse * distance).

    ``distance`` is at most 0, so no exponential overflows; ``weight`` is scratch space.
    """
    np.multiply(distance, distance.dtype.type(inverse), out=weight)
    np.exp(weight, out=weight)
    total = weight.sum(axis=1).astype(np.float64)
    np.multiply(weight, distance, out=weight)
    mean = weight.sum(axis=1) / total
    square = np.einsum("ij,ij->i", weight, distance) / total
    return mean, np.maximum(square - mean * mean, 0.0)


def _check_signal(slope: _Slope, logits: Rows, valid: Mask) -> None:
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
