"""Rankings compared where they find the same share of errors: precision at a detection rate.

The depth n at which a ranking has found the share r of all errors is itself an estimate, so the
precision there is linearised through it: with P the precision of the first n items and p that of
the items around place n, an error found in the sample moves n by 1 / p places, and P by
(P - p) / n a place (the estimating equation D(n) = r; Binder 1983). "Around" means all depths that
the interval of the detection rate leaves open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from scoring.arrays import Floats, Ints
from scoring.domain_estimates import NO_VARIANCE, detection_rate, precision
from scoring.intervals import Interval, modified_wilson, mover_difference
from scoring.judged_sample import JudgedSample


@dataclass(frozen=True, slots=True)
class EqualDetection:
    """The first ``flagged`` items of a ranking, which hold the share asked for of all errors.

    ``influence`` (n_judged,): what each judged item adds to the error of the precision.
    """

    flagged: int
    precision: Interval
    influence: Floats


def precision_at_detection(sample: JudgedSample, ranks: Ints, rate: float) -> EqualDetection | None:
    """Return the precision of a ranking where its estimated detection rate reaches ``rate``.

    ``ranks`` (n_items,): places from 1 on, 0 where an item isn't ranked. None where the ranking
    ends before, where strata that it touches have no judged items, and where the items that any
    method flags may not reach so far: errors thin out abruptly then, which no line can follow.
    """
    if not 0 < rate < 1:
        raise ValueError(f"a detection rate must lie in (0, 1), got {rate}")
    reached = _Reached.by(sample, ranks)
    depth = reached.depth_at(rate)
    flagged = np.append(sample.is_flagged, False)[sample.stratum]
    if depth is None or rate > detection_rate(sample, flagged).low:
        return None
    members = (ranks > 0) & (ranks <= depth)
    found = precision(sample, members)
    if found.estimate is None:
        return None
    share = found.estimate
    inside, is_error = members[sample.judged].astype(np.float64), sample.is_error
    n_items = int((members & (sample.stratum >= 0)).sum())
    limits = detection_rate(sample, members)
    around = reached.between(limits.low, limits.high)
    influence = (is_error - share) * inside / sample.total(inside)
    influence += (share - around) / (around * n_items) * is_error * (inside - rate)
    variance = sample.covariance(influence, influence)
    if variance > NO_VARIANCE and 0 < share < 1:
        found = modified_wilson(share, share * (1 - share) / variance)
    return EqualDetection(depth, found, influence)


def difference_at_detection(
    sample: JudgedSample, first: Ints, second: Ints, rate: float
) -> Interval:
    """Return the precision of one ranking less that of another where both detect ``rate``."""
    a, b = (precision_at_detection(sample, ranks, rate) for ranks in (first, second))
    if a is None or b is None:
        return Interval(None, -1.0, 1.0)
    return difference_of(sample, a, b)


def difference_of(sample: JudgedSample, a: EqualDetection, b: EqualDetection) -> Interval:
    """Return the precision of ``a`` less that of ``b``, both found at the same rate."""
    if a.precision == b.precision and np.array_equal(a.influence, b.influence):
        return Interval(0.0, 0.0, 0.0, census=a.precision.census)
    spreads = [np.sqrt(sample.covariance(each.influence, each.influence)) for each in (a, b)]
    together = sample.covariance(a.influence, b.influence)
    correlation = together / (spreads[0] * spreads[1]) if min(spreads) > 0 else 0.0
    return mover_difference(a.precision, b.precision, float(np.clip(correlation, -1, 1)))


@dataclass(frozen=True, slots=True)
class _Reached:
    """The judged errors of a ranking in its order: their places, and the errors found by then.

    ``places``, ``errors`` (n_ranked_errors,); ``n_errors``: the estimated number of all errors.
    """

    places: Ints
    errors: Floats
    n_errors: float

    @classmethod
    def by(cls, sample: JudgedSample, ranks: Ints) -> Self:
        """Return what the ranking finds by the estimate."""
        per_error = sample.sizes / np.maximum(sample.n_judged, 1)
        weight = per_error[sample.stratum[sample.judged]] * sample.is_error
        places = ranks[sample.judged]
        ranked = np.flatnonzero((places > 0) & (weight > 0))
        order = ranked[np.argsort(places[ranked], kind="stable")]
        return cls(places[order], np.cumsum(weight[order]), float(weight.sum()))

    def depth_at(self, rate: float) -> int | None:
        """Return the place at which the share of errors found reaches ``rate``."""
        at = int(np.searchsorted(self.errors, rate * self.n_errors * (1 - NO_VARIANCE)))
        return int(self.places[at]) if at < self.places.size else None

    def between(self, low: float, high: float) -> float:
        """Return errors per item over the depths between two detection rates."""
        ends = np.searchsorted(self.errors, np.array([low, high]) * self.n_errors)
        first, last = np.minimum(ends, self.places.size - 1).tolist()
        if self.places[first] == self.places[last]:
            first = max(first - 1, 0)
        n_items = max(int(self.places[last] - self.places[first]), 1)
        errors = float(self.errors[last] - self.errors[first])
        return float(np.clip(errors / n_items, NO_VARIANCE, 1.0))
