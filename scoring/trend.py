"""Whether precision falls from the most confident bin on: the paper's claim, tested, not imposed.

A linear contrast of the bins' precisions (the trend test of Cochran 1954 and Armitage 1955), with
the variance of a stratified sample from a finite population.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import scipy

from scoring.arrays import Mask
from scoring.bands import precision_covariance
from scoring.domain_estimates import Domain, precision
from scoring.intervals import Interval, z_value
from scoring.judged_sample import JudgedSample

MIN_BINS = 3
"""Two bins make a line whatever they hold."""


@dataclass(frozen=True, slots=True)
class Trend:
    """How much precision changes from bin to bin, in the order given.

    ``slope``: by the line that fits the bins best, each counting by its items; ``p_value``: of the
    hypothesis that precision does not fall, one-sided. Both None while fewer than three bins have
    judged items.
    """

    slope: Interval
    p_value: float | None


def precision_trend(
    sample: JudgedSample, bins: Sequence[Mask | Domain], *, confidence: float = 0.95
) -> Trend:
    """Return the trend of the precision of ``bins``, each (n_items,), most confident first."""
    domains = [Domain.of(sample, members) for members in bins]
    shares = [precision(sample, domain).estimate for domain in domains]
    known = [place for place, share in enumerate(shares) if share is not None]
    if len(known) < MIN_BINS:
        return Trend(Interval(None, -1.0, 1.0), None)
    chosen = [domains[place] for place in known]
    sizes = np.array([domain.n_items.sum() for domain in chosen])
    places = np.array(known, dtype=np.float64)
    contrast = sizes * (places - np.average(places, weights=sizes))
    contrast /= contrast @ places
    slope = float(contrast @ np.array([shares[place] for place in known], dtype=np.float64))
    variance = float(contrast @ precision_covariance(sample, chosen) @ contrast)
    if variance <= 0:
        return Trend(Interval(slope, slope, slope, census=True), float(slope >= 0))
    spread = sqrt(variance)
    reach = z_value(confidence) * spread
    return Trend(
        Interval(slope, slope - reach, slope + reach), float(scipy.special.ndtr(slope / spread))
    )
