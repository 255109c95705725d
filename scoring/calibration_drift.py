"""Do the two halves of the items call for the same temperature? A test of their difference.

The temperature of each half minimises the mean NLL, so its logarithm is nearly normal, with the
sandwich variance mean(f'^2) / (n (b f'')^2) of the NLL's derivatives at b = 1 / T. That one also
holds where no temperature makes the expert's probabilities true (White 1982).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, hypot, log, sqrt

import numpy as np
import scipy
from numpy.typing import ArrayLike

from scoring.arrays import Rows, as_labels, as_mask, as_rows, finite_rows
from scoring.intervals import Interval, z_value
from scoring.slopes import NO_GROUP, Slope, read_slopes


@dataclass(frozen=True, slots=True)
class TemperatureDrift:
    """Both halves' temperatures, their ratio A / B, and the two-sided p-value of a ratio of 1."""

    a: Interval
    b: Interval
    ratio: Interval
    p_value: float


def temperature_drift(
    logits: Rows | ArrayLike,
    given_labels: ArrayLike,
    half_a: ArrayLike,
    temperatures: tuple[float, float],
    confidence: float = 0.95,
) -> TemperatureDrift:
    """Return how sure it is that half A and half B differ, in one pass over the logits.

    ``logits`` (n_items, n_classes) is streamed; ``given_labels`` and ``half_a`` (n_items,);
    ``temperatures``: those fitted on A and on B. Rows that are not finite take no part.
    """
    rows = as_rows(logits)
    n_items, n_classes = rows.shape
    valid = finite_rows(rows)
    labels = as_labels(given_labels, n_items, n_classes, valid)
    groups = np.where(as_mask(half_a, n_items, "half_a"), 0, 1).astype(np.int8)
    groups[~valid] = NO_GROUP
    inverses = {half: 1 / temperature for half, temperature in enumerate(temperatures)}
    slopes = read_slopes(rows, labels, groups, inverses)
    errors = [_error_of_log(slopes[half]) for half in (0, 1)]
    shift, spread, z = log(temperatures[0] / temperatures[1]), hypot(*errors), 0.0
    if spread > 0:
        z = shift / spread
    reach = z_value(confidence)
    a, b = (
        _around(log(each), reach * error) for each, error in zip(temperatures, errors, strict=True)
    )
    return TemperatureDrift(
        a, b, _around(shift, reach * spread), float(2 * scipy.special.ndtr(-abs(z)))
    )


def _error_of_log(slope: Slope) -> float:
    """Return the standard error of the log temperature."""
    return sqrt(slope.first_square / slope.n_rows) / (slope.second * slope.inverse)


def _around(middle: float, reach: float) -> Interval:
    return Interval(exp(middle), exp(middle - reach), exp(middle + reach))
