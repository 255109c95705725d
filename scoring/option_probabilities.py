"""The probability of every option of one item, from its logits and the calibrated confidence."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from scoring.arrays import Floats

STEPS = 60
WIDEST = 12.0
"""Temperatures between exp(-12) and exp(12) are looked at: further away nothing changes."""


def raw_probabilities(logits: ArrayLike) -> Floats:
    """Return softmax(logits), float64 of the shape (n_options,) of ``logits``."""
    scores = np.asarray(logits, dtype=np.float64)
    powers: Floats = np.exp(scores - scores.max())
    probabilities: Floats = powers / powers.sum()
    return probabilities


def calibrated_probabilities(
    logits: ArrayLike, confidence: float, *, by_temperature: bool
) -> Floats:
    """Return the options' probabilities, shape (n_options,), whose largest is ``confidence``.

    By temperature they are softmax(logits / T), of which one T fits: the largest falls from 1
    towards 1 / n_options as T grows. Other calibrators say nothing of the lesser options, which
    share the rest as they do uncalibrated (as ``scored_by_confidence`` has it).
    """
    scores = np.asarray(logits, dtype=np.float64)
    if by_temperature:
        return raw_probabilities(scores / _find_temperature(scores, confidence))
    others = raw_probabilities(scores)
    top1 = int(scores.argmax())
    # Summed, not 1 - largest: beside an expert who is all but certain that is all rounding.
    others[top1] = 0.0
    rest = others.sum()
    # A certain expert leaves no mass to tell the others apart by.
    shares = others / rest if rest > 0 else np.full(others.size, 1.0 / max(others.size - 1, 1))
    probabilities: Floats = (1.0 - confidence) * shares
    probabilities[top1] = confidence
    return probabilities


def _find_temperature(scores: Floats, confidence: float) -> float:
    low, high = -WIDEST, WIDEST
    for _ in range(STEPS):
        middle = (low + high) / 2
        if raw_probabilities(scores / np.exp(middle)).max() > confidence:
            low = middle
        else:
            high = middle
    return float(np.exp(high))
