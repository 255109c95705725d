"""Two models as one: which items the small model answers, and what that costs in accuracy.

Section 2.2: equal-count bins of the small model's confidence, cut on the validation half; per bin
the mean advantage of the large model's confidence; the k bins with the least advantage stay with
the small model. Every rule here is a level per item: a cascade at k keeps the levels below k.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from scoring.arrays import Floats, Ints, Mask, as_mask, as_vector
from scoring.binning import equal_count_bins
from scoring.calibration import Calibrator, calibrator_from_json
from scoring.degenerate import Degenerate


class UndefinedApgr(ValueError):  # noqa: N818 - like Degenerate, it names the data
    """The two models are too much alike for a gap between them to be recovered."""


@dataclass(frozen=True, slots=True)
class CascadeCurve:
    """Accuracy against the share of items the small model answers, for k = 0..n_levels.

    Both arrays have shape (n_levels + 1,). The first point is the large model alone, the last
    the small one.
    """

    small_ratio: Floats
    accuracy: Floats


@dataclass(frozen=True, slots=True)
class Cascade:
    """A routing table, fitted once and stored as JSON (Section 2.2, Appendix Alg. 1).

    ``edges``: the lowest small-model confidence of every bin but the first, strictly rising;
    ``advantage``: per bin the mean of large minus small confidence; ``k``: how many bins, those
    of least advantage, the small model answers; the calibrators say what made the confidences
    (None: they are raw).
    """

    edges: tuple[float, ...]
    advantage: tuple[float, ...]
    k: int
    small_calibrator: Calibrator | None = None
    large_calibrator: Calibrator | None = None

    def __post_init__(self) -> None:
        if len(self.advantage) != len(self.edges) + 1:
            raise ValueError(f"{len(self.edges)} edges do not fit {len(self.advantage)} bins")
        if not (np.isfinite(self.edges).all() and (np.diff(self.edges) > 0).all()):
            raise ValueError(f"edges must rise strictly, got {self.edges}")
        if not np.isfinite(self.advantage).all():
            raise ValueError(f"advantages must be finite, got {self.advantage}")
        if not 0 <= self.k <= self.n_bins:
            raise ValueError(f"k must lie in 0..{self.n_bins}, got {self.k}")

    @classmethod
    def fit(
        cls,
        small_confidence: ArrayLike,
        large_confidence: ArrayLike,
        *,
        n_bins: int = 15,
        k: int | None = None,
        keys: ArrayLike | Sequence[str] | None = None,
        small_calibrator: Calibrator | None = None,
        large_calibrator: Calibrator | None = None,
    ) -> Self:
        """Fit on both models' confidences, each (n_items,), on the validation half.

        Equal confidences share a bin, so that an edge can tell new inputs apart; there may then
        be fewer bins than ``n_bins``. ``k`` defaults to the bins where the small model is at least
        as confident as the large one. Raises ``Degenerate`` without items.
        """
        small = as_vector(small_confidence, "small_confidence")
        large = as_vector(large_confidence, "large_confidence")
        if small.shape != large.shape:
            raise ValueError(f"{small.size} small confidences do not fit {large.size} large ones")
        if small.size == 0:
            raise Degenerate("empty_split", "no item to cut bins from")
        edges = shared_edges(small, n_bins, keys)
        bins = np.searchsorted(edges, small, side="right")
        advantage = np.bincount(bins, large - small) / np.bincount(bins)
        return cls(
            tuple(edges.tolist()),
            tuple(advantage.tolist()),
            int((advantage <= 0).sum()) if k is None else k,
            small_calibrator,
            large_calibrator,
        )

    @property
    def n_bins(self) -> int:
        return len(self.advantage)

    def at(self, k: int) -> Self:
        """Return the same table with the small model answering ``k`` bins."""
        return replace(self, k=k)

    def level(self, confidence: ArrayLike) -> Ints:
        """Return each item's place in the order of rising advantage, (n_items,), 0 first.

        The small model answers the items of level < k. Of two bins with the same advantage the
        more confident one comes first. A NaN confidence never stays with the small model.
        """
        values = np.asarray(confidence, dtype=np.float64)
        order = np.lexsort((-np.arange(self.n_bins), np.asarray(self.advantage)))
        place = np.empty(self.n_bins, dtype=np.int64)
        place[order] = np.arange(self.n_bins)
        # searchsorted sorts NaN behind everything: into the most confident bin, of all places.
        levels: Ints = place[np.searchsorted(self.edges, values, side="right")]
        return np.where(np.isnan(values), self.n_bins, levels)

    def route(self, confidence: ArrayLike) -> Mask:
        """Return which items the small model answers, given its calibrated confidences."""
        use_small: Mask = self.level(confidence) < self.k
        return use_small

    def to_json(self) -> dict[str, Any]:
        calibrators = {"small": self.small_calibrator, "large": self.large_calibrator}
        return {
            "kind": "cascade",
            "edges": list(self.edges),
            "advantage": list(self.advantage),
            "k": self.k,
            "calibrators": {name: fit and fit.to_json() for name, fit in calibrators.items()},
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Return the cascade that ``to_json`` wrote; refuses what no fit can give."""
        match stored:
            case {
                "kind": "cascade",
                "edges": edges,
                "advantage": advantage,
                "k": int(k),
                "calibrators": {"small": small, "large": large},
            }:
                return cls(
                    tuple(map(float, edges)),
                    tuple(map(float, advantage)),
                    k,
                    calibrator_from_json(small) if small else None,
                    calibrator_from_json(large) if large else None,
                )
        raise ValueError(f"not a stored cascade: {dict(stored)!r}")


def shared_edges(
    values: Floats, n_bins: int, keys: ArrayLike | Sequence[str] | None = None
) -> Floats:
    """Return the lowest value of every equal-count bin but the first, strictly rising."""
    bins = equal_count_bins(values, n_bins, keys)
    lowest = np.full(int(bins.max()) + 1, np.inf)
    np.minimum.at(lowest, bins, values)
    # A value that fills several bins would put one edge twice: those bins become one.
    edges: Floats = np.unique(lowest)[1:]
    return edges


def cascade_curve(
    level: ArrayLike,
    small_correct: ArrayLike,
    large_correct: ArrayLike,
    n_levels: int | None = None,
) -> CascadeCurve:
    """Return accuracy against small-model ratio for k = 0..``n_levels`` (Figures 2 and 3).

    ``level`` (n_items,), as ``Cascade.level`` gives it on the **test** half; the small model
    answers the items of level < k. ``small_correct``, ``large_correct`` (n_items,) are booleans.
    """
    curve = curve_of_counts(count_levels(level, small_correct, large_correct, n_levels))
    return CascadeCurve(*curve)


def random_curve(
    small_correct: ArrayLike, large_correct: ArrayLike, n_points: int = 16
) -> CascadeCurve:
    """Return the expected accuracy of random routing: the straight line between both models."""
    small, large = as_outcomes(small_correct, large_correct)
    ratio = np.linspace(0.0, 1.0, n_points)
    return CascadeCurve(ratio, large.mean() + ratio * (small.mean() - large.mean()))


def apgr(strong_ratio: ArrayLike, performance: ArrayLike, weak: float, strong: float) -> float:
    """Return the area under (P(c) - P_weak) / (P_strong - P_weak) over c in [0, 1] (A.1).

    ``strong_ratio`` c and ``performance`` P(c), both (n_points,), in any order; trapezoid rule.
    c = 0 is the weak model and c = 1 the strong one by definition, so those ends are added where
    the sweep lacks them. Random routing gives 0.5. Raises ``UndefinedApgr`` for equal models.
    """
    ratio = as_vector(strong_ratio, "strong_ratio")
    accuracy = as_vector(performance, "performance")
    if ratio.shape != accuracy.shape:
        raise ValueError(f"{ratio.size} ratios do not fit {accuracy.size} performances")
    if ratio.size and (ratio.min() < 0 or ratio.max() > 1):
        raise ValueError(f"ratios must lie in [0, 1], got {ratio.min()} to {ratio.max()}")
    if weak == strong:
        raise UndefinedApgr(f"both models perform alike, {weak}: there is no gap to recover")
    order = np.argsort(ratio, kind="stable")
    ratio, accuracy = ratio[order], accuracy[order]
    if ratio.size == 0 or ratio[0] > 0:
        ratio, accuracy = np.append(0.0, ratio), np.append(weak, accuracy)
    if ratio[-1] < 1:
        ratio, accuracy = np.append(ratio, 1.0), np.append(accuracy, strong)
    return float((np.trapezoid(accuracy, ratio) - weak) / (strong - weak))


def as_outcomes(small_correct: ArrayLike, large_correct: ArrayLike) -> tuple[Mask, Mask]:
    """Return both as booleans of shape (n_items,), n_items > 0."""
    n_items = np.asarray(small_correct).size
    if n_items == 0:
        raise ValueError("the accuracy of no items is undefined")
    return as_mask(small_correct, n_items, "correct"), as_mask(large_correct, n_items, "correct")


def count_levels(
    level: ArrayLike, small_correct: ArrayLike, large_correct: ArrayLike, n_levels: int | None
) -> Ints:
    """Return the items per level and outcome, (n_levels, 4); outcome = 2 * small + large."""
    small, large = as_outcomes(small_correct, large_correct)
    levels = np.asarray(level)
    if levels.shape != small.shape or levels.dtype.kind not in "iu" or levels.min() < 0:
        raise ValueError(f"level must be {small.size} whole numbers >= 0, got {levels.shape}")
    n = int(levels.max()) + 1 if n_levels is None else n_levels
    if levels.max() >= n:
        raise ValueError(f"level {levels.max()} of {n} levels")
    outcome = 2 * small.astype(np.int64) + large
    return np.bincount(4 * levels + outcome, minlength=4 * n).reshape(n, 4)


def curve_of_counts(counts: Ints) -> tuple[Floats, Floats]:
    """Return (small ratio, accuracy), each (..., n_levels + 1), from counts (..., n_levels, 4)."""
    items, small = counts.sum(axis=-1), counts[..., 2] + counts[..., 3]
    # Moving a level to the small model gains what only that one gets right.
    gain = small - (counts[..., 1] + counts[..., 3])
    n_items = items.sum(axis=-1, keepdims=True)
    start = np.zeros_like(n_items)
    ratio = np.cumsum(np.concatenate([start, items], axis=-1), axis=-1) / n_items
    all_large = small.sum(axis=-1, keepdims=True) - gain.sum(axis=-1, keepdims=True)
    accuracy = np.cumsum(np.concatenate([all_large, gain], axis=-1), axis=-1) / n_items
    return ratio, accuracy
