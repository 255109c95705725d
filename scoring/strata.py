"""A stratified sample of judgments and the totals it estimates.

Strata are simple random samples without replacement (Cochran 1977, chapter 5). A stratum that is
too thinly judged to speak for itself is pooled with its neighbour; it never counts as zero errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import ArrayLike

from scoring.arrays import Floats, Ints, Mask, as_vector
from scoring.intervals import (
    Interval,
    IntervalMethod,
    korn_graubard,
    modified_wilson,
    wilson_effective,
)

MIN_JUDGED = 2
"""A variance needs two judgments; a stratum with fewer, unless complete, is pooled."""


@dataclass(frozen=True, slots=True)
class Strata:
    """Sizes and judgments, one entry per stratum, neighbours in the order of the ranking.

    ``population``: items in the stratum; ``judged``: those with a decided verdict; ``errors``:
    label errors among them under one policy (fractions where votes are weighted); ``unsure``:
    sampled items whose verdict was "unsure", not among ``judged``.
    """

    population: Floats
    judged: Floats
    errors: Floats
    unsure: Floats

    @classmethod
    def of(
        cls,
        population: ArrayLike,
        judged: ArrayLike,
        errors: ArrayLike,
        unsure: ArrayLike | None = None,
    ) -> Strata:
        """Return the strata, checked: 0 <= errors <= judged and judged + unsure <= population."""
        sizes = as_vector(population, "population")
        columns = [as_vector(judged, "judged"), as_vector(errors, "errors")]
        columns.append(np.zeros(sizes.size) if unsure is None else as_vector(unsure, "unsure"))
        if any(column.shape != sizes.shape for column in columns):
            raise ValueError("population, judged, errors and unsure differ in length")
        seen, found, open_ = columns
        if (found < 0).any() or (found > seen).any():
            raise ValueError("errors must lie between 0 and the number judged in every stratum")
        if (open_ < 0).any() or (seen + open_ > sizes).any():
            raise ValueError("more items judged than a stratum holds")
        return cls(sizes, seen, found, open_)

    def select(self, members: Mask) -> Strata:
        """Return the strata marked in ``members`` (n_strata,)."""
        return Strata(
            self.population[members],
            self.judged[members],
            self.errors[members],
            self.unsure[members],
        )

    def with_unsure_as(self, *, errors: bool) -> Strata:
        """Return the strata had every unsure verdict been "error", or none of them."""
        found = self.errors + self.unsure if errors else self.errors
        return Strata(self.population, self.judged + self.unsure, found, np.zeros_like(self.unsure))


@dataclass(frozen=True, slots=True)
class Total:
    """Estimated errors in a set of items: ``errors`` of ``population``, with sampling variance.

    ``judged``: judgments behind it; ``pooled``: items whose stratum had too few of its own;
    ``n_strata``: the strata that were estimated apart.
    """

    errors: float
    variance: float
    population: float
    judged: float
    pooled: float
    n_strata: int

    @property
    def share(self) -> float:
        return self.errors / self.population

    def interval(self, confidence: float, method: IntervalMethod = "wilson") -> Interval:
        """Return the interval for the share, with the sample's effective size."""
        if method == "korn_graubard":
            return korn_graubard(
                self.share,
                self._effective_size(),
                n_judged=self.judged,
                n_strata=self.n_strata,
                population=self.population,
                confidence=confidence,
            )
        return modified_wilson(self.share, self._effective_size(), confidence=confidence)

    def errors_interval(self, confidence: float) -> Interval:
        """Return the interval for the number of errors, from Wilson's own limits.

        A part of a combination: MOVER covers as it should without the wider ones.
        """
        share = wilson_effective(self.share, self._effective_size(), confidence=confidence)
        return Interval(
            self.errors,
            min(share.low * self.population, self.errors),
            max(share.high * self.population, self.errors),
            share.census,
        )

    def _effective_size(self) -> float:
        """Return the number of independent draws that would be as precise as this sample."""
        if self.judged >= self.population:
            return inf
        if self.variance > 0:
            share = self.share
            return share * (1 - share) * self.population**2 / self.variance
        # Strata without a mixed verdict show no variance; the sample is no better than simple.
        return self.judged / (1 - self.judged / self.population)


def estimate_total(strata: Strata) -> Total | None:
    """Return the estimated number of errors in all ``strata`` together.

    E = sum N_h p_h and Var = sum N_h^2 (1 - n_h / N_h) p_h (1 - p_h) / (n_h - 1). None where items
    exist but not one was judged; no items have no errors.
    """
    strata = strata.select(strata.population > 0)
    if strata.population.size == 0:
        return Total(0.0, 0.0, 0.0, 0.0, 0.0, 0)
    if not strata.judged.any():
        return None
    group = _pooling_groups(strata)
    pooled = float(strata.population[strata.judged < _needed(strata)].sum())
    sizes, judged, errors = (
        np.bincount(group, column) for column in (strata.population, strata.judged, strata.errors)
    )
    share = errors / judged
    spread = share * (1 - share) / np.maximum(judged - 1, 1)
    variance = sizes**2 * (1 - judged / sizes) * spread
    return Total(
        errors=float((sizes * share).sum()),
        variance=float(variance.sum()),
        population=float(sizes.sum()),
        judged=float(judged.sum()),
        pooled=pooled,
        n_strata=sizes.size,
    )


def _needed(strata: Strata) -> Floats:
    """Return how many judgments each stratum needs to stand alone."""
    return np.minimum(MIN_JUDGED, strata.population)


def _pooling_groups(strata: Strata) -> Ints:
    """Return each stratum's group, (n_strata,), numbered from 0.

    A thin stratum joins the nearest one that can stand alone, the earlier on a tie; where none
    can, all become one group.
    """
    alone = np.flatnonzero(strata.judged >= _needed(strata))
    if alone.size == 0:
        return np.zeros(strata.population.size, dtype=np.int64)
    distance = np.abs(np.arange(strata.population.size)[:, None] - alone)
    nearest: Ints = distance.argmin(axis=1)
    return nearest
