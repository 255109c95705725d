"""How far two methods differ in precision and in detection rate, on the very same verdicts.

Items that both methods flag count in both rates, so their verdicts tell hardly anything about the
difference: the covariance of shared cells takes them out (Table 3's question).
"""

from __future__ import annotations

from math import sqrt

import numpy as np

from scoring.arrays import Mask
from scoring.bands import precision_covariance
from scoring.domain_estimates import (
    NO_VARIANCE,
    correlate_totals,
    detection_rate,
    judged_errors,
    precision,
)
from scoring.intervals import Interval, mover_difference, z_value
from scoring.judged_sample import JudgedSample

UNKNOWN_DIFFERENCE = Interval(None, -1.0, 1.0)


def precision_difference(sample: JudgedSample, first: Mask, second: Mask) -> Interval:
    """Return P(first) - P(second); items in both sets count in both.

    MOVER for differences (Zou and Donner 2008): the limits of each share, and the correlation of
    the two from their linearised residuals - counted as in a band, so that sets of hardly an
    error are known to move together by the items they share.
    """
    a, b = precision(sample, first), precision(sample, second)
    if a.estimate is None or b.estimate is None:
        return UNKNOWN_DIFFERENCE
    if _are_alike(sample, first, second):
        return Interval(0.0, 0.0, 0.0, census=a.census)
    covariance = precision_covariance(sample, [first, second])
    spread = sqrt(covariance[0, 0] * covariance[1, 1])
    correlation = covariance[0, 1] / spread if spread > 0 else 0.0
    return mover_difference(a, b, float(np.clip(correlation, -1, 1)))


def detection_difference(sample: JudgedSample, first: Mask, second: Mask) -> Interval:
    """Return D(first) - D(second) = g C, from the strata that the sets touch and all others.

    C, the share of all errors in the touched strata, has skew limits: few errors are judged
    elsewhere. g = (E_first - E_second) / E_touched is independent of it, nearly normal, and gets
    its linearised variance. MOVER for a product: below = hypot(C z sd(g), g (C - low)), for
    negative g with C's upper limit. The limits of both rates would count C's doubt twice. Where
    verdicts all alike leave g without variance, MOVER for differences.
    """
    a, b = detection_rate(sample, first), detection_rate(sample, second)
    if a.estimate is None or b.estimate is None:
        return UNKNOWN_DIFFERENCE
    of_touched = np.append(sample.strata_of(first | second), False)[sample.stratum]
    errors = judged_errors(sample, of_touched)
    contrast = judged_errors(sample, first) - judged_errors(sample, second)
    n_errors = sample.total(errors)
    gap = sample.total(contrast) / n_errors if n_errors else 0.0
    residual = contrast - gap * errors
    variance = sample.covariance(residual, residual) / max(n_errors, NO_VARIANCE) ** 2
    if n_errors and variance > NO_VARIANCE:
        spread = z_value(0.95) * sqrt(variance)
        return _scale(gap, spread, detection_rate(sample, of_touched))
    if _are_alike(sample, first, second):
        return Interval(0.0, 0.0, 0.0, census=a.census)
    residuals = [
        sample.is_error * (members[sample.judged] - rate)
        for rate, members in ((a.estimate, first), (b.estimate, second))
    ]
    return mover_difference(a, b, correlate_totals(sample, *residuals))


def _scale(gap: float, spread: float, share: Interval) -> Interval:
    """Return the interval of gap +- spread times an independent share (MOVER for products)."""
    middle = share.estimate or 0.0
    down, up = middle - share.low, share.high - middle
    if gap < 0:
        down, up = up, down
    below, above = (float(np.hypot(middle * spread, gap * limit)) for limit in (down, up))
    estimate = gap * middle
    return Interval(estimate, max(estimate - below, -1.0), min(estimate + above, 1.0))


def _are_alike(sample: JudgedSample, first: Mask, second: Mask) -> bool:
    """Return whether the sets hold the same items: the skew of limits must not make up a width."""
    inside = sample.stratum >= 0
    return np.array_equal(first & inside, second & inside)
