"""One expert's answer to every item, with a calibrator fitted on one half of the items alone.

A cascade needs no cross-fitting: it is fitted on the validation half and measured on the other,
or on another data set (Sections 3.2 and 3.4).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike

from scoring.arrays import NOT_SCORED, Floats, Ints, Mask, Rows, as_mask, as_rows, row_chunks
from scoring.calibration import (
    Calibrator,
    HistogramBinner,
    IsotonicCalibrator,
    PlattScaler,
    TemperatureScaler,
    VectorScaler,
)
from scoring.confidence import score_items

AnswerCalibrator: TypeAlias = Literal[
    "temperature", "platt", "histogram", "isotonic", "vector", "none"
]
ANSWER_CALIBRATORS: tuple[AnswerCalibrator, ...] = get_args(AnswerCalibrator)
TASK_CALIBRATORS: tuple[AnswerCalibrator, ...] = ("platt", "none")
"""All that one score per answer allows; the others need probabilities of classes."""


@dataclass(frozen=True, slots=True)
class ExpertAnswers:
    """What an expert answers and how sure it is; all arrays have shape (n_items,).

    ``top1``: the class answered, -1 where not scored; ``top_logit``: its logit; ``raw``: its
    probability before, ``confidence`` after calibration. All but ``top1`` are NaN where not scored.
    """

    top1: Ints
    top_logit: Floats
    raw: Floats
    confidence: Floats
    calibrator: Calibrator | None

    @property
    def valid(self) -> Mask:
        """Which items this expert scored."""
        scored: Mask = self.top1 != NOT_SCORED
        return scored


def fit_answers(
    logits: Rows | ArrayLike,
    given_labels: ArrayLike,
    fit_on: ArrayLike,
    calibrator: AnswerCalibrator = "temperature",
    n_bins: int = 15,
) -> ExpertAnswers:
    """Fit ``calibrator`` on the items in ``fit_on`` (n_items,) and answer all items.

    ``logits`` (n_items, n_classes) is streamed; ``given_labels`` (n_items,) are class indices.
    Platt's line starts from the answer's logit, histogram bins (``n_bins``) and the isotonic
    steps from its raw probability. Vector scaling may favour another class: the answer stays the
    expert's own, its confidence is what is left for it. Raises ``Degenerate``.
    """
    if calibrator not in ANSWER_CALIBRATORS:
        raise ValueError(f"calibrator must be one of {ANSWER_CALIBRATORS}, got {calibrator!r}")
    labels = np.asarray(given_labels)
    raw = answer_items(logits, None)
    half = as_mask(fit_on, raw.top1.size, "fit_on") & raw.valid
    correct = raw.top1[half] == labels[half]
    if calibrator == "none":
        return raw
    if calibrator == "temperature":
        return answer_items(logits, TemperatureScaler.fit(logits, labels, valid=half))
    if calibrator == "vector":
        return _rescaled(logits, raw, VectorScaler.fit(logits, labels, valid=half))
    if calibrator == "platt":
        return _recalibrated(raw, PlattScaler.fit(raw.top_logit[half], correct))
    if calibrator == "isotonic":
        return _recalibrated(raw, IsotonicCalibrator.fit(raw.raw[half], correct))
    return _recalibrated(raw, HistogramBinner.fit(raw.raw[half], correct, n_bins))


def answer_items(logits: Rows | ArrayLike, calibrator: Calibrator | None) -> ExpertAnswers:
    """Answer all items of ``logits`` (n_items, n_classes) by a calibrator fitted elsewhere."""
    rows = as_rows(logits)
    temperature = calibrator.temperature if isinstance(calibrator, TemperatureScaler) else 1.0
    nothing = np.zeros(rows.shape[0], dtype=np.int64)  # no label's probability is asked for
    scored = score_items(rows, nothing, temperature)
    top_logit = np.full(rows.shape[0], np.nan)
    for index, chunk in row_chunks(rows, where=scored.valid):
        top_logit[index] = chunk.max(axis=1)
    answers = ExpertAnswers(
        scored.top1.astype(np.int64),
        top_logit,
        scored.raw_confidence,
        scored.confidence,
        calibrator,
    )
    if calibrator is None or isinstance(calibrator, TemperatureScaler):
        return answers
    if isinstance(calibrator, VectorScaler):
        return _rescaled(rows, answers, calibrator)
    return _recalibrated(answers, calibrator)


def _rescaled(
    logits: Rows | ArrayLike, answers: ExpertAnswers, scaler: VectorScaler
) -> ExpertAnswers:
    """Return the answers with the probabilities that ``scaler`` gives them."""
    confidence = np.full(answers.top1.size, np.nan)
    confidence[answers.valid] = scaler.probability_of(logits, answers.top1, where=answers.valid)[
        answers.valid
    ]
    return replace(answers, confidence=confidence, calibrator=scaler)


def _recalibrated(answers: ExpertAnswers, calibrator: Calibrator) -> ExpertAnswers:
    """Return the answers with confidences by a calibrator of one number an item."""
    if isinstance(calibrator, PlattScaler):
        known = calibrator.apply(answers.top_logit[answers.valid])
    elif isinstance(calibrator, HistogramBinner | IsotonicCalibrator):
        known = calibrator.apply(answers.raw[answers.valid])
    else:
        raise TypeError(f"answers are not calibrated by {type(calibrator).__name__}")
    confidence = np.full(answers.top1.size, np.nan)
    confidence[answers.valid] = known
    return replace(answers, confidence=confidence, calibrator=calibrator)


@dataclass(frozen=True, slots=True)
class TaskAnswers:
    """Whole answers, right or wrong, with one score each; all arrays have shape (n_items,).

    ``raw``: the score, such as the mean logit of the produced tokens; ``confidence``: calibrated.
    Both are NaN where not scored.
    """

    is_right: Mask
    raw: Floats
    confidence: Floats
    calibrator: Calibrator | None

    @property
    def valid(self) -> Mask:
        """Which items this expert answered."""
        scored: Mask = ~np.isnan(self.raw)
        return scored


def fit_tasks(
    scores: ArrayLike,
    is_right: ArrayLike,
    fit_on: ArrayLike,
    calibrator: AnswerCalibrator = "platt",
) -> TaskAnswers:
    """Fit ``platt`` (or ``none``) on the items in ``fit_on`` (n_items,) (Section 2.1).

    ``scores`` (n_items,), NaN where not scored, and ``is_right`` (n_items,) come from outside.
    Raises ``Degenerate``.
    """
    if calibrator not in TASK_CALIBRATORS:
        raise ValueError(f"scores of whole answers are calibrated by platt or none: {calibrator!r}")
    raw = np.asarray(scores, dtype=np.float64)
    right = as_mask(is_right, raw.size, "is_right")
    half = as_mask(fit_on, raw.size, "fit_on") & ~np.isnan(raw)
    fitted = PlattScaler.fit(raw[half], right[half]) if calibrator == "platt" else None
    return score_tasks(raw, right, fitted)


def score_tasks(
    scores: ArrayLike, is_right: ArrayLike, calibrator: PlattScaler | None
) -> TaskAnswers:
    """Score answers by a calibrator fitted elsewhere; without one the score is the confidence."""
    raw = np.asarray(scores, dtype=np.float64)
    confidence = raw.copy()
    if calibrator is not None:
        known = ~np.isnan(raw)
        confidence[known] = calibrator.apply(raw[known])
    return TaskAnswers(as_mask(is_right, raw.size, "is_right"), raw, confidence, calibrator)
