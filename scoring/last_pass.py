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

from scoring.arrays import NOT_SCORED, Floats, Mask
from scoring.readings import BLOCK, LISTED, LikelyClasses, Readings, Spread, read_items
from scoring.slopes import Groups, Slope
from scoring.temperature import LabelledRows

_FARTHEST = 0.05  # relative: the fourth cumulant then weighs 3e-7, about as much as rounding
_FARTHEST_FIT = 0.02  # derivatives are one power less precise: 3e-6 of the temperature


class LastPass:
    """Reads every item near the temperatures of its groups, and answers for those themselves.

    ``valid`` (n_items,): the rows that count; None until the first reading tells which are finite.
    """

    def __init__(self, rows: LabelledRows, valid: Mask | None) -> None:
        self._rows, self.valid = rows, valid
        self._readings: Readings | None = None
        self._read_at: dict[int, float] = {}

    def __call__(self, inverses: Mapping[int, float]) -> dict[int, Slope]:
        """Return each group's derivatives at its inverse temperature, reading only if necessary."""
        far = any(
            abs(inverse - self._read_at.get(group, 0.0)) > _FARTHEST_FIT * inverse
            for group, inverse in inverses.items()
        )
        if self._readings is None or far:
            self._readings = self._read({**self._read_at, **inverses})
            self.valid = self._readings.valid
        slopes = {
            group: _slope_at(
                self._readings, self._rows.groups, group, self._read_at[group], inverse
            )
            for group, inverse in inverses.items()
        }
        return {group: slope for group, slope in slopes.items() if slope}

    def take(self, temperatures: Sequence[Floats]) -> Readings | None:
        """Hand over the readings at ``temperatures``, each (n_items,), followed by those at 1.

        None where nothing has been read near one of them.
        """
        readings, self._readings = self._readings, None
        moved = readings and move_readings(readings, temperatures)
        return moved and replace(moved, likely=_prune(moved))

    def _read(self, inverses: dict[int, float]) -> Readings:
        self._readings = None  # before the next ones take as much memory
        lowest, highest = min(inverses.values()), max(inverses.values())
        if highest <= lowest * (1.0 + _FARTHEST_FIT):
            # One temperature for all is read faster, and is not far from any group's.
            inverses = dict.fromkeys(inverses, sqrt(lowest * highest))
        # The arithmetic sees a rounded number; the iteration has to know which.
        self._read_at = {group: float(np.float32(each)) for group, each in inverses.items()}
        at = {1.0 / each for each in self._read_at.values()}
        by_group = np.ones(128)  # a row of no group is read at 1
        by_group[list(self._read_at)] = [1.0 / each for each in self._read_at.values()]
        return read_items(
            self._rows.logits,
            self._rows.labels,
            self.valid,
            [at.pop() if len(at) == 1 else by_group[self._rows.groups], 1.0],
            with_spread=True,
        )


def move_readings(readings: Readings, temperatures: Sequence[Floats]) -> Readings | None:
    """Return the readings at other ``temperatures``, each (n_items,), without the logits.

    The first temperature's readings are moved to all of them; those at further temperatures are
    kept behind. None where a temperature lies too far away.
    """
    spread, near = _spread_of(readings), readings.temperatures[0]
    moved = [np.empty_like(readings.other_masses[0]) for _ in temperatures]
    for start in range(0, near.size, BLOCK):
        block = slice(start, start + BLOCK)
        for temperature, masses in zip(temperatures, moved, strict=True):
            step = near[block] / temperature[block] - 1.0
            if np.abs(step).max(initial=0.0) > _FARTHEST:
                return None
            # Horner's scheme of step * mean + step^2 / 2 * variance + step^3 / 6 * third.
            change = step * spread.third[block] / 3.0
            change = (change + spread.variance[block]) * step / 2.0
            change = (change + spread.mean[block]) * step
            masses[block] = readings.other_masses[0][block] * np.exp(change)
    return replace(
        readings,
        temperatures=(*temperatures, *readings.temperatures[1:]),
        other_masses=(*moved, *readings.other_masses[1:]),
        spread=None,
    )


def _prune(readings: Readings) -> LikelyClasses | None:
    """Return the classes that are likely at the first temperature, overwriting the list."""
    listed = readings.likely
    if listed is None:
        return None
    n_kept = 0
    for start in range(0, listed.items.size, BLOCK):
        block = slice(start, start + BLOCK)
        items = listed.items[block]
        relative = np.exp(listed.distances[block] / readings.temperatures[0][items])
        kept = np.flatnonzero(relative * readings.confidence(0, items) >= LISTED)
        here = slice(n_kept, n_kept + kept.size)
        for column in (listed.items, listed.classes, listed.distances):
            column[here] = column[block][kept]
        n_kept = here.stop
    return LikelyClasses(listed.items[:n_kept], listed.classes[:n_kept], listed.distances[:n_kept])


def _slope_at(
    readings: Readings, groups: Groups, group: int, read_at: float, inverse: float
) -> Slope | None:
    """Return a group's derivatives of the NLL, read at ``read_at``, at ``inverse``.

    The top class adds its probability and a distance of zero to the moments of the others.
    """
    spread, step = _spread_of(readings), inverse / read_at - 1.0
    sums = np.zeros(6)
    for start in range(0, groups.size, BLOCK):
        block = slice(start, start + BLOCK)
        mine = np.flatnonzero((groups[block] == group) & (readings.top1[block] != NOT_SCORED))
        mean, variance, third, mass, to_label = (
            each[block][mine].astype(np.float64)
            for each in (
                spread.mean,
                spread.variance,
                spread.third,
                readings.other_masses[0],
                readings.to_given,
            )
        )
        mass *= np.exp(step * (mean + step / 2 * (variance + step / 3 * third)))
        mean += step * (variance + step / 2 * third)
        variance += step * third
        share = mass / (1.0 + mass)
        square = share * (variance + mean * mean)
        cube = share * (third + mean * (3.0 * variance + mean * mean))
        mean *= share
        sums += [
            mine.size,
            mean.sum(),
            (square - mean * mean).sum(),
            (cube - mean * (3.0 * square - 2.0 * mean * mean)).sum(),
            to_label.sum(),
            np.count_nonzero(to_label == 0),
        ]
    n_rows, first, second, third_sum, on_label, n_top = sums.tolist()
    if not n_rows:
        return None
    return Slope(
        inverse,
        (first / read_at - on_label) / n_rows,
        second / n_rows / read_at**2,
        third_sum / n_rows / read_at**3,
        int(n_rows),
        int(n_top),
    )


def _spread_of(readings: Readings) -> Spread:
    if readings.spread is None:
        raise ValueError("the spread of the classes has not been taken down")
    return readings.spread
