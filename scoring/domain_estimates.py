"""Precision and detection rate of any set of items, from a stratified sample of judgments.

A set of items - the top k bins, the first n of a queue - may cut through strata, so it is a
domain: totals are expanded within strata, ratios are linearised (Cochran 1977, Sections 5A.14
and 6.11; Section 3.5 of the paper). Where the set is a union of strata, every formula here
becomes the textbook one: P = sum W_h p_h, Var = sum W_h^2 (1 - f_h) p_h (1 - p_h) / (n_h - 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log, sqrt
from typing import Literal, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from scoring.arrays import Floats, Ints, Mask, as_mask
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

Kind: TypeAlias = Literal["absolute", "relative"]

MIN_JUDGED = 2
"""Judged items that a stratum needs before it has a variance."""

NO_VARIANCE = 1e-15
"""Variances of shares below this are rounding: sample variances of a constant."""


@dataclass(frozen=True, slots=True)
class JudgedSample:
    """A finite population in strata, some of whose items are judged.

    ``stratum`` (n_items,): each item's stratum, -1 outside the population; thin strata are merged
    already. ``sizes``, ``n_judged``, ``is_flagged`` have shape (n_strata,); ``judged`` lists the
    positions of the judged items, and ``is_error`` (0. or 1.) what people said of each.
    """

    stratum: Ints
    sizes: Ints
    n_judged: Ints
    is_flagged: Mask
    judged: Ints
    is_error: Floats

    @classmethod
    def build(
        cls, stratum: ArrayLike, is_flagged: ArrayLike, judged: ArrayLike, is_error: ArrayLike
    ) -> Self:
        """Check the arrays, leave out judgments of items outside, and merge thin strata.

        ``stratum`` (n_items,); ``is_flagged`` (n_strata,): whether some method flags the
        stratum's items; ``judged`` (n_judged,): positions; ``is_error`` (n_judged,).
        """
        of_item = np.asarray(stratum, dtype=np.int64)
        flagged = np.asarray(is_flagged, dtype=np.bool_)
        places = np.asarray(judged, dtype=np.int64)
        errors = as_mask(is_error, places.size, "is_error").astype(np.float64)
        if of_item.size and of_item.max() >= flagged.size:
            raise ValueError(f"stratum {of_item.max()} of {flagged.size} strata")
        if np.unique(places).size != places.size:
            raise ValueError("an item is judged once; its votes are one truth by then")
        inside = of_item[places] >= 0
        places, errors = places[inside], errors[inside]
        sizes = np.bincount(of_item[of_item >= 0], minlength=flagged.size)
        counts = np.bincount(of_item[places], minlength=flagged.size)
        merged = merge_thin_strata(sizes, counts, flagged)
        n_merged = int(merged.max()) + 1 if merged.size else 0
        kind = np.zeros(n_merged, dtype=np.bool_)
        kind[merged] = flagged
        return cls(
            stratum=np.where(of_item >= 0, merged[of_item], -1) if merged.size else of_item,
            sizes=np.bincount(merged, sizes, n_merged).astype(np.int64),
            n_judged=np.bincount(merged, counts, n_merged).astype(np.int64),
            is_flagged=kind,
            judged=places,
            is_error=errors,
        )

    @property
    def is_represented(self) -> Mask:
        """Which strata have judged items enough to speak for the others, shape (n_strata,)."""
        represented: Mask = (self.n_judged >= MIN_JUDGED) | (self.n_judged == self.sizes)
        return represented

    @property
    def is_census(self) -> bool:
        """Whether every item of the population is judged."""
        return bool((self.n_judged == self.sizes).all())

    @property
    def is_known(self) -> Mask:
        """Which items lie in a represented stratum, shape (n_items,)."""
        known: Mask = np.append(self.is_represented, False)[self.stratum]  # -1 finds the False
        return known

    @property
    def kind(self) -> Kind:
        """What detection is measured against: absolute once every stratum has judged items."""
        return "absolute" if self.is_represented.all() else "relative"

    def strata_of(self, members: Mask) -> Mask:
        """Return which strata hold an item of the set, shape (n_strata,)."""
        inside = self.stratum[members]
        n_inside: Ints = np.bincount(inside[inside >= 0], minlength=self.sizes.size)
        return n_inside > 0

    def total(self, values: Floats) -> float:
        """Return sum_h N_h mean_h(values): a total of ``values`` (n_judged,) over all items."""
        sums = np.bincount(self.stratum[self.judged], values, self.sizes.size)
        # A plain sum: BLAS would start threads for it, which wait for each other on a busy machine.
        return float((self.sizes / np.maximum(self.n_judged, 1) * sums).sum())

    def covariance(self, first: Floats, second: Floats) -> float:
        """Return the estimated covariance of two such totals, with finite population correction.

        sum_h N_h^2 (1 - n_h / N_h) s_h(first, second) / n_h, s_h the sample covariance. A
        stratum with one judged item adds nothing: it has no sample variance.
        """
        of_judged, n = self.stratum[self.judged], np.maximum(self.n_judged, 1)
        # Shares of 0 and 1 and their residuals: nothing is lost by taking the means off the sums.
        sums, others, products = (
            np.bincount(of_judged, values, self.sizes.size)
            for values in (first, second, first * second)
        )
        factor = self.sizes * (self.sizes - self.n_judged) / (n * np.maximum(n - 1, 1))
        return float((factor * (products - sums * others / n)).sum())


def merge_thin_strata(sizes: Ints, n_judged: Ints, is_flagged: Mask) -> Ints:
    """Return the merged stratum of each stratum, shape (n_strata,), numbered in order.

    Until review reaches them, strata with fewer than two judged items borrow from their
    neighbours (collapsed strata, Cochran 1977, Section 5A.12), flagged and unflagged ones apart.
    """
    merged = np.zeros(sizes.size, dtype=np.int64)
    number = 0
    for kind in (True, False):
        of_kind = np.flatnonzero(is_flagged == kind)
        first, size, count = number, 0, 0
        for place in of_kind:
            merged[place] = number
            size, count = size + sizes[place], count + n_judged[place]
            if count >= MIN_JUDGED or count == size:
                number, size, count = number + 1, 0, 0
        if size and number > first:
            merged[of_kind[merged[of_kind] == number]] = number - 1
        elif size:
            number += 1
    return merged


UNKNOWN = Interval(None, 0.0, 1.0)


def precision(
    sample: JudgedSample,
    members: Mask,
    *,
    confidence: float = 0.95,
    method: IntervalMethod = "wilson",
) -> Interval:
    """Return errors in the set / items in it; no estimate while that can't be said.

    ``members`` (n_items,). P = sum_h N_h mean_h(e d) / sum_h N_h mean_h(d) with d = "in the
    set"; Var(P) from the residuals (e - P) d; the modified Wilson interval at n_eff = P (1 - P) /
    Var(P), or the wider one of Korn and Graubard where that is the ``method``.
    """
    population = members & (sample.stratum >= 0)
    inside = population[sample.judged].astype(np.float64)
    n, n_items = int(inside.sum()), int(population.sum())
    if n == 0 or (population & ~sample.is_known).any():
        return UNKNOWN
    if n == n_items:
        return wilson_effective(float(sample.is_error @ inside) / n, inf)
    size = sample.total(inside)
    share = min(sample.total(sample.is_error * inside) / size, 1.0)
    residual = (sample.is_error - share) * inside
    variance = sample.covariance(residual, residual) / size**2
    n_effective = _effective_size(share, variance, n, n_items)
    if method == "korn_graubard":
        return korn_graubard(
            share,
            n_effective,
            n_judged=n,
            n_strata=np.unique(sample.stratum[sample.judged[inside > 0]]).size,
            population=n_items,
            confidence=confidence,
        )
    return modified_wilson(share, n_effective, confidence=confidence)


def detection_rate(sample: JudgedSample, members: Mask) -> Interval:
    """Return errors in the set / all errors in the represented strata; no estimate without any.

    D = E / (E + R) with E and R the errors inside and outside the set; MOVER on the log odds
    ln E - ln R from the Wilson limits of both totals (Zou and Donner 2008), with the correlation
    that appears where the set cuts through a stratum. ``sample.kind`` says what D is relative to.
    """
    known = sample.is_known
    if (members & ~known & (sample.stratum >= 0)).any() or not known.any():
        return UNKNOWN
    found, missed = (judged_errors(sample, part) for part in (members & known, ~members & known))
    inside = _error_total(sample, members & known, found)
    outside = _error_total(sample, ~members & known, missed)
    if not inside.estimate or not outside.estimate:
        return mover_ratio(inside, outside)
    odds = mover_difference(_log(inside), _log(outside), correlate_totals(sample, found, missed))
    rate, low, high = (float(expit(value)) for value in (odds.estimate, odds.low, odds.high))
    return Interval(rate, low, high, odds.census)


def detection_share(sample: JudgedSample, members: Mask) -> float | None:
    """Return the estimate of ``detection_rate`` alone, which takes a small part of the time."""
    known = sample.is_known
    if (members & ~known & (sample.stratum >= 0)).any() or not known.any():
        return None
    inside, outside = (
        sample.total(judged_errors(sample, part)) for part in (members & known, ~members & known)
    )
    return inside / (inside + outside) if inside + outside > 0 else None


def largest_k(sample: JudgedSample, bin_rank: Ints, n_bins: int, target: float) -> int:
    """Return the largest k such that the top 1, 2, .. k bins all keep precision >= ``target``.

    ``bin_rank`` (n_items,): 1 = most confident, 0 = in no bin. Each set is tested by its
    one-sided 95 % limit; stopping at the first failure needs no correction (fixed-sequence
    testing). 0: not even the first bin.
    """
    for k in range(1, n_bins + 1):
        top = precision(sample, (bin_rank > 0) & (bin_rank <= k), confidence=0.9)
        if top.estimate is None or top.low < target:
            return k - 1
    return n_bins


def judged_errors(sample: JudgedSample, members: Mask) -> Floats:
    """Return 1. for each judged item that is an error in the set, shape (n_judged,)."""
    return sample.is_error * members[sample.judged]


def _error_total(sample: JudgedSample, members: Mask, errors: Floats) -> Interval:
    """Return the number of errors in the set, its flagged and its unflagged part estimated apart.

    A few judged items without an error in the large unflagged part leave much open: taken
    together with the flagged part, whose verdicts vary, that would not show.
    """
    is_flagged = np.append(sample.is_flagged, False)[sample.stratum]
    parts = [members & is_flagged, members & ~is_flagged & (sample.stratum >= 0)]
    return mover_sum(
        [_part_total(sample, part, errors * part[sample.judged]) for part in parts if part.any()]
        or [Interval(0.0, 0.0, 0.0, census=True)]
    )


def _part_total(sample: JudgedSample, members: Mask, errors: Floats) -> Interval:
    """Return a total over the strata that the set touches: Wilson's limits times their items."""
    touched = sample.strata_of(members)
    n_items, n = int(sample.sizes[touched].sum()), int(sample.n_judged[touched].sum())
    total = sample.total(errors)
    if n_items == n:
        return Interval(total, total, total, census=True)
    share = min(total / n_items, 1.0)
    variance = sample.covariance(errors, errors) / n_items**2
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
    if variances <= 0:
        return 0.0
    return float(np.clip(sample.covariance(first, second) / sqrt(variances), -1, 1))


def _log(total: Interval) -> Interval:
    """Return the interval of the logarithm of a positive total."""
    value = total.estimate or 1.0
    # Wilson's lower limit of a positive share is positive; rounding can make it 0 all the same.
    return Interval(log(value), log(max(total.low, 1e-300)), log(total.high), total.census)
