"""What a cascade is fitted on and what it is measured on, as arrays. No arithmetic here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from audit.models import Dataset, ScoreSet
from reviews.cascade_experts import (
    CascadeExpert,
    CascadeRefusedError,
    find_scores,
    fit_expert,
    known_calibrators,
    move_expert,
)
from reviews.class_order import compare_classes
from reviews.decisions import Snapshot
from reviews.evaluation_labels import GIVEN, EvaluationLabels, load_labels
from reviews.models import Policy
from scoring.arrays import NOT_SCORED, Floats, Ints, Mask
from scoring.calibration import Calibrator
from scoring.cascade_comparison import PairScores
from scoring.expert_answers import AnswerCalibrator
from scoring.splits import in_half_a


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for: the two experts, and how to calibrate, cut and measure.

    Without a ``calibrator`` it is the usual one for scores of that kind. Judgments after the
    ``snapshot`` don't count in labels that people clean.
    """

    small: str
    large: str
    calibrator: AnswerCalibrator | None = None
    n_bins: int = 15
    labels: str = GIVEN
    policy: str = Policy.LENIENT
    seed: int = 0
    snapshot: Snapshot | None = None

    @property
    def experts(self) -> tuple[str, str]:
        return self.small, self.large


@dataclass(frozen=True, slots=True)
class Side:
    """Both experts' scores of one data set's items, in item order."""

    dataset: Dataset
    keys: list[str]
    given: Ints
    score_sets: Sequence[ScoreSet]


@dataclass(frozen=True, slots=True)
class FittedPair:
    """Two calibrated experts on the fitting half, and on the items measured.

    ``original``: the latter by their given labels, where others count. ``usable`` items are those
    that both experts scored and the labels know.
    """

    validation: PairScores
    keys: list[str]
    test: PairScores
    original: PairScores | None
    calibrators: tuple[Calibrator | None, Calibrator | None]


@dataclass(slots=True)
class Halves:
    """The items of either half. Calibrators differ from fit to fit, the rest is read once.

    ``test`` is the same data set as ``fitted``, or another whose inputs are of another
    distribution: then all its items are measured that weren't fitted on.
    """

    fitted: Side
    test: Side
    half_a: Mask
    labels: EvaluationLabels
    uses_given: bool
    notes: list[str]
    warnings: list[str] = field(default_factory=list)
    _features: dict[int, Floats] = field(default_factory=dict)

    @property
    def calibrators(self) -> tuple[AnswerCalibrator, ...]:
        """The calibrators that suit the scores, the usual one first."""
        return known_calibrators(self.fitted.score_sets)

    def fit(self, calibrator: AnswerCalibrator, *, with_features: bool = True) -> FittedPair:
        """Calibrate both experts on half A; ``with_features`` is for routers that learn."""
        fitted, test = self.fitted, self.test
        experts = [
            fit_expert(each, fitted.given, self.half_a, calibrator) for each in fitted.score_sets
        ]
        moved = experts
        if test is not fitted:
            moved = [move_expert(*each) for each in zip(experts, test.score_sets, strict=True)]
        usable = _both_scored(experts)
        validation = np.flatnonzero(self.half_a & usable)
        measured = self._measured(moved, validation)
        if validation.size == 0 or measured.size == 0:
            raise CascadeRefusedError(
                f"{validation.size} items to fit on and {measured.size} to measure on: both "
                "experts must have scored items in both halves, with labels that hold"
            )
        by_given = self._pair(experts, fitted.given, None, with_features=with_features)
        tested = self._pair(moved, test.given, self.labels, with_features=with_features)
        original = None
        if not self.uses_given:
            right = (expert.is_right(test.given, None)[measured] for expert in moved)
            original = tested.select(measured).with_outcomes(*right)
        return FittedPair(
            by_given.select(validation),
            [fitted.keys[place] for place in validation],
            tested.select(measured),
            original,
            (experts[0].answers.calibrator, experts[1].answers.calibrator),
        )

    def _measured(self, experts: Sequence[CascadeExpert], validation: Ints) -> Ints:
        """Return the places of the items that figures come from."""
        usable = _both_scored(experts) & self.labels.is_known
        if self.test is self.fitted:
            return np.flatnonzero(~self.half_a & usable)
        seen = np.array(self.fitted.keys)[validation]
        is_new = ~np.isin(self.test.keys, seen)
        if n_fitted := int((usable & ~is_new).sum()):
            note = f"{n_fitted:,} items of {self.test.dataset} were fitted on and are left out"
            if note not in self.notes:
                self.notes.append(note)
        return np.flatnonzero(usable & is_new)

    def _pair(
        self,
        experts: Sequence[CascadeExpert],
        given: Ints,
        labels: EvaluationLabels | None,
        *,
        with_features: bool,
    ) -> PairScores:
        """Return both experts on all items; what is unusable is zero, to be left out."""
        small, large = (expert.answers for expert in experts)
        known = self._features
        if with_features and (scores := experts[0].score_set.pk) not in known:
            known[scores] = experts[0].features()
        return PairScores.of(
            (np.nan_to_num(small.confidence), np.nan_to_num(large.confidence)),
            (np.nan_to_num(small.raw), np.nan_to_num(large.raw)),
            (experts[0].is_right(given, labels), experts[1].is_right(given, labels)),
            known[experts[0].score_set.pk] if with_features else None,
        )


def load_halves(dataset: Dataset, order: Order, test_dataset: Dataset | None = None) -> Halves:
    """Read items, scores and labels; refuses what can't be measured."""
    if order.small == order.large:
        raise CascadeRefusedError("the two experts of a cascade must differ")
    fitted = _load_side(dataset, order)
    test = fitted if test_dataset is None else _load_side(test_dataset, order)
    if order.labels != GIVEN and any(each.has_outcomes_only for each in test.score_sets):
        raise CascadeRefusedError(
            "outcomes were graded where they come from: they can't be measured on other labels"
        )
    if test.dataset.n_classes != fitted.dataset.n_classes:
        raise CascadeRefusedError(
            f"{fitted.dataset} has {fitted.dataset.n_classes} classes and {test.dataset} "
            f"{test.dataset.n_classes}: calibrators fit no other classes"
        )
    warnings = []
    mismatch = compare_classes(dataset, test.dataset) if test is not fitted else None
    if mismatch and mismatch.is_reordered:
        raise CascadeRefusedError(
            f"{test.dataset} numbers its classes otherwise than {fitted.dataset}: {mismatch}"
        )
    if mismatch:
        warnings = [f"classes have other names in {test.dataset}: {mismatch}"]
    labels = load_labels(test.dataset, test.given, order.labels, order.policy, order.snapshot)
    half_a = in_half_a(fitted.keys, order.seed)
    return Halves(fitted, test, half_a, labels, order.labels == GIVEN, list(labels.notes), warnings)


def load_items(dataset: Dataset) -> tuple[list[str], Ints]:
    """Return the items' keys and given labels, in order; -1 for each task."""
    rows = list(dataset.items.order_by("position").values_list("key", "given_label"))
    labels = [label if dataset.has_classes else NOT_SCORED for _, label in rows]
    return [key for key, _ in rows], np.array(labels, dtype=np.int64)


def _load_side(dataset: Dataset, order: Order) -> Side:
    score_sets = [find_scores(dataset, expert) for expert in order.experts]
    return Side(dataset, *load_items(dataset), score_sets)


def _both_scored(experts: Sequence[CascadeExpert]) -> Mask:
    scored: Mask = np.logical_and(*(expert.answers.valid for expert in experts))
    return scored
