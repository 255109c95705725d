"""Rows to arrays to numbers: two experts of a data set as a cascade. No arithmetic here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

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
from reviews.evaluation_labels import GIVEN, EvaluationLabels, load_labels
from reviews.models import Policy
from scoring.arrays import NOT_SCORED, Ints, Mask
from scoring.cascade import CascadeCurve
from scoring.cascade_comparison import Comparison, PairScores, compare_routers
from scoring.cascade_measures import Apgr
from scoring.expert_answers import AnswerCalibrator
from scoring.splits import in_half_a

Document: TypeAlias = dict[str, Any]

ROUTERS = ("CC", "UC", "RC", "MF", "oracle")
SWEPT_BINS = (5, 15, 50, 100)


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for: the two experts, and how to calibrate, cut and measure.

    Without a ``calibrator`` it is the usual one for scores of that kind.
    """

    small: str
    large: str
    calibrator: AnswerCalibrator | None = None
    n_bins: int = 15
    labels: str = GIVEN
    policy: str = Policy.LENIENT
    seed: int = 0


def describe_cascade(
    dataset: Dataset, order: Order, test_dataset: Dataset | None = None
) -> Document:
    """Return the cascade's figures as the contract's JSON.

    Calibrators, bins and routers are fitted on half A with the given labels; the figures come
    from half B with the labels asked for - or from the items of ``test_dataset`` whose keys were
    not fitted on; their inputs may be of another distribution.
    """
    keys, given = _load_items(dataset)
    score_sets = _find_both(dataset, order)
    half_a = in_half_a(keys, order.seed)
    calibrator = order.calibrator or known_calibrators(score_sets)[0]
    experts = [fit_expert(each, given, half_a, calibrator) for each in score_sets]
    pair, usable = _pair_up(experts, given, None)
    validation = np.flatnonzero(half_a & usable)
    notes: list[str] = []
    if test_dataset is None:
        labels = _load_labels(dataset, given, order, score_sets)
        tested, usable = _pair_up(experts, given, labels)
        test = np.flatnonzero(~half_a & usable)
    else:
        test_keys, given = _load_items(test_dataset)
        score_sets = _find_both(test_dataset, order)
        labels = _load_labels(test_dataset, given, order, score_sets)
        moved = [move_expert(*each) for each in zip(experts, score_sets, strict=True)]
        tested, usable = _pair_up(moved, given, labels)
        is_new = ~np.isin(test_keys, np.array(keys)[validation])
        test = np.flatnonzero(usable & is_new)
        if n_fitted := int((usable & ~is_new).sum()):
            notes.append(f"{n_fitted:,} items of {test_dataset} were fitted on and are left out")
    if validation.size == 0 or test.size == 0:
        raise CascadeRefusedError(
            f"{validation.size} items to fit on and {test.size} to measure on: both experts must "
            "have scored items in both halves, with labels that hold"
        )
    found = compare_routers(
        pair.select(validation),
        tested.select(test),
        n_bins=order.n_bins,
        keys=np.array(keys)[validation],
        calibrators=(experts[0].answers.calibrator, experts[1].answers.calibrator),
        rng=np.random.default_rng(order.seed),
    )
    document = _describe(found)
    document["settings"] = {
        "dataset": dataset.slug,
        "test_dataset": (test_dataset or dataset).slug,
        "small": order.small,
        "large": order.large,
        "calibrator": calibrator,
        "bins": order.n_bins,
        "labels": order.labels,
        "policy": str(order.policy),
        "seed": order.seed,
    }
    document["items"] = {"validation": int(validation.size), "test": int(test.size)}
    document["notes"] = [*labels.notes, *notes]
    document["warnings"] = _warn(labels, order, [dataset, test_dataset or dataset])
    return document


def sweep_cascade(
    dataset: Dataset, order: Order, test_dataset: Dataset | None = None
) -> list[Document]:
    """Return the APGR of ``CC`` for every calibrator and number of bins (Tables 4 and 5).

    A calibrator that can't be fitted keeps its row, undefined with the reason.
    """
    calibrators = known_calibrators(_find_both(dataset, order))
    order = replace(order, calibrator=order.calibrator or calibrators[0])
    orders = [replace(order, calibrator=name) for name in calibrators]
    orders += [replace(order, n_bins=n_bins) for n_bins in SWEPT_BINS if n_bins != order.n_bins]
    rows = []
    for each in orders:
        try:
            apgr = describe_cascade(dataset, each, test_dataset)["apgr"]["CC"]
        except CascadeRefusedError as refusal:
            apgr = {"undefined": str(refusal)}
        rows.append({"calibrator": each.calibrator, "bins": each.n_bins, "apgr": apgr})
    return rows


def _load_items(dataset: Dataset) -> tuple[list[str], Ints]:
    """Return the items' keys and given labels, in order; -1 for each task."""
    rows = list(dataset.items.order_by("position").values_list("key", "given_label"))
    labels = [label if dataset.has_classes else NOT_SCORED for _, label in rows]
    return [key for key, _ in rows], np.array(labels, dtype=np.int64)


def _find_both(dataset: Dataset, order: Order) -> list[ScoreSet]:
    if order.small == order.large:
        raise CascadeRefusedError("the two experts of a cascade must differ")
    return [find_scores(dataset, expert) for expert in (order.small, order.large)]


def _load_labels(
    dataset: Dataset, given: Ints, order: Order, score_sets: Sequence[ScoreSet]
) -> EvaluationLabels:
    if order.labels != GIVEN and any(each.has_outcomes_only for each in score_sets):
        raise CascadeRefusedError(
            "outcomes were graded where they come from: they can't be measured on other labels"
        )
    return load_labels(dataset, given, order.labels, order.policy)


def _pair_up(
    experts: Sequence[CascadeExpert], given: Ints, labels: EvaluationLabels | None
) -> tuple[PairScores, Mask]:
    """Return both experts on all items, and which items both scored and the labels know.

    Without ``labels`` the given ones count. What is unusable is filled with zeros, to be left out.
    """
    small, large = (expert.answers for expert in experts)
    usable = small.valid & large.valid
    if labels is not None:
        usable &= labels.is_known
    small_right, large_right = (expert.is_right(given, labels) for expert in experts)
    pair = PairScores.of(
        (np.nan_to_num(small.confidence), np.nan_to_num(large.confidence)),
        (np.nan_to_num(small.raw), np.nan_to_num(large.raw)),
        (small_right, large_right),
        experts[0].features(),
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
