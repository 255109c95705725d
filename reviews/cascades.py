"""Rows to arrays to numbers: two experts of a data set as a cascade. No arithmetic here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from audit.models import Dataset, ScoreSet
from audit.score_store import ShardedLogits, open_scores
from reviews.evaluation_labels import GIVEN, EvaluationLabels, load_labels
from reviews.models import Policy
from scoring.arrays import Ints, Mask
from scoring.calibration import Degenerate
from scoring.cascade import CascadeCurve
from scoring.cascade_comparison import Comparison, PairScores, compare_routers
from scoring.cascade_measures import Apgr
from scoring.expert_answers import AnswerCalibrator, ExpertAnswers, answer_items, fit_answers
from scoring.routers import small_model_features
from scoring.splits import in_half_a

Document: TypeAlias = dict[str, Any]

ROUTERS = ("CC", "UC", "RC", "MF", "oracle")


class CascadeRefusedError(ValueError):
    """The cascade can't be measured as asked; the message says what is allowed."""


@dataclass(frozen=True, slots=True)
class Items:
    """A data set's items in order, and the two experts' logits."""

    keys: list[str]
    given_labels: Ints
    small: ShardedLogits
    large: ShardedLogits


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for: the two experts, and how to calibrate, cut and measure."""

    small: str
    large: str
    calibrator: AnswerCalibrator = "temperature"
    n_bins: int = 15
    labels: str = GIVEN
    policy: str = Policy.LENIENT
    seed: int = 0


def describe_cascade(
    dataset: Dataset, order: Order, test_dataset: Dataset | None = None
) -> Document:
    """Return the cascade's figures as the contract's JSON.

    Calibrators, bins and routers are fitted on half A with the given labels; the figures come
    from half B with the labels asked for - or from all items of ``test_dataset``, whose inputs
    may be of another distribution.
    """
    items = _load_items(dataset, order)
    half_a = in_half_a(items.keys, order.seed)
    answers = _fit_both(items, half_a, order)
    pair, usable = _pair_up(items, answers, None)
    validation = np.flatnonzero(half_a & usable)
    if test_dataset is None:
        labels = load_labels(dataset, items.given_labels, order.labels, order.policy)
        tested, usable = _pair_up(items, answers, labels)
        test = np.flatnonzero(~half_a & usable)
    else:
        there = _load_items(test_dataset, order)
        labels = load_labels(test_dataset, there.given_labels, order.labels, order.policy)
        moved = [
            answer_items(logits, each.calibrator)
            for logits, each in zip((there.small, there.large), answers, strict=True)
        ]
        tested, usable = _pair_up(there, moved, labels)
        test = np.flatnonzero(usable)
    if validation.size == 0 or test.size == 0:
        raise CascadeRefusedError(
            f"{validation.size} items to fit on and {test.size} to measure on: both experts must "
            "have scored items in both halves, with labels that hold"
        )
    found = compare_routers(
        pair.select(validation),
        tested.select(test),
        n_bins=order.n_bins,
        keys=np.array(items.keys)[validation],
        calibrators=(answers[0].calibrator, answers[1].calibrator),
        rng=np.random.default_rng(order.seed),
    )
    document = _describe(found)
    document["settings"] = {
        "dataset": dataset.slug,
        "test_dataset": (test_dataset or dataset).slug,
        "small": order.small,
        "large": order.large,
        "calibrator": order.calibrator,
        "bins": order.n_bins,
        "labels": order.labels,
        "policy": str(order.policy),
        "seed": order.seed,
    }
    document["items"] = {"validation": int(validation.size), "test": int(test.size)}
    document["notes"] = list(labels.notes)
    document["warnings"] = _warn(labels, order, [dataset, test_dataset or dataset])
    return document


def _load_items(dataset: Dataset, order: Order) -> Items:
    if order.small == order.large:
        raise CascadeRefusedError("the two experts of a cascade must differ")
    score_sets = {}
    for expert in (order.small, order.large):
        score_set = dataset.score_sets.filter(expert=expert, state=ScoreSet.State.READY).first()
        if score_set is None:
            ready = dataset.score_sets.filter(state=ScoreSet.State.READY).order_by("expert")
            known = ", ".join(ready.values_list("expert", flat=True)) or "none"
            raise CascadeRefusedError(
                f"{dataset} has no finished scores of {expert!r}; there are: {known}"
            )
        score_sets[expert] = score_set
    rows = list(dataset.items.order_by("position").values_list("key", "given_label"))
    return Items(
        keys=[key for key, _ in rows],
        given_labels=np.array([label for _, label in rows], dtype=np.int64),
        small=open_scores(score_sets[order.small].pk),
        large=open_scores(score_sets[order.large].pk),
    )


def _fit_both(items: Items, half_a: Mask, order: Order) -> list[ExpertAnswers]:
    answers = []
    for name, logits in ((order.small, items.small), (order.large, items.large)):
        try:
            answers.append(fit_answers(logits, items.given_labels, half_a, order.calibrator))
        except Degenerate as refusal:
            raise CascadeRefusedError(
                f"{name} can't be calibrated by {order.calibrator} ({refusal}); "
                "--calibrator none compares raw confidences"
            ) from refusal
    return answers


def _pair_up(
    items: Items, answers: Sequence[ExpertAnswers], labels: EvaluationLabels | None
) -> tuple[PairScores, Mask]:
    """Return both experts on all items, and which items both scored and the labels know.

    Without ``labels`` the given ones count. What is unusable is filled with zeros, to be left out.
    """
    small, large = answers
    usable = small.valid & large.valid
    if labels is None:
        correct = [each.top1 == items.given_labels for each in answers]
    else:
        correct = [labels.is_right(each.top1) for each in answers]
        usable &= labels.is_known
    features = np.nan_to_num(small_model_features(items.small, small.valid))
    confidences = [np.nan_to_num(each.confidence) for each in answers]
    raw = [np.nan_to_num(each.raw) for each in answers]
    pair = PairScores.of(
        (confidences[0], confidences[1]), (raw[0], raw[1]), (correct[0], correct[1]), features
    )
    return pair, usable


def _warn(labels: EvaluationLabels, order: Order, datasets: Sequence[Dataset]) -> list[str]:
    """Return what a reader must not overlook."""
    warnings = [
        f"{expert} flagged items for these cleaned labels: its accuracy on them is flattered by "
        "its own flags"
        for expert in (order.small, order.large)
        if expert in labels.flagged_by
    ]
    experts = ScoreSet.objects.filter(dataset__in=datasets, expert__in=[order.small, order.large])
    stored = experts.order_by("pk").values_list("expert", "parameters")
    told = [f"{name}: {facts['notice']}" for name, facts in stored if facts.get("notice")]
    return [*warnings, *dict.fromkeys(told)]


def _describe(found: Comparison) -> Document:
    apgr = {name: _describe_apgr(each) for name, each in found.apgr.items()}
    apgr |= {name: {"undefined": reason} for name, reason in found.skipped.items()}
    small, large = found.accuracy
    return {
        "curves": {name: _describe_curve(found.curves.get(name)) for name in ROUTERS},
        "apgr": {name: apgr[name] for name in ROUTERS},
        "models": {"small": small, "large": large},
        "best": {
            "small_ratio": found.best.small_ratio,
            "accuracy": found.best.accuracy,
            "p_value": found.best.p_value,
        },
        "cascade": found.cascade.to_json(),
    }


def _describe_curve(curve: CascadeCurve | None) -> list[dict[str, float]]:
    if curve is None:
        return []
    return [
        {"small_ratio": ratio, "accuracy": accuracy}
        for ratio, accuracy in zip(curve.small_ratio.tolist(), curve.accuracy.tolist(), strict=True)
    ]


def _describe_apgr(apgr: Apgr) -> Document:
    if apgr.undefined:
        return {"undefined": apgr.undefined}
    return {"estimate": apgr.estimate, "low": apgr.low, "high": apgr.high}
