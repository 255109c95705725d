"""Calibration class by class: by how much an expert is surer of a class than it is right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from scoring.arrays import Floats, Ints, as_mask, as_vector
from scoring.intervals import z_value


@dataclass(frozen=True, slots=True)
class ClassGaps:
    """One row per class that has items; all arrays have shape (n_shown,).

    ``gap`` = mean ``confidence`` less ``accuracy``: positive where the expert is overconfident.
    ``low`` and ``high`` are its limits: those of the accuracy, by Wilson, seen from the confidence.
    """

    index: Ints
    count: Ints
    confidence: Floats
    accuracy: Floats
    low: Floats
    high: Floats

    @property
    def gap(self) -> Floats:
        return self.confidence - self.accuracy

    @property
    def sure_gap(self) -> Floats:
        """How far the nearer limit is from zero, with the gap's sign; 0 where they hold zero."""
        above, below = np.maximum(self.low, 0.0), np.minimum(self.high, 0.0)
        return np.asarray(above + below, dtype=np.float64)


def class_gaps(
    groups: ArrayLike, confidence: ArrayLike, correct: ArrayLike, level: float = 0.95
) -> ClassGaps:
    """Return the gap of every class; ``groups`` (n_items,) says which class each item is of.

    That is the expert's answer or the given label; ``confidence`` and ``correct`` (n_items,) are
    of its answer. Each interval holds by itself: of many classes some exclude zero by chance.
    """
    members = np.asarray(groups)
    sure = as_vector(confidence, "confidence")
    right = as_mask(correct, sure.size, "correct")
    if members.shape != sure.shape or (members.size and members.min() < 0):
        raise ValueError(f"groups must be {sure.size} class indices, got {members.shape}")
    totals = np.bincount(members)
    index = np.flatnonzero(totals)
    count = totals[index]
    mean = np.bincount(members, sure)[index] / count
    accuracy = np.bincount(members, right)[index] / count
    low, high = _wilson(accuracy, count, z_value(level))
    return ClassGaps(index, count, mean, accuracy, mean - high, mean - low)


def _wilson(share: Floats, n: Ints, z: float) -> tuple[Floats, Floats]:
    shrink = 1 + z * z / n
    middle = (share + z * z / (2 * n)) / shrink
    half = z * np.sqrt(share * (1 - share) / n + z * z / (4.0 * n * n)) / shrink
    return np.clip(middle - half, 0.0, share), np.clip(middle + half, share, 1.0)
