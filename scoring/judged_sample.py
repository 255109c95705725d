"""A finite population in strata, some of whose items are judged, and the totals that follow.

Strata are simple random samples without replacement (Cochran 1977, chapter 5).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from scoring.arrays import Floats, Ints, Mask, as_mask

Kind: TypeAlias = Literal["absolute", "relative"]

MIN_JUDGED = 2
"""Judged items that a stratum needs before it has a variance."""


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

    @property
    def of_judged(self) -> Ints:
        """Each judged item's stratum, shape (n_judged,)."""
        return self.stratum[self.judged]

    @property
    def n_errors(self) -> Floats:
        """The judged errors per stratum, shape (n_strata,)."""
        return self.sum_by_stratum(self.is_error)

    def sum_by_stratum(self, values: Floats) -> Floats:
        """Return the sums of ``values`` (n_judged,) per stratum, shape (n_strata,)."""
        sums: Floats = np.bincount(self.of_judged, values, self.sizes.size).astype(np.float64)
        return sums

    def total(self, values: Floats) -> float:
        """Return sum_h N_h mean_h(values): a total of ``values`` (n_judged,) over all items."""
        return self.expand(self.sum_by_stratum(values))

    def expand(self, sums: Floats) -> float:
        """Return the total over all items of something summed per stratum, (n_strata,)."""
        # A plain sum: BLAS would start threads for it, which wait for each other on a busy machine.
        return float((self.sizes / np.maximum(self.n_judged, 1) * sums).sum())

    def covariance(self, first: Floats, second: Floats) -> float:
        """Return the estimated covariance of two such totals, with finite population correction.

        sum_h N_h^2 (1 - n_h / N_h) s_h(first, second) / n_h, s_h the sample covariance. A
        stratum with one judged item adds nothing: it has no sample variance.
        """
        sums, others, products = map(self.sum_by_stratum, (first, second, first * second))
        return self.covariance_of_sums(sums, others, products)

    def covariance_of_sums(self, sums: Floats, others: Floats, products: Floats) -> float:
        """Return the same from sums per stratum, (n_strata,): of both, and of their products."""
        # Shares of 0 and 1 and their residuals: nothing is lost by taking the means off the sums.
        n = np.maximum(self.n_judged, 1)
        return float((self.sampling_factor * (products - sums * others / n)).sum())

    @property
    def sampling_factor(self) -> Floats:
        """What a sum of squares counts in a variance: N_h (N_h - n_h) / (n_h (n_h - 1))."""
        n = np.maximum(self.n_judged, 1)
        factor: Floats = self.sizes * (self.sizes - self.n_judged) / (n * np.maximum(n - 1, 1))
        return factor


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
