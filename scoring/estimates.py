"""From sampled judgments to precision, detection rate, the choice of k and method comparisons.

Points of a curve are sets of strata, given as a boolean matrix (n_points, n_strata); for the top-k
bins ``top_k_members`` writes it. Every rate comes with its interval and the judgments behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from scoring.arrays import Mask
from scoring.intervals import Interval, IntervalMethod, mover_difference, mover_ratio, mover_sum
from scoring.strata import Strata, Total, estimate_total

Kind: TypeAlias = Literal["absolute", "relative"]


@dataclass(frozen=True, slots=True)
class PrecisionPoint:
    """Label errors per flagged item in one set.

    ``flagged``: items in the set; ``judged``, ``errors``, ``unsure``: plain counts among them;
    ``precision``: the estimate, None where no item is judged; ``worst_low``, ``worst_high``: the
    estimate had all unsure verdicts been "correct", or "error"; ``pooled``: items whose stratum
    borrowed its neighbour's judgments.
    """

    flagged: float
    judged: float
    errors: float
    unsure: float
    precision: Interval
    worst_low: float | None
    worst_high: float | None
    pooled: float


@dataclass(frozen=True, slots=True)
class DetectionPoint:
    """The share of errors that one set holds.

    ``kind`` is ``absolute`` (of all errors in the data set) where unflagged items were judged, or
    ``relative`` (of the errors in the union of all methods' flags) where none was; fields as above.
    """

    flagged: float
    judged: float
    errors: float
    unsure: float
    detection_rate: Interval
    kind: Kind
    worst_low: float | None
    worst_high: float | None
    pooled: float


def top_k_members(bin_ranks: ArrayLike, n_bins: int) -> Mask:
    """Return which strata the top-k bins hold, (n_bins, n_strata), for k = 1..``n_bins``.

    ``bin_ranks`` (n_strata,): each stratum's bin, 1 the most confident, 0 where not flagged.
    """
    ranks = np.asarray(bin_ranks)
    members: Mask = (ranks > 0) & (ranks <= np.arange(1, n_bins + 1)[:, None])
    return members


def precision_curve(
    strata: Strata,
    members: ArrayLike,
    *,
    confidence: float = 0.95,
    method: IntervalMethod = "wilson",
) -> list[PrecisionPoint]:
    """Return the precision of each set in ``members`` (n_points, n_strata) (Figure 6).

    P = sum W_h p_h over the set's strata, W_h = N_h / sum N_h; Wilson's interval with the effective
    sample size P (1 - P) / Var, or the wider one of Korn and Graubard where that is the
    ``method``. A fully judged set is a census, without width.
    """
    points = []
    for chosen in _as_members(members, strata):
        part = strata.select(chosen)
        total = estimate_total(part)
        low, high = (
            _share(estimate_total(part.with_unsure_as(errors=errors))) for errors in (False, True)
        )
        precision = Interval(None, 0.0, 1.0)
        if total is not None and total.population > 0:
            precision = total.interval(confidence, method)
        points.append(
            PrecisionPoint(
                *_counts(part), precision, low, high, pooled=total.pooled if total else 0.0
            )
        )
    return points


def detection_rate_curve(
    strata: Strata,
    members: ArrayLike,
    flagged: ArrayLike,
    *,
    confidence: float = 0.95,
) -> list[DetectionPoint]:
    """Return the detection rate of each set in ``members`` (n_points, n_strata) (Figure 6).

    D = E / (E + rest), E the errors in the set, rest those in all other strata; MOVER on the log
    odds. ``flagged`` (n_strata,) marks the strata that some method flags. The others count only
    where one of their items was judged; else the rate is relative to the errors in all flags.
    """
    any_flag = np.asarray(flagged, dtype=np.bool_)
    if any_flag.shape != strata.population.shape:
        raise ValueError(f"flagged must have shape {strata.population.shape}, got {any_flag.shape}")
    kind: Kind = "absolute" if strata.judged[~any_flag].any() else "relative"
    points = []
    for chosen in _as_members(members, strata):
        if kind == "relative" and (chosen & ~any_flag).any():
            raise ValueError("a set holds unflagged strata, of which no item was judged")
        groups = [chosen, ~chosen & any_flag]
        if kind == "absolute":
            groups.append(~chosen & ~any_flag)
        parts = [strata.select(group) for group in groups]
        totals = [estimate_total(part) for part in parts]
        rate = _detection_rate(totals, confidence)
        points.append(
            DetectionPoint(
                *_counts(parts[0]),
                rate,
                kind,
                *_worst_rates(parts),
                pooled=sum(total.pooled for total in totals if total),
            )
        )
    return points


def auto_k(
    strata: Strata,
    members: ArrayLike,
    target: float,
    *,
    confidence: float = 0.95,
) -> int:
    """Return the largest k such that the top 1, 2, .. k sets all keep precision >= ``target``.

    ``members`` (n_points, n_strata) from the most confident set outwards. Each set is tested by
    its one-sided lower limit; stopping at the first failure keeps the overall error at
    1 - ``confidence`` without a correction (fixed-sequence testing). 0: not even the first set.
    """
    two_sided = 2 * confidence - 1
    passed = 0
    for point in precision_curve(strata, members, confidence=two_sided):
        if point.precision.estimate is None or point.precision.low < target:
            break
        passed += 1
    return passed


def method_difference(
    strata: Strata,
    members_a: ArrayLike,
    members_b: ArrayLike,
    *,
    confidence: float = 0.95,
) -> Interval:
    """Return the interval of precision(A) - precision(B), two sets of strata (n_strata,) (Table 3).

    The same verdicts serve both where the sets share strata; MOVER for differences takes the
    covariance of the shared strata into account. Shared and unshared strata are estimated apart.
    A set does not differ from itself; without a judgment in some cell there is no estimate.
    """
    in_a, in_b = _as_members(np.stack([np.asarray(members_a), np.asarray(members_b)]), strata)
    if (in_a == in_b).all():
        return Interval(0.0, 0.0, 0.0, census=True)  # one set, whatever its precision may be
    cells = {
        name: estimate_total(strata.select(cell))
        for name, cell in (("a", in_a & ~in_b), ("both", in_a & in_b), ("b", in_b & ~in_a))
    }
    first, second = _join(cells["a"], cells["both"]), _join(cells["both"], cells["b"])
    if not first or not second or first.population == 0 or second.population == 0:
        return Interval(None, -1.0, 1.0)
    both = cells["both"]
    spread = sqrt(first.variance * second.variance)
    shared = both.variance / spread if both and spread > 0 else 0.0
    return mover_difference(
        first.interval(confidence), second.interval(confidence), min(shared, 1.0)
    )


def _as_members(members: ArrayLike, strata: Strata) -> Mask:
    """Return ``members`` as booleans of shape (n_points, n_strata)."""
    chosen = np.asarray(members)
    if chosen.dtype != np.bool_ or chosen.ndim != 2 or chosen.shape[1:] != strata.population.shape:
        raise ValueError(
            f"members must be boolean (n_points, {strata.population.size}), "
            f"got {chosen.dtype} of shape {chosen.shape}",
        )
    return chosen


def _counts(part: Strata) -> tuple[float, float, float, float]:
    columns = (part.population, part.judged, part.errors, part.unsure)
    flagged, judged, errors, unsure = (float(column.sum()) for column in columns)
    return flagged, judged, errors, unsure


def _share(total: Total | None) -> float | None:
    return total.share if total and total.population > 0 else None


def _join(first: Total | None, second: Total | None) -> Total | None:
    """Return the total of two disjoint sets; None where one of them is unknown."""
    if first is None or second is None:
        return None
    return Total(
        errors=first.errors + second.errors,
        variance=first.variance + second.variance,
        population=first.population + second.population,
        judged=first.judged + second.judged,
        pooled=first.pooled + second.pooled,
        n_strata=first.n_strata + second.n_strata,
    )


def _errors(total: Total | None, confidence: float) -> Interval:
    """Return the interval of a set's errors; no estimate where items exist but none is judged."""
    if total is None:
        return Interval(None, 0.0, float("inf"))
    if total.population == 0:
        return Interval(0.0, 0.0, 0.0, census=True)
    return total.errors_interval(confidence)


def _detection_rate(totals: list[Total | None], confidence: float) -> Interval:
    """Return the share of the first total in all of them."""
    part, *others = (_errors(total, confidence) for total in totals)
    rest = mover_sum(list(others))
    if part.estimate is None or rest.estimate is None:
        return Interval(None, 0.0, 1.0)
    return mover_ratio(part, rest)


def _worst_rates(parts: list[Strata]) -> tuple[float | None, float | None]:
    """Return the detection rate had the unsure verdicts turned out against the set, or for it."""

    def rate(*, for_the_set: bool) -> float | None:
        inside = estimate_total(parts[0].with_unsure_as(errors=for_the_set))
        outside = [estimate_total(p.with_unsure_as(errors=not for_the_set)) for p in parts[1:]]
        known = [total.errors for total in outside if total is not None]
        if inside is None or len(known) != len(outside):
            return None
        everything = inside.errors + sum(known)
        return inside.errors / everything if everything > 0 else None

    return rate(for_the_set=False), rate(for_the_set=True)
