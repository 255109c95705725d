"""Calibrators: frozen values that are fitted to data, applied to data and stored as JSON.

A fit that the data cannot support raises ``Degenerate``; no number is made up in its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from scoring.arrays import Floats, Rows, as_labels, as_rows, row_chunks
from scoring.arrays import valid_rows as usable_rows
from scoring.confidence_calibrators import (
    MAX_PLATT_SLOPE,
    ConfidenceCalibrator,
    HistogramBinner,
    IsotonicCalibrator,
    PlattScaler,
)
from scoring.degenerate import MIN_ROWS, Degenerate
from scoring.temperature import MAX_TEMPERATURE, MIN_TEMPERATURE, fit_temperature
from scoring.vector_scaling import VectorScaler

__all__ = [
    "MAX_PLATT_SLOPE",
    "MAX_TEMPERATURE",
    "MIN_ROWS",
    "MIN_TEMPERATURE",
    "Calibrator",
    "ConfidenceCalibrator",
    "Degenerate",
    "HistogramBinner",
    "IsotonicCalibrator",
    "PlattScaler",
    "TemperatureScaler",
    "VectorScaler",
    "calibrator_from_json",
]


@dataclass(frozen=True, slots=True)
class TemperatureScaler:
    """Divide logits by the one temperature that minimises the NLL (Section 2.1; Guo et al. 2017).

    Probabilities are softmax(logits / temperature): no class ever overtakes another.
    """

    temperature: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.temperature) and self.temperature > 0):
            raise ValueError(f"a temperature must be finite and positive, got {self.temperature}")

    @classmethod
    def fit(
        cls,
        logits: Rows | ArrayLike,
        labels: ArrayLike,
        *,
        valid: ArrayLike | None = None,
    ) -> Self:
        """Fit on ``logits`` (n_items, n_classes) against class indices ``labels`` (n_items,).

        Only rows marked in ``valid`` (n_items,) count; by default those without NaN or infinity.
        Logits are streamed, so a memory map of any size will do. Raises ``Degenerate``.
        """
        rows = as_rows(logits)
        mask = usable_rows(rows, valid)
        n_items, n_classes = rows.shape
        return cls(fit_temperature(rows, as_labels(labels, n_items, n_classes, mask), mask))

    def apply(self, logits: Rows | ArrayLike) -> Floats:
        """Return calibrated class probabilities, float64 of shape (n_items, n_classes)."""
        rows = as_rows(logits)
        probabilities = np.empty(rows.shape, dtype=np.float64)
        for span, chunk in row_chunks(rows):
            scaled = chunk.astype(np.float64) / self.temperature
            scaled -= scaled.max(axis=1, keepdims=True)
            np.exp(scaled, out=scaled)
            probabilities[span] = scaled / scaled.sum(axis=1, keepdims=True)
        return probabilities

    @property
    def parameters(self) -> dict[str, Any]:
        return {"temperature": self.temperature}

    def to_json(self) -> dict[str, Any]:
        return {"kind": "temperature", **self.parameters}


Calibrator: TypeAlias = TemperatureScaler | VectorScaler | ConfidenceCalibrator


def calibrator_from_json(stored: Mapping[str, Any]) -> Calibrator:
    """Return the calibrator that ``to_json`` wrote; refuses values that no fit can give."""
    match stored:
        case {"kind": "temperature", "temperature": temperature}:
            return TemperatureScaler(float(temperature))
        case {"kind": "platt", "slope": slope, "intercept": intercept}:
            return PlattScaler(float(slope), float(intercept))
        case {"kind": "histogram", "edges": edges, "accuracies": accuracies}:
            return HistogramBinner(tuple(map(float, edges)), tuple(map(float, accuracies)))
        case {"kind": "isotonic", "thresholds": thresholds, "confidences": confidences}:
            return IsotonicCalibrator(tuple(map(float, thresholds)), tuple(map(float, confidences)))
        case {"kind": "vector", "scales": scales, "offsets": offsets}:
            return VectorScaler(tuple(map(float, scales)), tuple(map(float, offsets)))
    raise ValueError(f"not a stored calibrator of a known kind: {dict(stored)!r}")
