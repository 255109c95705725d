"""How far confidence is from accuracy: Brier score, debiased error, and the ECE's interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scoring.arrays import Floats, Ints, as_fractions, key_ranks
from scoring.binning import (
    Strategy,
    check_n_bins,
    equal_width_bins,
    expected_calibration_error,
    reliability_table,
)
from scoring.intervals import Interval


def brier_score(confidence: ArrayLike, correct: ArrayLike) -> float:
    """Return the mean of (confidence - correct)^2, in [0, 1]; both (n_items,) in [0, 1]."""
    values, outcome = _as_pairs(confidence, correct)
    return float(np.square(values - outcome).mean())


def debiased_calibration_error(
    confidence: ArrayLike,
    correct: ArrayLike,
    n_bins: int = 15,
    strategy: Strategy = "equal_count",
    keys: ArrayLike | Sequence[str] | None = None,
) -> float:
    """Return the debiased l2 calibration error (Kumar, Liang and Ma 2019, Section 5).

    The root of the sum over bins of (share of items) * [(mean confidence - accuracy)^2 - accuracy
    * (1 - accuracy) / (items - 1)]: the plain error of few items is mostly the noise of their
    accuracies, which the last term takes off. 0 where the noise explains more than all. A bin of
    one item shows no noise to take off. ``correct`` (n_items,) must be 0 or 1.
    """
    values, outcome = _as_pairs(confidence, correct)
    if not np.isin(outcome, (0.0, 1.0)).all():
        raise ValueError("correct must be 0 or 1 for the noise of an accuracy to be known")
    table = reliability_table(values, outcome, n_bins, strategy, keys)
    noise = table.accuracy * (1.0 - table.accuracy) / np.maximum(table.count - 1, 1)
    squares = np.square(table.confidence - table.accuracy) - noise
    return float(np.sqrt(max(0.0, np.average(squares, weights=table.count))))


def ece_interval(
    confidence: ArrayLike,
    correct: ArrayLike,
    rng: np.random.Generator,
    *,
    n_bins: int = 15,
    strategy: Strategy = "equal_count",
    keys: ArrayLike | Sequence[str] | None = None,
    level: float = 0.95,
    n_resamples: int = 1000,
) -> Interval:
    """Return the ECE of ``confidence`` against ``correct`` (n_items,) with a bootstrap interval.

    Items are drawn again with replacement and their bins cut anew. A resample carries the noise
    of the bins twice, so its ECE lies too high; the basic interval, the estimate twice less the
    resamples' upper and lower quantile, turns that around. It is cut to [0, 1].
    """
    if not 0 < level < 1 or n_resamples < 1:
        raise ValueError(f"no interval of level {level} from {n_resamples} resamples")
    values, outcome = _as_pairs(confidence, correct)
    estimate = expected_calibration_error(values, outcome, n_bins, strategy)
    order = np.lexsort((key_ranks(keys, values.size), values))
    resample = _Resampling(values[order], outcome[order], n_bins, strategy)
    eces = [resample.ece(rng) for _ in range(n_resamples)]
    tail = (1.0 - level) / 2
    lower, upper = np.quantile(eces, [tail, 1.0 - tail])
    low, high = max(0.0, 2 * estimate - float(upper)), min(1.0, 2 * estimate - float(lower))
    return Interval(estimate, min(low, estimate), max(high, estimate))


class _Resampling:
    """Computes the ECE of resamples of sorted items without sorting any of them again."""

    def __init__(
        self, confidence: Floats, correct: Floats, n_bins: int, strategy: Strategy
    ) -> None:
        self._gap = confidence - correct
        self._n_items = confidence.size
        self._edges: Ints | None = None
        if strategy == "equal_width":
            self._bins = equal_width_bins(confidence, n_bins)
            return
        parts = min(check_n_bins(n_bins), self._n_items)
        size, larger = divmod(self._n_items, parts)
        self._edges = np.cumsum(size + (np.arange(parts) < larger))

    def ece(self, rng: np.random.Generator) -> float:
        """Return the ECE of one resample: the sum over bins of |sum of gaps|, by item."""
        drawn = rng.integers(0, self._n_items, self._n_items)
        times = np.bincount(drawn, minlength=self._n_items)
        sums: NDArray[Any]
        if self._edges is None:
            sums = np.bincount(self._bins, times * self._gap)
        else:
            # An item drawn several times may lie across an edge: its copies are split there.
            ends, totals = np.cumsum(times), np.cumsum(times * self._gap)
            last = np.searchsorted(ends, self._edges)
            beyond = ends[last] - self._edges
            sums = np.diff(totals[last] - beyond * self._gap[last], prepend=0.0)
        return float(np.abs(sums).sum() / self._n_items)


def _as_pairs(confidence: ArrayLike, correct: ArrayLike) -> tuple[Floats, Floats]:
    """Return confidences and outcomes of at least one item, checked to fit each other."""
    values = as_fractions(confidence, "confidence")
    outcome = as_fractions(correct, "correct")
    if values.shape != outcome.shape:
        raise ValueError(f"{values.size} confidences do not fit {outcome.size} outcomes")
    if values.size == 0:
        raise ValueError("the calibration error of no items is undefined")
    return values, outcome
