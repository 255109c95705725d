"""Precision and detection rate of any set of items, from a stratified sample of judgments.

A set of items - the top k bins, the first n of a queue - may cut through strata, so it is a
domain: totals are expanded within strata, ratios are linearised (Cochran 1977, Sections 5A.14
and 6.11; Section 3.5 of the paper). Where the set is a union of strata, every formula here
becomes the textbook one: P = sum W_h p_h, Var = sum W_h^2 (1 - f_h) p_h (1 - p_h) / (n_h - 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log, sqrt
from typing import Self

import numpy as np
import scipy

from scoring.arrays import Floats, Ints, Mask
from scoring.intervals import (
    Interval,
    IntervalMethod,
    korn_graubard,
    modified_wilson,
    mover_difference,
    mover_ratio,
    mover_sum,
    wilson_effective,
)
from scoring.judged_sample import JudgedSample

NO_VARIANCE = 1e-15
"""Variances of shares below this are rounding: sample variances of a constant."""

UNKNOWN = Interval(None, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Domain:
    """A set of items, counted once per stratum: all that its estimates need.

    ``members`` (n_items,); ``n_items``, ``n_judged`` and ``n_errors`` have shape (n_strata,).
    """

    members: Mask
    n_items: Ints
    n_judged: Floats
    n_errors: Floats

    @classmethod
    def of(cls, sample: JudgedSample, members: Mask | Self) -> Self:
        """Return the counts of a set of items, as they are where it is counted already."""
        if isinstance(members, cls):
            return members
        inside = np.asarray(members)
        strata, n_strata = sample.stratum[inside], sample.sizes.size
        judged = inside[sample.judged]
        of_judged = sample.of_judged[judged]
        return cls(
            members=inside,
            n_items=np.bincount(strata[strata >= 0], minlength=n_strata),
            n_judged=np.bincount(of_judged, minlength=n_strata).astype(np.float64),
            n_errors=np.bincount(of_judged, sample.is_error[judged], n_strata).astype(np.float64),
        )

    def is_beyond(self, sample: JudgedSample) -> bool:
        """Whether it holds items of strata that nobody judged."""
        return bool(self.n_items[~sample.is_represented].any())


def precision(
    sample: JudgedSample,
    members: Mask | Domain,
    *,
    confidence: float = 0.95,
    method: IntervalMethod = "wilson",
) -> Interval:
    """Return errors in the set / items in it; no estimate while that can't be said.

    ``members`` (n_items,). P = sum_h N_h mean_h(e d) / sum_h N_h mean_h(d) with d = "in the
    set"; Var(P) from the residuals (e - P) d; the modified Wilson interval at n_eff = P (1 - P) /
    Var(P), or the wider one of Korn and Graubard where that is the ``method``.
    """
    domain = Domain.of(sample, members)
    judged, errors = domain.n_judged, domain.n_errors
    n, n_items = int(judged.sum()), int(domain.n_items.sum())
    if n == 0 or domain.is_beyond(sample):
        return UNKNOWN
    if n == n_items:
        return wilson_effective(float(errors.sum()) / n, inf)
    size = sample.expand(judged)
    share = min(sample.expand(errors) / size, 1.0)
    residuals = errors - share * judged
    squares = errors * (1 - share) ** 2 + (judged - errors) * share**2
    variance = sample.covariance_of_sums(residuals, residuals, squares) / size**2
    n_effective = _effective_size(share, variance, n, n_items)
    if method == "korn_graubard":
        return korn_graubard(
            share,
            n_effective,
            n_judged=n,
            n_strata=int((judged > 0).sum()),
            population=n_items,
            confidence=confidence,
        )
    return modified_wilson(share, n_effective, confidence=confidence)


def detection_rate(sample: JudgedSample, members: Mask | Domain) -> Interval:
    """Return errors in the set / all errors in the represented strata; no estimate without any.

    D = E / (E + R) with E and R the errors inside and outside the set; MOVER on the log odds
    ln E - ln R from the Wilson limits of both totals (Zou and Donner 2008), with the correlation
    that appears where the set cuts through a stratum. ``sample.kind`` says what D is relative to.
    """
    domain, represented = Domain.of(sample, members), sample.is_represented
    if domain.is_beyond(sample) or not sample.sizes[represented].any():
        return UNKNOWN
    found = domain.n_errors
    missed = (sample.n_errors - found) * represented
    inside = _error_total(sample, domain.n_items, found)
    outside = _error_total(sample, (sample.sizes - domain.n_items) * represented, missed)
    if not inside.estimate or not outside.estimate:
        return mover_ratio(inside, outside)
    none_in_both = np.zeros_like(found)
    correlation = _correlation(
        sample.covariance_of_sums(found, missed, none_in_both),
        sample.covariance_of_sums(found, found, found)
        * sample.covariance_of_sums(missed, missed, missed),
    )
    odds = mover_difference(_log(inside), _log(outside), correlation)
    ends = (odds.estimate, odds.low, odds.high)
    rate, low, high = (float(scipy.special.expit(value)) for value in ends)
    return Interval(rate, low, high, odds.census)


def worst_detection_shares(
    none: JudgedSample, every: JudgedSample, members: Mask
) -> tuple[float | None, float | None]:
    """Return the detection rate had unsure items been errors outside the set only, inside only.

    ``none`` and ``every``: the same sample had no unsure item been an error, or all of them.
    """
    low, high = Domain.of(none, members), Domain.of(every, members)
    return (
        _share(none, low, low.n_errors, every.n_errors - high.n_errors),
        _share(none, low, high.n_errors, none.n_errors - low.n_errors),
    )


def _share(sample: JudgedSample, domain: Domain, found: Floats, missed: Floats) -> float | None:
    """Return the estimate of ``detection_rate`` alone, from judged errors per stratum."""
    represented = sample.is_represented
    if domain.is_beyond(sample) or not sample.sizes[represented].any():
        return None
    inside, outside = (sample.expand(errors * represented) for errors in (found, missed))
    return inside / (inside + outside) if inside + outside > 0 else None


def largest_k(sample: JudgedSample, bin_rank: Ints, n_bins: int, target: float) -> int:
    """Return the largest k such that the top 1, 2, .. k bins all keep precision >= ``target``.

    ``bin_rank`` (n_items,): 1 = most confident, 0 = in no bin. Each set is tested by its
    one-sided 95 % limit; stopping at the first failure needs no correction (fixed-sequence
    testing). 0: not even the first bin.
    """
    for k in range(1, n_bins + 1):
        least = lower_limit(sample, (bin_rank > 0) & (bin_rank <= k))
        if least is None or least < target:
            return k - 1
    return n_bins


def lower_limit(
    sample: JudgedSample, members: Mask | Domain, *, confidence: float = 0.95
) -> float | None:
    """Return what the precision of a set is at least, one-sided; None while that can't be said."""
    found = precision(sample, members, confidence=2 * confidence - 1)
    return None if found.estimate is None else found.low


def judged_errors(sample: JudgedSample, members: Mask) -> Floats:
    """Return 1. for each judged item that is an error in the set, shape (n_judged,)."""
    return sample.is_error * members[sample.judged]


def _error_total(sample: JudgedSample, n_items: Ints, errors: Floats) -> Interval:
    """Return the number of errors in a set, its flagged and its unflagged part estimated apart.

    ``n_items`` and judged ``errors`` of the set, per stratum. A few judged items without an error
    in the large unflagged part leave much open: taken together with the flagged part, whose
    verdicts vary, that would not show.
    """
    parts = [
        _part_total(sample, n_items * part, errors * part)
        for part in (sample.is_flagged, ~sample.is_flagged)
        if n_items[part].any()
    ]
    return mover_sum(parts or [Interval(0.0, 0.0, 0.0, census=True)])


def _part_total(sample: JudgedSample, in_part: Ints, errors: Floats) -> Interval:
    """Return a total over the strata that the set touches: Wilson's limits times their items."""
    touched = in_part > 0
    n_items, n = int(sample.sizes[touched].sum()), int(sample.n_judged[touched].sum())
    total = sample.expand(errors)
    if n_items == n:
        return Interval(total, total, total, census=True)
    share = min(total / n_items, 1.0)
    variance = sample.covariance_of_sums(errors, errors, errors) / n_items**2
    limits = wilson_effective(share, _effective_size(share, variance, n, n_items))
    return Interval(total, limits.low * n_items, limits.high * n_items)


def _effective_size(share: float, variance: float, n: int, n_items: int) -> float:
    """Return the number of independent draws that would have this variance.

    Where all judged items of each stratum are alike there is no variance to go by: then n counts
    as it is, with the finite population correction.
    """
    if variance > NO_VARIANCE and 0 < share < 1:
        return share * (1 - share) / variance
    return n / (1 - n / n_items)


def correlate_totals(sample: JudgedSample, first: Floats, second: Floats) -> float:
    """Return the estimated correlation of two totals, 0 where one of them doesn't vary."""
    variances = sample.covariance(first, first) * sample.covariance(second, second)
    return _correlation(sample.covariance(first, second), variances)


def _correlation(covariance: float, variances: float) -> float:
    """Return the correlation, given the product of both variances."""
    if variances <= 0:
        return 0.0
    return float(np.clip(covariance / sqrt(variances), -1, 1))


def _log(total: Interval) -> Interval:
    """Return the interval of the logarithm of a positive total."""
    value = total.estimate or 1.0
    # Wilson's lower limit of a positive share is positive; rounding can make it 0 all the same.
    return Interval(log(value), log(max(total.low, 1e-300)), log(total.high), total.census)
