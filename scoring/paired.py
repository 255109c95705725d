"""Two measurements of the same items: the interval of their difference knows that they are paired.

Newcombe (1998, method 10) for two shares, the normal interval for a mean of many differences.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import ArrayLike

from scoring.arrays import as_mask, as_vector
from scoring.intervals import Interval, mover_difference, wilson, z_value


def paired_difference(first: ArrayLike, second: ArrayLike) -> Interval:
    """Return the interval of share(first) - share(second); both booleans, (n_items,).

    Wilson's limits of either share, put together by their correlation phi, which is corrected
    towards zero where it is positive.
    """
    n_items = np.asarray(first).size
    if n_items == 0:
        return Interval(None, -1.0, 1.0)
    a, b = as_mask(first, n_items, "first"), as_mask(second, n_items, "second")
    both, neither = int((a & b).sum()), int((~a & ~b).sum())
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    shares = wilson(both + only_a, n_items), wilson(both + only_b, n_items)
    if only_a == only_b == 0:
        return Interval(0.0, *_limits_of_no_difference(n_items))
    product = float(both * neither - only_a * only_b)
    if product > 0:
        product = max(product - n_items / 2, 0.0)
    sides = (both + only_a, only_b + neither, both + only_b, only_a + neither)
    spread = sqrt(float(np.prod([float(side) for side in sides])))
    return mover_difference(*shares, product / spread if spread else 0.0)


def _limits_of_no_difference(n_items: int) -> tuple[float, float]:
    """Return the limits where no item tells the two apart: either may have up to a few more.

    By phi the interval would have no width, whatever the number of items.
    """
    limit = wilson(0, n_items).high
    return -limit, limit


def mean_interval(values: ArrayLike, confidence: float = 0.95) -> Interval:
    """Return the mean of ``values`` (n_items,) and its normal limits; no estimate of none."""
    numbers = as_vector(values, "values")
    if numbers.size == 0:
        return Interval(None, -np.inf, np.inf)
    mean = float(numbers.mean())
    if numbers.size == 1:
        return Interval(mean, -np.inf, np.inf)
    reach = z_value(confidence) * float(numbers.std(ddof=1)) / sqrt(numbers.size)
    return Interval(mean, mean - reach, mean + reach)
