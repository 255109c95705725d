"""Simultaneous bands: limits that hold for every point of a precision curve at once.

Pointwise limits miss somewhere on a curve far more often than 1 in 20 times. The band widens them
all by one factor, simulated from the covariance of the points (Section 3.5's curves; the maximum
of a Gaussian vector, as in Montiel Olea and Plagborg-Moller 2019).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtr

from scoring.arrays import Floats, Mask
from scoring.domain_estimates import JudgedSample, precision
from scoring.intervals import Interval, IntervalMethod

N_DRAWS = 10_000
"""Simulated curves: the 95 % quantile of their maxima is then known to about .02."""


def precision_band(
    sample: JudgedSample,
    sets: Sequence[Mask],
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
    together = max(confidence, 1 - 2 * float(ndtr(-multiplier)))
    return [precision(sample, members, confidence=together, method=method) for members in sets]


def precision_covariance(sample: JudgedSample, sets: Sequence[Mask]) -> Floats:
    """Return the estimated covariance of the sets' precisions, (n_sets, n_sets).

    Linearised: of the totals of (e - P_j) d_j / size_j, e = "is an error", d_j = "in set j", with
    the finite population correction. Sets whose precision can't be said, and censuses, get zeros.
    """
    of_judged = sample.stratum[sample.judged]
    n = np.maximum(sample.n_judged, 1)
    factor = sample.sizes * (sample.sizes - sample.n_judged) / (n * np.maximum(n - 1, 1))
    weight = np.sqrt(factor)[of_judged]
    residuals, presence = np.zeros((2, len(sets), of_judged.size))
    for row, members in enumerate(sets):
        share = precision(sample, members)
        inside = (members & (sample.stratum >= 0))[sample.judged].astype(np.float64)
        if share.estimate is None or share.census:
            continue
        size = sample.total(inside)
        residual = (sample.is_error - share.estimate) * inside / size
        sums = np.bincount(of_judged, residual, sample.sizes.size)
        residuals[row] = (residual - (sums / n)[of_judged]) * weight
        # Verdicts all alike show no variance: each counts as if one in n + 4 had been different,
        # so that sets of pure strata still move with the sets that hold them.
        presence[row] = inside / size * weight / np.sqrt(inside.sum() + 4)
    # Not through BLAS: its threads wait for each other on a busy machine.
    covariance: Floats = np.einsum("ai,bi->ab", residuals, residuals)
    covariance += np.einsum("ai,bi->ab", presence, presence)
    return covariance


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
