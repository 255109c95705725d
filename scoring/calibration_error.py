"""How far confidence is from accuracy, beside the ECE: the Brier score and the debiased error."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from scoring.arrays import Floats, as_fractions
from scoring.binning import Strategy, reliability_table


def brier_score(confidence: ArrayLike, correct: ArrayLike) -> float:
    """Return the mean of (confidence - correct)^2, in [0, 1]; both (n_items,) in [0, 1]."""
    values, outcome = _as_pairs(confidence, correct)
    return float(np.square(values - outcome).mean())


def debiased_calibration_error(
    confidence: ArrayLike,
    correct: ArrayLike,
    n_bins: int = 15,
    strategy: Strategy = "equal_count",
    keys: ArrayLike | Sequence[str] | None = None,
) -> float:
    """Return the debiased l2 calibration error (Kumar, Liang and Ma 2019, Section 5).

    The root of the sum over bins of (share of items) * [(mean confidence - accuracy)^2 - accuracy
    * (1 - accuracy) / (items - 1)]: the plain error of few items is mostly the noise of their
    accuracies, which the last term takes off. 0 where the noise explains more than all. A bin of
    one item shows no noise to take off. ``correct`` (n_items,) must be 0 or 1.
    """
    values, outcome = _as_pairs(confidence, correct)
    if not np.isin(outcome, (0.0, 1.0)).all():
        raise ValueError("correct must be 0 or 1 for the noise of an accuracy to be known")
    table = reliability_table(values, outcome, n_bins, strategy, keys)
    noise = table.accuracy * (1.0 - table.accuracy) / np.maximum(table.count - 1, 1)
    squares = np.square(table.confidence - table.accuracy) - noise
    return float(np.sqrt(max(0.0, np.average(squares, weights=table.count))))


def _as_pairs(confidence: ArrayLike, correct: ArrayLike) -> tuple[Floats, Floats]:
    """Return confidences and outcomes of at least one item, checked to fit each other."""
    values = as_fractions(confidence, "confidence")
    outcome = as_fractions(correct, "correct")
    if values.shape != outcome.shape:
        raise ValueError(f"{values.size} confidences do not fit {outcome.size} outcomes")
    if values.size == 0:
        raise ValueError("the calibration error of no items is undefined")
    return values, outcome
