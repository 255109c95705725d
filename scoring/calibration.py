"""Calibrators: frozen values that are fitted to data, applied to data and stored as JSON.

A fit that the data cannot support raises ``Degenerate``; no number is made up in its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from scoring.arrays import Floats, Rows, as_fractions, as_labels, as_rows, as_vector, row_chunks
from scoring.arrays import valid_rows as usable_rows
from scoring.binning import equal_count_bins
from scoring.degenerate import MIN_ROWS, Degenerate, check_enough_rows
from scoring.temperature import MAX_TEMPERATURE, MIN_TEMPERATURE, fit_temperature

__all__ = [
    "MAX_TEMPERATURE",
    "MIN_ROWS",
    "MIN_TEMPERATURE",
    "Calibrator",
    "Degenerate",
    "HistogramBinner",
    "PlattScaler",
    "TemperatureScaler",
    "calibrator_from_json",
]

_PLATT_STEPS = 100
_PLATT_TOLERANCE = 1e-10


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

    def to_json(self) -> dict[str, Any]:
        return {"kind": "temperature", "temperature": self.temperature}


@dataclass(frozen=True, slots=True)
class PlattScaler:
    """Map a score to a confidence by sigmoid(slope * score + intercept) (Section 2.1; Platt 1999).

    For generated text the score is the mean logit of the produced tokens; for a multiple-choice
    answer the logit of the chosen option. A negative slope is a possible, telling, result.
    """

    slope: float
    intercept: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.slope) and np.isfinite(self.intercept)):
            raise ValueError(f"slope and intercept must be finite: {self.slope}, {self.intercept}")

    @classmethod
    def fit(cls, scores: ArrayLike, correct: ArrayLike) -> Self:
        """Fit on ``scores`` (n_items,) against ``correct`` (n_items,), 0 or 1, by binary NLL.

        Items whose score is NaN are left out. Raises ``Degenerate``.
        """
        values = np.asarray(scores, dtype=np.float64)
        known = ~np.isnan(values)
        outcome = as_fractions(correct, "correct")
        if values.shape != outcome.shape:
            raise ValueError(f"{values.shape} scores do not fit {outcome.shape} values of correct")
        return cls(*_fit_platt(as_vector(values[known], "scores"), outcome[known]))

    def apply(self, scores: ArrayLike) -> Floats:
        """Return calibrated confidences, shape of ``scores``."""
        values = np.asarray(scores, dtype=np.float64)
        return np.asarray(expit(self.slope * values + self.intercept), dtype=np.float64)

    def to_json(self) -> dict[str, Any]:
        return {"kind": "platt", "slope": self.slope, "intercept": self.intercept}


@dataclass(frozen=True, slots=True)
class HistogramBinner:
    """Replace a confidence by the accuracy of its equal-count bin (Section 2.1; Zadrozny 2001).

    ``edges``: the lowest confidence of every bin but the first, strictly rising;
    ``accuracies``: one per bin, least confident first. Equal confidences share a bin.
    """

    edges: tuple[float, ...]
    accuracies: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.accuracies) != len(self.edges) + 1:
            raise ValueError(f"{len(self.edges)} edges do not fit {len(self.accuracies)} bins")
        if not (np.diff(self.edges) > 0).all():
            raise ValueError(f"edges must rise strictly, got {self.edges}")
        as_fractions(self.accuracies, "accuracies")

    @classmethod
    def fit(cls, confidence: ArrayLike, correct: ArrayLike, n_bins: int = 15) -> Self:
        """Fit on raw ``confidence`` (n_items,) against ``correct`` (n_items,), 0 or 1.

        Raises ``Degenerate`` where there are too few items.
        """
        values = as_fractions(confidence, "confidence")
        outcome = as_fractions(correct, "correct")
        if values.shape != outcome.shape:
            raise ValueError(f"{values.size} confidences do not fit {outcome.size} outcomes")
        check_enough_rows(values.size)
        bins = equal_count_bins(values, n_bins)
        lowest = np.full(bins.max() + 1, np.inf)
        np.minimum.at(lowest, bins, values)
        # A value that fills several bins would put one edge twice: those bins become one.
        edges = np.unique(lowest)[1:]
        final = np.searchsorted(edges, values, side="right")
        accuracies = np.bincount(final, outcome) / np.bincount(final)
        return cls(tuple(edges.tolist()), tuple(accuracies.tolist()))

    def apply(self, confidence: ArrayLike) -> Floats:
        """Return calibrated confidences, shape of ``confidence``."""
        bins = np.searchsorted(self.edges, as_fractions(confidence, "confidence"), side="right")
        return np.asarray(self.accuracies)[bins]

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "histogram",
            "edges": list(self.edges),
            "accuracies": list(self.accuracies),
        }


Calibrator: TypeAlias = TemperatureScaler | PlattScaler | HistogramBinner


def calibrator_from_json(stored: Mapping[str, Any]) -> Calibrator:
    """Return the calibrator that ``to_json`` wrote; refuses values that no fit can give."""
    match stored:
        case {"kind": "temperature", "temperature": temperature}:
            return TemperatureScaler(float(temperature))
        case {"kind": "platt", "slope": slope, "intercept": intercept}:
            return PlattScaler(float(slope), float(intercept))
        case {"kind": "histogram", "edges": edges, "accuracies": accuracies}:
            return HistogramBinner(tuple(map(float, edges)), tuple(map(float, accuracies)))
    raise ValueError(f"not a stored temperature, platt or histogram calibrator: {dict(stored)!r}")


def _fit_platt(scores: Floats, correct: Floats) -> tuple[float, float]:
    """Return (slope, intercept) by damped Newton steps on standardised scores."""
    check_enough_rows(scores.size)
    if correct.min() == correct.max():
        raise Degenerate("single_label", "every answer has the same outcome")
    spread = float(scores.std())
    if spread == 0:
        raise Degenerate("no_signal", "all scores are equal")
    passed, failed = scores[correct == 1], scores[correct == 0]
    # With partly correct items no threshold can separate, so the optimum is finite.
    if passed.size + failed.size == scores.size and (
        passed.min() >= failed.max() or passed.max() <= failed.min()
    ):
        raise Degenerate("separable", "a threshold on the score tells right from wrong exactly")
    design = np.column_stack([(scores - scores.mean()) / spread, np.ones(scores.size)])
    weights = np.zeros(2)
    loss = _binary_nll(design @ weights, correct)
    for _ in range(_PLATT_STEPS):
        confidence = expit(design @ weights)
        gradient = design.T @ (confidence - correct)
        curvature = (design.T * (confidence * (1 - confidence))) @ design
        step = np.linalg.solve(curvature, gradient)
        trial = _binary_nll(design @ (weights - step), correct)
        while trial > loss and np.abs(step).max() > _PLATT_TOLERANCE:
            step /= 2
            trial = _binary_nll(design @ (weights - step), correct)
        weights, loss = weights - step, trial
        if np.abs(step).max() <= _PLATT_TOLERANCE:
            break
    slope = float(weights[0]) / spread
    return slope, float(weights[1]) - slope * float(scores.mean())


def _binary_nll(logit: Floats, correct: Floats) -> float:
    """Return the summed negative log likelihood of outcomes in [0, 1] given their log odds."""
    return float((np.logaddexp(0.0, logit) - correct * logit).sum())
