"""How fast somebody judges: verdicts an hour of work, time per verdict."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

BREAK = 300.0
"""Seconds without a verdict after which somebody is taken to have been away."""


@dataclass(frozen=True, slots=True)
class Pace:
    """``median`` and ``active`` in seconds; all None, and 0 per hour, without a verdict."""

    n: int
    median: float | None
    n_under_a_second: int
    active: float

    @property
    def per_hour(self) -> float | None:
        return 3600 * self.n / self.active if self.active else None

    @property
    def share_under_a_second(self) -> float | None:
        return self.n_under_a_second / self.n if self.n else None


def describe_pace(decided: ArrayLike, looked: ArrayLike) -> Pace:
    """Return the pace of one person's verdicts.

    ``decided`` (n,): when, in seconds, in any order; ``looked`` (n,): seconds between the item's
    first paint and the verdict. Time at work is the time between verdicts; across a longer break
    only what was looked at the next item counts.
    """
    when = np.asarray(decided, dtype=np.float64)
    seconds = np.asarray(looked, dtype=np.float64)
    if when.shape != seconds.shape or when.ndim != 1:
        raise ValueError(f"as many times as durations, got {when.shape} and {seconds.shape}")
    if not when.size:
        return Pace(0, None, 0, 0.0)
    order = np.argsort(when, kind="stable")
    gaps = np.diff(when[order], prepend=-np.inf)
    spent = np.where(gaps <= BREAK, gaps, np.minimum(seconds[order], BREAK))
    return Pace(
        int(when.size), float(np.median(seconds)), int((seconds < 1).sum()), float(spent.sum())
    )
