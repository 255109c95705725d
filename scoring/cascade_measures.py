"""What a cascade is worth on the test half: gap recovered, best point, and their uncertainty.

Nothing here chooses anything on the items it measures; what ``choose_k`` finds on the validation
half is measured on the test half (Sections 3.2 and 3.3, Appendix A.1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike

from scoring.arrays import Floats, Ints, Mask, as_mask
from scoring.cascade import as_outcomes, cascade_curve, count_levels, curve_of_counts
from scoring.intervals import Interval

SIGNIFICANCE = 0.05
N_RESAMPLES = 2000
CELLS_AT_ONCE = 4_000_000


@dataclass(frozen=True, slots=True)
class Apgr:
    """Average performance gap recovered, with its bootstrap interval (Appendix A.1).

    Where ``undefined`` gives a reason there is no number.
    """

    estimate: float | None
    low: float | None
    high: float | None
    undefined: str = ""


@dataclass(frozen=True, slots=True)
class PairedPoint:
    """One cascade beside the better of its two models, on the same items.

    ``p_value``: McNemar's exact test of their accuracies, two-sided.
    """

    small_ratio: float
    accuracy: float
    p_value: float


def measure_apgr(
    level: ArrayLike,
    small_correct: ArrayLike,
    large_correct: ArrayLike,
    n_levels: int | None = None,
    *,
    rng: np.random.Generator,
    confidence: float = 0.95,
) -> Apgr:
    """Return the APGR of a cascade on the test half, and the interval its items leave.

    Arrays as in ``cascade_curve``. The interval is a percentile bootstrap over test items, both
    models' answers to an item staying together; the routing table is taken as it is. Undefined
    where McNemar's exact test finds no gap at 5 %, where so many resamples have none that the
    interval has no end, and where the large model is the worse one.
    """
    counts = count_levels(level, small_correct, large_correct, n_levels)
    small, large = as_outcomes(small_correct, large_correct)
    gap, p_value = float(large.mean() - small.mean()), mcnemar_exact(small, large)
    n_items = int(counts.sum())
    drawn = rng.multinomial(n_items, counts.ravel() / n_items, size=N_RESAMPLES)
    ratio, accuracy = curve_of_counts(drawn.reshape(N_RESAMPLES, *counts.shape))
    tail = (1 - confidence) / 2
    without_gap = float((accuracy[:, 0] <= accuracy[:, -1]).mean())
    if p_value < SIGNIFICANCE and gap < 0:
        return _undefined("the large model is the worse one", small, large, p_value)
    # Resamples without a gap recover anything: with so many the interval would have no end.
    if p_value >= SIGNIFICANCE or without_gap >= tail:
        return _undefined("within noise", small, large, p_value)
    low, high = np.quantile(_apgr_of(ratio, accuracy), [tail, 1 - tail])
    return Apgr(float(_apgr_of(*curve_of_counts(counts))), float(low), float(high))


def curve_band(
    level: ArrayLike,
    small_correct: ArrayLike,
    large_correct: ArrayLike,
    n_levels: int | None = None,
    *,
    rng: np.random.Generator,
    confidence: float = 0.95,
) -> tuple[Floats, Floats]:
    """Return the limits of a curve's accuracies, (n_levels + 1,) each, that hold for all k at once.

    Arrays as in ``cascade_curve``. Test items are resampled; the band is as many standard
    deviations wide at every k as the largest deviation of a whole curve has in 95 of 100. All
    curves of one test half move together: whether two differ is not told by their bands.
    """
    counts = count_levels(level, small_correct, large_correct, n_levels)
    n_items = int(counts.sum())
    drawn = rng.multinomial(n_items, counts.ravel() / n_items, size=N_RESAMPLES)
    accuracy = curve_of_counts(counts)[1]
    deviation = curve_of_counts(drawn.reshape(N_RESAMPLES, *counts.shape))[1] - accuracy
    spread = np.sqrt(np.square(deviation).mean(axis=0))
    largest = np.max(np.abs(deviation) / np.where(spread > 0, spread, np.inf), axis=1)
    reach = spread * np.quantile(largest, confidence)
    return np.clip(accuracy - reach, 0.0, 1.0), np.clip(accuracy + reach, 0.0, 1.0)


def apgr_difference(
    first: tuple[ArrayLike, int],
    second: tuple[ArrayLike, int],
    small_correct: ArrayLike,
    large_correct: ArrayLike,
    *,
    rng: np.random.Generator,
    confidence: float = 0.95,
) -> Interval:
    """Return APGR(first) - APGR(second) of two routers, each (level, n_levels), with its limits.

    The same resampled items serve both, so what the models' accuracies leave uncertain in either
    falls out. Only for pairs whose APGR is defined.
    """
    small, large = as_outcomes(small_correct, large_correct)
    n_first, n_second = first[1], second[1]
    joint = np.asarray(first[0]) * n_second + np.asarray(second[0])
    counts = count_levels(joint, small, large, n_first * n_second)
    shape = (n_first, n_second, 4)
    at_once = max(CELLS_AT_ONCE // counts.size, 1)
    n_items = int(counts.sum())
    gaps = [
        _difference_of(rng.multinomial(n_items, counts.ravel() / n_items, size=n), shape)
        for n in np.diff([*range(0, N_RESAMPLES, at_once), N_RESAMPLES]).tolist()
    ]
    differences, tail = np.concatenate(gaps), (1 - confidence) / 2
    # A resample in which the models are alike recovers anything by any router.
    low, high = np.quantile(differences[np.isfinite(differences)], [tail, 1 - tail])
    return Interval(float(_difference_of(counts[None], shape)[0]), float(low), float(high))


def _difference_of(counts: Ints, shape: tuple[int, int, int]) -> Floats:
    """Return the difference of two routers' APGR, (n_resamples,), from items per joint level."""
    joint = counts.reshape(len(counts), *shape)
    first, second = (_apgr_of(*curve_of_counts(joint.sum(axis=axis))) for axis in (2, 1))
    with np.errstate(invalid="ignore"):
        return first - second


def _undefined(found: str, small: Mask, large: Mask, p_value: float) -> Apgr:
    reason = (
        f"{found}: accuracy {large.mean():.4f} (large) and {small.mean():.4f} (small), "
        f"McNemar p = {p_value:.2g}"
    )
    return Apgr(None, None, None, reason)


def choose_k(
    level: ArrayLike,
    small_correct: ArrayLike,
    large_correct: ArrayLike,
    n_levels: int | None = None,
) -> int:
    """Return the k of the highest accuracy, the cheapest one on ties: for the validation half."""
    accuracy = cascade_curve(level, small_correct, large_correct, n_levels).accuracy
    return int(np.flatnonzero(accuracy == accuracy.max())[-1])


def measure_point(
    use_small: ArrayLike, small_correct: ArrayLike, large_correct: ArrayLike
) -> PairedPoint:
    """Return a cascade's accuracy on the test half and the paired test against the better model.

    All arrays are booleans (n_items,). ``use_small`` has to be fixed before the test half is
    looked at (``choose_k`` on the validation half): the best of many k would test too well. The
    better model is the better one on these very items, which leans against the cascade.
    """
    small, large = as_outcomes(small_correct, large_correct)
    chosen = as_mask(use_small, small.size, "use_small")
    cascade = np.where(chosen, small, large)
    better = small if small.mean() > large.mean() else large
    return PairedPoint(float(chosen.mean()), float(cascade.mean()), mcnemar_exact(cascade, better))


def mcnemar_exact(first_correct: ArrayLike, second_correct: ArrayLike) -> float:
    """Return the two-sided p-value of McNemar's exact test for paired outcomes, (n_items,).

    Among the items only one of the two gets right, either is as likely under the hypothesis.
    """
    first, second = as_outcomes(first_correct, second_correct)
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    tail = scipy.stats.binom.cdf(min(only_first, only_second), only_first + only_second, 0.5)
    return float(min(1.0, 2 * tail))


def _apgr_of(small_ratio: Floats, accuracy: Floats) -> Floats:
    """Return the APGR of many curves at once, (...,): 1/2 + (area above the line) / gap."""
    weak, strong = accuracy[..., -1], accuracy[..., 0]
    area = np.trapezoid(accuracy, small_ratio, axis=-1)
    gap = strong - weak
    above = area - (weak + strong) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        excess = above / gap
    return 0.5 + np.where(gap > 0, excess, np.copysign(np.inf, above))
