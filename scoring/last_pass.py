"""The temperature fit's last pass, which takes down all there is to know about the items as well.

The mass of all classes but the top one is the sum of exp(b d_j) over their distances d_j from it.
Its logarithm has the cumulants of b d as derivatives, so one reading tells what another near b
would have read, to the fourth power of the step, and the fit ends without one more pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import sqrt

import numpy as np

from scoring.arrays import Floats, Ints, Mask, Rows
from scoring.confidence import Readings, Spread, read_items
from scoring.temperature import Slope

_FARTHEST = 0.05  # relative: the fourth cumulant then weighs 3e-7, about as much as rounding
_FARTHEST_FIT = 0.02  # derivatives are one power less precise: 3e-6 of the temperature


class LastPass:
    """Reads every item near the temperatures of both halves, and answers for those themselves.

    The halves A and B are the groups 0 and 1.
    """

    def __init__(self, rows: Rows, labels: Ints, half_a: Mask, valid: Mask) -> None:
        self._rows, self._labels, self._half_a, self._valid = rows, labels, half_a, valid
        self._readings: Readings | None = None
        self._read_at = {0: 0.0, 1: 0.0}

    def __call__(self, inverses: Mapping[int, float]) -> dict[int, Slope]:
        """Return each half's derivatives at its inverse temperature, reading only if necessary."""
        far = any(
            abs(inverse - self._read_at[group]) > _FARTHEST_FIT * self._read_at[group]
            for group, inverse in inverses.items()
        )
        if self._readings is None or far:
            self._read({**self._read_at, **inverses})
        if self._readings is None:
            raise RuntimeError("reading the items has left nothing")
        slopes = {}
        for group, inverse in inverses.items():
            half = self._half_a if group == 0 else ~self._half_a
            items = np.flatnonzero(half & self._valid)
            slopes[group] = _slope_at(self._readings, items, self._read_at[group], inverse)
        return slopes

    def take(self, temperatures: Sequence[Floats]) -> Readings | None:
        """Hand over the readings at ``temperatures``, each (n_items,), followed by those at 1.

        None where nothing has been read near one of them.
        """
        readings, self._readings = self._readings, None
        return readings and move_readings(readings, temperatures)

    def _read(self, inverses: Mapping[int, float]) -> None:
        self._readings = None  # before the next ones take as much memory
        lowest, highest = sorted(inverses.values())
        if highest <= lowest * (1.0 + _FARTHEST_FIT):
            # One temperature for all is read faster, and is not far from either half's.
            inverses = dict.fromkeys(inverses, sqrt(lowest * highest))
        # The arithmetic sees a rounded number; the iteration has to know which.
        self._read_at = {group: float(np.float32(each)) for group, each in inverses.items()}
        at = np.where(self._half_a, 1.0 / self._read_at[0], 1.0 / self._read_at[1])
        self._readings = read_items(
            self._rows, self._labels, self._valid, [at, 1.0], with_spread=True
        )


def move_readings(readings: Readings, temperatures: Sequence[Floats]) -> Readings | None:
    """Return the readings at other ``temperatures``, each (n_items,), without the logits.

    The first temperature's readings are moved to all of them; those at further temperatures are
    kept behind. None where a temperature lies too far away.
    """
    spread, near = _spread_of(readings), readings.temperatures[0]
    moved = []
    for temperature in temperatures:
        step = near / temperature
        step -= 1.0
        if np.abs(step).max(initial=0.0) > _FARTHEST:
            return None
        # Horner's scheme of step * mean + step^2 / 2 * variance + step^3 / 6 * third.
        change = step * spread.third
        for divisor, cumulant in ((3.0, spread.variance), (2.0, spread.mean)):
            change /= divisor
            change += cumulant
            change *= step
        np.exp(change, out=change)
        change *= readings.other_masses[0]
        moved.append(change)
    return replace(
        readings,
        temperatures=(*temperatures, *readings.temperatures[1:]),
        other_masses=(*moved, *readings.other_masses[1:]),
        spread=None,
    )


def _slope_at(readings: Readings, items: Ints, read_at: float, inverse: float) -> Slope:
    """Return the NLL's derivatives over ``items``, read at ``read_at``, at ``inverse``.

    The top class adds its probability and a distance of zero to the moments of the others.
    """
    spread, step = _spread_of(readings), inverse / read_at - 1.0
    mean, variance, third = (
        each[items].astype(np.float64) for each in (spread.mean, spread.variance, spread.third)
    )
    mass = readings.other_masses[0][items]
    mass *= np.exp(step * (mean + step / 2 * (variance + step / 3 * third)))
    mean += step * (variance + step / 2 * third)
    variance += step * third
    share = mass / (1.0 + mass)
    square = share * (variance + mean * mean)
    cube = share * (third + mean * (3.0 * variance + mean * mean))
    mean *= share
    to_label = readings.to_given[items]
    return Slope(
        inverse,
        float(mean.mean()) / read_at - float(to_label.mean()),
        float((square - mean * mean).mean()) / read_at**2,
        float((cube - mean * (3.0 * square - 2.0 * mean * mean)).mean()) / read_at**3,
        items.size,
        int(np.count_nonzero(to_label == 0)),
    )


def _spread_of(readings: Readings) -> Spread:
    if readings.spread is None:
        raise ValueError("the spread of the classes has not been taken down")
    return readings.spread
