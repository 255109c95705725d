"""Equal-count and equal-width bins of confidence, and the reliability table they give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from scoring.arrays import Floats, Ints, as_fractions, as_vector, key_ranks, rising_order

Strategy: TypeAlias = Literal["equal_count", "equal_width"]


@dataclass(frozen=True, slots=True)
class ReliabilityTable:
    """What a reliability diagram shows: one row per bin that holds an item, least confident first.

    ``count``: items; ``confidence``, ``accuracy``: their means; ``lower``, ``upper``: the bin's
    edges - the confidences of its first and last item (equal-count) or its fixed limits.
    """

    count: Ints
    confidence: Floats
    accuracy: Floats
    lower: Floats
    upper: Floats

    @property
    def ece(self) -> float:
        """Expected calibration error: the count-weighted mean of |confidence - accuracy|."""
        if self.count.size == 0:
            raise ValueError("the calibration error of no items is undefined")
        return float(np.average(np.abs(self.confidence - self.accuracy), weights=self.count))


def check_n_bins(n_bins: int) -> int:
    """Return ``n_bins`` if it is a whole number of at least one."""
    if isinstance(n_bins, bool) or not isinstance(n_bins, int | np.integer) or n_bins < 1:
        raise ValueError(f"n_bins must be a whole number >= 1, got {n_bins!r}")
    return int(n_bins)


def equal_count_bins(
    confidence: ArrayLike,
    n_bins: int = 15,
    keys: ArrayLike | Sequence[str] | None = None,
) -> Ints:
    """Return each item's bin, shape (n_items,), bin 0 the least confident (Section 2.3).

    Items are sorted by ``confidence`` (n_items,), ties by key, and cut into ``n_bins`` parts whose
    sizes differ by at most one, the larger parts first. Fewer items than bins: one bin per item.
    """
    check_n_bins(n_bins)
    values = as_vector(confidence, "confidence")
    order = rising_order(values, key_ranks(keys, values.size))
    parts = min(n_bins, values.size)
    bins = np.empty(values.size, dtype=np.int64)
    if parts:
        size, larger = divmod(values.size, parts)
        bins[order] = np.repeat(np.arange(parts), size + (np.arange(parts) < larger))
    return bins


def equal_width_bins(confidence: ArrayLike, n_bins: int = 15) -> Ints:
    """Return each item's bin, shape (n_items,): [0, 1] cut into ``n_bins`` of the same width.

    A confidence on an edge belongs to the upper bin; 1 belongs to the last.
    """
    edges = np.linspace(0.0, 1.0, check_n_bins(n_bins) + 1)
    values = as_fractions(confidence, "confidence")
    return np.searchsorted(edges[1:-1], values, side="right").astype(np.int64)


def reliability_table(
    confidence: ArrayLike,
    correct: ArrayLike,
    n_bins: int = 15,
    strategy: Strategy = "equal_count",
    keys: ArrayLike | Sequence[str] | None = None,
) -> ReliabilityTable:
    """Return mean confidence against mean accuracy per bin (Section 2.1, Figure 2).

    ``confidence`` (n_items,) in [0, 1]; ``correct`` (n_items,) is 0 or 1 (or a share of votes).
    """
    values = as_fractions(confidence, "confidence")
    scores = as_fractions(correct, "correct")
    if values.shape != scores.shape:
        raise ValueError(f"{values.size} confidences do not fit {scores.size} values of correct")
    if strategy == "equal_count":
        bins = equal_count_bins(values, n_bins, keys)
        edges = None
    elif strategy == "equal_width":
        bins = equal_width_bins(values, n_bins)
        edges = np.linspace(0.0, 1.0, n_bins + 1)
    else:
        raise ValueError(f"strategy must be 'equal_count' or 'equal_width', got {strategy!r}")
    count = np.bincount(bins, minlength=n_bins)
    filled = np.flatnonzero(count)
    count = count[filled]
    if edges is None:
        lower, upper = np.full(n_bins, np.inf), np.full(n_bins, -np.inf)
        np.minimum.at(lower, bins, values)
        np.maximum.at(upper, bins, values)
    else:
        lower, upper = edges[:-1], edges[1:]
    return ReliabilityTable(
        count=count,
        confidence=np.bincount(bins, values, n_bins)[filled] / count,
        accuracy=np.bincount(bins, scores, n_bins)[filled] / count,
        lower=lower[filled],
        upper=upper[filled],
    )


def expected_calibration_error(
    confidence: ArrayLike,
    correct: ArrayLike,
    n_bins: int = 15,
    strategy: Strategy = "equal_count",
) -> float:
    """Return the sum over bins of (share of items) * |mean confidence - mean correct|.

    Lies in [0, 1]. The paper's figures use 15 equal-count bins (Section 2.1, Table 1).
    """
    return reliability_table(confidence, correct, n_bins, strategy).ece
