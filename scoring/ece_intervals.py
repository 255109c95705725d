"""An interval for the ECE that holds the true one as often as it says, near zero too.

The ECE of a sample adds up absolute gaps, so noise makes it too large, and resampling the items
adds that noise once more: bootstrap intervals of a well calibrated expert hardly ever hold its
zero. Here a test is inverted instead (parametric bootstrap; Garthwaite and Buckland 1992): the
limits are the true errors under which an ECE as large, or as small, as the one seen would still
be drawn often enough.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from scoring.arrays import Floats
from scoring.binning import ReliabilityTable, Strategy, reliability_table
from scoring.intervals import Interval

N_DRAWS = 1000
"""Simulated samples per error that is tried: tails of 2.5 % are known to half a percent."""

N_HALVINGS = 30
ROUNDING = 1e-12


def ece_interval(
    confidence: ArrayLike,
    correct: ArrayLike,
    rng: np.random.Generator,
    *,
    n_bins: int = 15,
    strategy: Strategy = "equal_count",
    keys: ArrayLike | Sequence[str] | None = None,
    level: float = 0.95,
    n_draws: int = N_DRAWS,
) -> Interval:
    """Return the ECE of ``confidence`` (n_items,) against ``correct`` (n_items,) between limits.

    ``correct`` is 0 or 1. Other arguments as for the reliability table and below.
    """
    table = reliability_table(confidence, correct, n_bins, strategy, keys)
    return table_ece_interval(table, rng, level=level, n_draws=n_draws)


def table_ece_interval(
    table: ReliabilityTable,
    rng: np.random.Generator,
    *,
    level: float = 0.95,
    n_draws: int = N_DRAWS,
) -> Interval:
    """Return the ECE of a reliability table between limits; it takes the same time for any items.

    What the limits hold is the error between the bins' confidences and their true accuracies. It
    may be spread over the bins in many ways: the lower limit takes gaps in the proportions of
    those seen, the upper one even gaps, which noise makes look larger the least. The ECE errs
    upwards; where it lies outside the limits, the nearer one is moved to it.
    """
    if not 0 < level < 1 or n_draws < 1:
        raise ValueError(f"no interval of level {level} from {n_draws} draws")
    seen, tail = table.ece, (1.0 - level) / 2
    bins = _Bins.of(table)
    noise = rng.standard_normal((n_draws, table.count.size))

    def is_too_small(shift: float) -> bool:
        drawn = bins.draw_eces(bins.gaps_as_seen(shift), noise)
        return float((drawn >= seen - ROUNDING).mean()) < tail

    def is_small_enough(gap: float) -> bool:
        drawn = bins.draw_eces(bins.even_gaps(gap), noise)
        return float((drawn <= seen + ROUNDING).mean()) >= tail

    shift = _last(is_too_small, *bins.shifts)
    low = 0.0 if shift is None else bins.error_of(bins.gaps_as_seen(shift))
    gap = _last(is_small_enough, 0.0, float(bins.room.max()))
    high = 0.0 if gap is None else bins.error_of(bins.even_gaps(gap))
    return Interval(seen, min(low, seen), max(high, seen))


def _last(holds: Callable[[float], bool], start: float, stop: float) -> float | None:
    """Return the last number from ``start`` on at which ``holds`` is true, None without any.

    Where it is true it must be true for all numbers before.
    """
    if not holds(start):
        return None
    if holds(stop):
        return stop
    for _ in range(N_HALVINGS):
        middle = (start + stop) / 2
        start, stop = (middle, stop) if holds(middle) else (start, middle)
    return start


@dataclass(frozen=True, slots=True)
class _Bins:
    """The bins of a sample; all arrays have shape (n_bins,).

    ``sign`` and ``gap``: confidence less accuracy, as seen; ``room``: how large the gap can be on
    its side; ``slope``: weight times variance, by which a gap gives way.
    """

    count: Floats
    weight: Floats
    confidence: Floats
    sign: Floats
    gap: Floats
    room: Floats
    slope: Floats

    @classmethod
    def of(cls, table: ReliabilityTable) -> Self:
        """Return the bins with Jeffreys' accuracies, (correct + 1/2) / (items + 1).

        Pure bins have a variance by them, and hardly ever a gap on the wrong side.
        """
        count = table.count.astype(np.float64)
        accuracy = (table.accuracy * count + 0.5) / (count + 1)
        gap = table.confidence - accuracy
        weight = count / count.sum()
        return cls(
            count=count,
            weight=weight,
            confidence=table.confidence,
            sign=np.where(gap < 0, -1.0, 1.0),
            gap=np.abs(gap),
            room=np.where(gap < 0, 1 - table.confidence, table.confidence),
            slope=weight * accuracy * (1 - accuracy) / count,
        )

    @property
    def shifts(self) -> tuple[float, float]:
        """From where on ``gaps_as_seen`` are all zero, and up to where none is beyond its room."""
        return (
            float((-self.gap / self.slope).min()),
            float(((self.room - self.gap) / self.slope).max()),
        )

    def gaps_as_seen(self, shift: float) -> Floats:
        """Return the gaps nearest to those seen, in variances, among all of their weighted sum."""
        return np.clip(self.gap + shift * self.slope, 0.0, self.room)

    def even_gaps(self, gap: float) -> Floats:
        """Return gaps of one size, or of what room there is."""
        return np.minimum(gap, self.room)

    def error_of(self, gaps: Floats) -> float:
        """Return the ECE that true gaps make."""
        return float((self.weight * gaps).sum())

    def draw_eces(self, gaps: Floats, noise: Floats) -> Floats:
        """Return the ECEs of samples, (n_draws,), were the true gaps these.

        ``noise`` (n_draws, n_bins) is standard normal; numbers of correct answers are binomial,
        drawn by their quantiles to second order (Cornish and Fisher) and rounded.
        """
        accuracy = np.clip(self.confidence - self.sign * gaps, 0.0, 1.0)
        spread = np.sqrt(self.count * accuracy * (1 - accuracy))
        correct = self.count * accuracy + spread * noise
        correct += (1 - 2 * accuracy) * (np.square(noise) - 1) / 6
        correct = np.clip(np.round(correct), 0.0, self.count)
        eces: Floats = (np.abs(self.confidence - correct / self.count) * self.weight).sum(axis=1)
        return eces
