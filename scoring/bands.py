"""Simultaneous bands: limits that hold for every point of a precision curve at once.

Pointwise limits miss somewhere on a curve far more often than 1 in 20 times. The band widens them
all by one factor, simulated from the covariance of the points (Section 3.5's curves; the maximum
of a Gaussian vector, as in Montiel Olea and Plagborg-Moller 2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy

from scoring.arrays import Floats, Ints, Mask
from scoring.domain_estimates import Domain, precision
from scoring.intervals import Interval, IntervalMethod
from scoring.judged_sample import JudgedSample

MOST_CODES = 2**61
"""Cells are numbered anew before their codes outgrow 64 bits."""

N_DRAWS = 10_000
"""Simulated curves: the 95 % quantile of their maxima is then known to about .02."""


def precision_band(
    sample: JudgedSample,
    sets: Sequence[Mask | Domain],
    *,
    rng: np.random.Generator,
    confidence: float = 0.95,
    method: IntervalMethod = "wilson",
) -> list[Interval]:
    """Return limits for the precision of each set that hold for all of them together.

    ``sets``: each (n_items,), nested or not. The curve's deviations are drawn from a normal
    distribution with the sets' estimated covariance; c, the ``confidence`` quantile of their
    largest standardised size, takes the place of the normal quantile in each pointwise interval
    (of ``method``), so that a band stays within 0 and 1, is never narrower than the interval, and
    has no width at a census.
    """
    deviations = simulate_deviations(precision_covariance(sample, sets), rng)
    if deviations.size == 0:
        return [precision(sample, members, method=method) for members in sets]
    multiplier = np.quantile(np.abs(deviations).max(axis=1), confidence)
    together = max(confidence, 1 - 2 * float(scipy.special.ndtr(-multiplier)))
    return [precision(sample, members, confidence=together, method=method) for members in sets]


def precision_covariance(sample: JudgedSample, sets: Sequence[Mask | Domain]) -> Floats:
    """Return the estimated covariance of the sets' precisions, (n_sets, n_sets).

    Linearised: of the totals of (e - P_j) d_j / size_j, e = "is an error", d_j = "in set j", with
    the finite population correction. Sets whose precision can't be said, and censuses, get zeros.
    """
    domains = [Domain.of(sample, members) for members in sets]
    cells = _Cells.of(sample, domains)
    n = np.maximum(sample.n_judged, 1)
    weight = np.sqrt(sample.sampling_factor[cells.stratum] * cells.n_judged)
    residuals, presence = np.zeros((2, len(sets), cells.stratum.size))
    for row, domain in enumerate(domains):
        share = precision(sample, domain)
        if share.estimate is None or share.census:
            continue
        size = sample.expand(domain.n_judged)
        residual = (cells.is_error - share.estimate) * cells.inside[row] / size
        sums = np.bincount(cells.stratum, residual * cells.n_judged, sample.sizes.size)
        residuals[row] = (residual - (sums / n)[cells.stratum]) * weight
        # Verdicts all alike show no variance: each counts as if one in n + 4 had been different,
        # so that sets of pure strata still move with the sets that hold them.
        presence[row] = cells.inside[row] / size * weight / np.sqrt(domain.n_judged.sum() + 4)
    # Not through BLAS: its threads wait for each other on a busy machine.
    covariance: Floats = np.einsum("ai,bi->ab", residuals, residuals)
    covariance += np.einsum("ai,bi->ab", presence, presence)
    return covariance


@dataclass(frozen=True, slots=True)
class _Cells:
    """Judged items of one stratum and verdict that lie in the same sets, taken together.

    All have shape (n_cells,), ``inside`` (n_sets, n_cells).
    """

    stratum: Ints
    is_error: Floats
    inside: Mask
    n_judged: Ints

    @classmethod
    def of(cls, sample: JudgedSample, domains: Sequence[Domain]) -> Self:
        cell = 2 * sample.of_judged + (sample.is_error > 0)
        for domain in domains:
            cell = 2 * cell + domain.members[sample.judged]
            if cell.size and cell.max() > MOST_CODES:
                cell = np.unique(cell, return_inverse=True)[1]
        _, first, n_judged = np.unique(cell, return_index=True, return_counts=True)
        judged = sample.judged[first]
        return cls(
            stratum=sample.stratum[judged],
            is_error=sample.is_error[first],
            inside=np.array([domain.members[judged] for domain in domains]),
            n_judged=n_judged,
        )


def simulate_deviations(
    covariance: Floats, rng: np.random.Generator, n_draws: int = N_DRAWS
) -> Floats:
    """Return standardised normal deviations, (n_draws, n_points that vary at all)."""
    spread = np.sqrt(np.diag(covariance))
    varies = spread > 0
    correlation = (covariance / np.maximum(np.outer(spread, spread), 1e-300))[varies][:, varies]
    values, vectors = np.linalg.eigh(correlation)
    # Nested sets are nearly collinear: rounding makes some eigenvalues a little negative.
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    deviations: Floats = rng.standard_normal((n_draws, root.shape[0])) @ root.T
    return deviations
