"""The NLL's derivatives by the inverse temperature, read for several groups of rows in one pass.

With b = 1 / T the NLL is f(b) = mean(logsumexp(b z) - b z_y). Its first three derivatives are
mean(E[z] - z_y), mean(Var[z]) and the mean third central moment of z under softmax(b z).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import nan
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from scoring.arrays import Chunk, Floats, Ints, Rows, row_chunks, scratch_like

Groups: TypeAlias = NDArray[np.int8]
"""Each row's group, shape (n_items,), numbered from 0; a row of ``NO_GROUP`` takes no part."""

NO_GROUP = -1


@dataclass(frozen=True, slots=True)
class Slope:
    """The derivatives at one inverse temperature.

    ``n_top``: rows with the label on top; ``first_square``: the mean square of the rows' own first
    derivatives.
    """

    inverse: float
    first: float
    second: float
    third: float
    n_rows: int
    n_top: int
    first_square: float = nan

    def n_rows_for(self, error: float) -> float:
        """Return how many rows, if near the minimum, tell b with this relative standard error."""
        return self.first_square / max(error * self.inverse * self.second, 1e-300) ** 2


SlopeReader: TypeAlias = Callable[[Mapping[int, float]], Mapping[int, Slope]]
"""Returns each group's derivatives at (about) the inverse temperature asked for."""


def read_slopes(
    logits: Rows,
    labels: Ints,
    groups: Groups,
    inverses: Mapping[int, float],
    *,
    finite_only: bool = False,
) -> dict[int, Slope]:
    """Return the derivatives at each group's inverse temperature; none of a group without rows.

    ``finite_only`` leaves out rows with NaN or infinity, which are refused else.
    """
    n_groups = max(inverses) + 1
    scratch, weights = scratch_like(logits, 2)
    # The arithmetic sees a rounded number; the iteration has to know which.
    rounded = {group: scratch.dtype.type(inverse) for group, inverse in inverses.items()}
    factors = np.ones(n_groups, dtype=scratch.dtype)
    factors[list(rounded)] = list(rounded.values())
    is_one = len(set(rounded.values())) == 1
    sums = np.zeros((6, n_groups))
    wanted = np.isin(groups, list(inverses))
    for index, chunk in row_chunks(logits, where=wanted, finite_only=finite_only):
        of_row = groups[index]
        factor = factors[max(inverses)] if is_one else factors[of_row][:, None]
        scaled = chunk if chunk.flags.writeable else scratch[: len(chunk)]
        np.multiply(chunk, factor, out=scaled)
        for place, values in enumerate(_terms(scaled, labels[index], weights)):
            sums[place] += np.bincount(of_row, values, n_groups)
    if not np.isfinite(sums).all():
        raise ValueError("rows marked as valid contain NaN, infinity or numbers too far apart")
    slopes = {}
    for group, number in rounded.items():
        first, second, third, square, n_rows, n_top = sums[:, group].tolist()
        inverse = float(number)
        if n_rows:
            slopes[group] = Slope(
                inverse,
                first / n_rows / inverse,
                second / n_rows / inverse**2,
                third / n_rows / inverse**3,
                int(n_rows),
                int(n_top),
                square / n_rows / inverse**2,
            )
    return slopes


def _terms(scaled: Chunk, labels: Ints, weights: Chunk) -> list[Floats]:
    """Return what each row adds to the sums, in units of the ``scaled`` logits, which are spoilt.

    They become distances from the largest, so that no exponential overflows.
    """
    n_rows, n_classes = scaled.shape
    weight, ones = weights[:n_rows], np.ones(n_classes, dtype=scaled.dtype)
    starts = np.arange(n_rows) * n_classes
    highest = scaled.take(scaled.argmax(axis=1) + starts)
    np.subtract(scaled, highest[:, None], out=scaled)
    to_label = scaled.take(labels + starts).astype(np.float64)
    np.exp(scaled, out=weight)
    total = np.vecdot(weight, ones).astype(np.float64)
    mean = np.vecdot(weight, scaled) / total
    np.multiply(weight, scaled, out=weight)
    square = np.vecdot(weight, scaled) / total
    np.multiply(weight, scaled, out=weight)
    cube = np.vecdot(weight, scaled) / total
    first = mean - to_label
    variance = np.maximum(square - mean * mean, 0.0)
    third = cube - mean * (3.0 * square - 2.0 * mean * mean)
    return [first, variance, third, first * first, np.ones(n_rows), to_label == 0]
