"""One expert of a cascade as arrays, whatever its scores are: logits of classes, or outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audit.models import Dataset, ScoreSet
from audit.score_store import ShardedLogits, open_scores
from reviews.evaluation_labels import EvaluationLabels
from scoring.arrays import Floats, Ints, Mask
from scoring.calibration import Degenerate, PlattScaler
from scoring.expert_answers import (
    ANSWER_CALIBRATORS,
    TASK_CALIBRATORS,
    AnswerCalibrator,
    ExpertAnswers,
    TaskAnswers,
    answer_items,
    fit_answers,
    fit_tasks,
    score_tasks,
)
from scoring.routers import small_model_features


class CascadeRefusedError(ValueError):
    """The cascade can't be measured as asked; the message says what is allowed."""


@dataclass(frozen=True, slots=True)
class CascadeExpert:
    """An expert's stored scores of one data set, and its answers once calibrated."""

    score_set: ScoreSet
    scores: ShardedLogits
    answers: ExpertAnswers | TaskAnswers

    def is_right(self, given_labels: Ints, labels: EvaluationLabels | None) -> Mask:
        """Return which answers are right, by ``labels`` or, without them, by the given ones."""
        if isinstance(self.answers, TaskAnswers):
            return self.answers.is_right
        if labels is None:
            agrees: Mask = self.answers.top1 == given_labels
            return agrees
        return labels.is_right(self.answers.top1)

    def features(self) -> Floats:
        """Return what a learned router may know of each item from this expert alone."""
        if isinstance(self.answers, TaskAnswers):
            return np.nan_to_num(self.answers.raw)[:, None]
        return np.nan_to_num(small_model_features(self.scores, self.answers.valid))


def find_scores(dataset: Dataset, expert: str) -> ScoreSet:
    """Return the expert's finished scores, or refuse with those there are."""
    ready = dataset.score_sets.filter(state=ScoreSet.State.READY)
    score_set = ready.filter(expert=expert).first()
    if score_set is None:
        known = ", ".join(ready.order_by("expert").values_list("expert", flat=True)) or "none"
        raise CascadeRefusedError(
            f"{dataset} has no finished scores of {expert!r}; there are: {known}"
        )
    return score_set


def known_calibrators(score_sets: Sequence[ScoreSet]) -> tuple[AnswerCalibrator, ...]:
    """Return the calibrators that suit the scores, the usual one first."""
    outcomes_only = any(each.has_outcomes_only for each in score_sets)
    return TASK_CALIBRATORS if outcomes_only else ANSWER_CALIBRATORS


def fit_expert(
    score_set: ScoreSet, given_labels: Ints, half_a: Mask, calibrator: AnswerCalibrator
) -> CascadeExpert:
    """Return the expert with its confidences calibrated on half A."""
    scores = open_scores(score_set.pk)
    answers: ExpertAnswers | TaskAnswers
    try:
        if not score_set.has_outcomes_only:
            answers = fit_answers(scores, given_labels, half_a, calibrator)
        elif calibrator in TASK_CALIBRATORS:
            answers = fit_tasks(*_outcomes(scores), half_a, calibrator)
        else:
            raise CascadeRefusedError(
                f"{score_set.expert} has one score per item: --calibrator platt or none, "
                f"not {calibrator}"
            )
    except Degenerate as refusal:
        raise CascadeRefusedError(
            f"{score_set.expert} can't be calibrated by {calibrator} ({refusal}); "
            "--calibrator none compares raw confidences"
        ) from refusal
    return CascadeExpert(score_set, scores, answers)


def move_expert(expert: CascadeExpert, score_set: ScoreSet) -> CascadeExpert:
    """Return the expert on another data set, with the calibrator it has."""
    if score_set.has_outcomes_only != expert.score_set.has_outcomes_only:
        raise CascadeRefusedError(f"{score_set.expert} has scores of two kinds; both must be alike")
    scores, calibrator = open_scores(score_set.pk), expert.answers.calibrator
    answers: ExpertAnswers | TaskAnswers
    if score_set.has_outcomes_only:
        platt = calibrator if isinstance(calibrator, PlattScaler) else None
        answers = score_tasks(*_outcomes(scores), platt)
    else:
        answers = answer_items(scores, calibrator)
    return CascadeExpert(score_set, scores, answers)


def _outcomes(scores: ShardedLogits) -> tuple[Floats, Mask]:
    """Return the columns that `import_scores --kind correctness` stored: score, is it right."""
    rows = np.asarray(scores[0 : len(scores)], dtype=np.float64)
    is_right: Mask = rows[:, 1] == 1
    return rows[:, 0], is_right
