"""Calibrators of one number an item: a score or raw confidence becomes a calibrated confidence.

Frozen values that are fitted to data, applied to data and stored as JSON. A fit that the data
cannot support raises ``Degenerate``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from scoring.arrays import Floats, as_fractions, as_vector
from scoring.binning import equal_count_bins
from scoring.degenerate import Degenerate, check_enough_rows

MAX_PLATT_SLOPE = 1000.0
"""The steepest slope, per standard deviation of the score, that passes for an estimate."""

_PLATT_STEPS = 100
_PLATT_TOLERANCE = 1e-10


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
        return _sigmoid(self.slope * values + self.intercept)

    @property
    def parameters(self) -> dict[str, Any]:
        return {"slope": self.slope, "intercept": self.intercept}

    def to_json(self) -> dict[str, Any]:
        return {"kind": "platt", **self.parameters}


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
        values, outcome = _as_pairs(confidence, correct)
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

    @property
    def parameters(self) -> dict[str, Any]:
        return {"edges": list(self.edges), "accuracies": list(self.accuracies)}

    def to_json(self) -> dict[str, Any]:
        return {"kind": "histogram", **self.parameters}


@dataclass(frozen=True, slots=True)
class IsotonicCalibrator:
    """Map a raw confidence to the accuracy of the best rising step function (Zadrozny 2002).

    ``thresholds``: raw confidences, strictly rising; ``confidences``: their calibrated values,
    which never fall; in between the values are interpolated, outside the nearest one holds.
    """

    thresholds: tuple[float, ...]
    confidences: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.thresholds) != len(self.confidences) or not self.thresholds:
            raise ValueError(
                f"{len(self.thresholds)} thresholds do not fit {len(self.confidences)} values"
            )
        if not (np.diff(self.thresholds) > 0).all() or (np.diff(self.confidences) < 0).any():
            raise ValueError("thresholds must rise strictly and confidences must never fall")
        as_fractions(self.thresholds, "thresholds")
        as_fractions(self.confidences, "confidences")

    @classmethod
    def fit(cls, confidence: ArrayLike, correct: ArrayLike) -> Self:
        """Fit on raw ``confidence`` (n_items,) against ``correct`` (n_items,) by least squares.

        Needs scikit-learn. Raises ``Degenerate``.
        """
        from sklearn.isotonic import IsotonicRegression

        values, outcome = _as_pairs(confidence, correct)
        check_enough_rows(values.size)
        _check_both_outcomes(outcome)
        fitted = IsotonicRegression(y_min=0.0, y_max=1.0).fit(values, outcome)
        thresholds, first = np.unique(fitted.X_thresholds_, return_index=True)
        steps = np.maximum.accumulate(fitted.y_thresholds_[first])
        return cls(tuple(thresholds.tolist()), tuple(np.clip(steps, 0, 1).tolist()))

    def apply(self, confidence: ArrayLike) -> Floats:
        """Return calibrated confidences, shape of ``confidence``."""
        values = as_fractions(confidence, "confidence")
        return np.interp(values, self.thresholds, self.confidences)

    @property
    def parameters(self) -> dict[str, Any]:
        return {"thresholds": list(self.thresholds), "confidences": list(self.confidences)}

    def to_json(self) -> dict[str, Any]:
        return {"kind": "isotonic", **self.parameters}


ConfidenceCalibrator: TypeAlias = PlattScaler | HistogramBinner | IsotonicCalibrator


def _fit_platt(scores: Floats, correct: Floats) -> tuple[float, float]:
    """Return (slope, intercept) by damped Newton steps on standardised scores."""
    check_enough_rows(scores.size)
    _check_both_outcomes(correct)
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
        confidence = _sigmoid(design @ weights)
        gradient = design.T @ (confidence - correct)
        curvature = (design.T * (confidence * (1 - confidence))) @ design
        # Where all is certain the curvature vanishes; the least-squares step is zero there.
        step = np.linalg.lstsq(curvature, gradient)[0]
        trial = _binary_nll(design @ (weights - step), correct)
        while trial > loss and np.abs(step).max() > _PLATT_TOLERANCE:
            step /= 2
            trial = _binary_nll(design @ (weights - step), correct)
        weights, loss = weights - step, trial
        if np.abs(step).max() <= _PLATT_TOLERANCE:
            break
    if not abs(weights[0]) < MAX_PLATT_SLOPE:
        raise Degenerate("at_bound", "the score all but separates right from wrong")
    slope = float(weights[0]) / spread
    return slope, float(weights[1]) - slope * float(scores.mean())


def _binary_nll(logit: Floats, correct: Floats) -> float:
    """Return the summed negative log likelihood of outcomes in [0, 1] given their log odds."""
    return float((np.logaddexp(0.0, logit) - correct * logit).sum())


def _sigmoid(odds: Floats) -> Floats:
    """Return 1 / (1 + exp(-odds)) without overflow, precise down to the smallest confidence."""
    with np.errstate(invalid="ignore"):  # the NaN of an item that was not scored stays NaN
        return np.exp(-np.logaddexp(0.0, -odds))


def _as_pairs(confidence: ArrayLike, correct: ArrayLike) -> tuple[Floats, Floats]:
    """Return confidences and outcomes, checked to fit each other, both (n_items,) in [0, 1]."""
    values = as_fractions(confidence, "confidence")
    outcome = as_fractions(correct, "correct")
    if values.shape != outcome.shape:
        raise ValueError(f"{values.size} confidences do not fit {outcome.size} outcomes")
    return values, outcome


def _check_both_outcomes(correct: Floats) -> None:
    if correct.min() == correct.max():
        raise Degenerate("single_label", "every answer has the same outcome")
