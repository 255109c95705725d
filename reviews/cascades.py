"""Rows to arrays to numbers: two experts of a data set as a cascade. No arithmetic here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from audit.models import Dataset, ScoreSet
from audit.services.measurements import Tell
from reviews.cascade_experts import CascadeRefusedError
from reviews.cascade_halves import FittedPair, Halves, Order, load_halves
from reviews.evaluation_labels import EvaluationLabels
from scoring.arrays import Floats
from scoring.cascade import CascadeCurve
from scoring.cascade_comparison import (
    Comparison,
    PairScores,
    compare_routers,
    measure_calibrated,
)
from scoring.cascade_measures import Apgr
from scoring.expert_answers import AnswerCalibrator
from scoring.intervals import Interval, wilson
from scoring.paired import paired_difference

Document: TypeAlias = dict[str, Any]
ROUTERS = ("CC", "UC", "RC", "MF", "oracle")
SWEPT_BINS = (5, 15, 50, 100)


def describe_cascade(
    dataset: Dataset, order: Order, test_dataset: Dataset | None = None
) -> Document:
    """Return the cascade's figures as the contract's JSON.

    Calibrators, bins and routers are fitted on half A with the given labels; the figures come
    from half B with the labels asked for - or from the items of ``test_dataset`` whose keys were
    not fitted on; their inputs may be of another distribution. Where other labels than the given
    ones count, ``original`` has the same items by the given ones (Table 2).
    """
    return _describe_halves(load_halves(dataset, order, test_dataset), order)


def measure_cascade(
    dataset: Dataset, order: Order, test_dataset: Dataset | None, tell: Tell
) -> Document:
    """Return the figures and the sweep, reading everything once; ``tell`` hears of progress."""
    halves = load_halves(dataset, order, test_dataset)
    n_steps = len(halves.calibrators) + 2
    tell(0, n_steps)
    document = _describe_halves(halves, order)
    tell(2, n_steps)
    document["sweep"] = _sweep(halves, order, lambda done: tell(2 + done, n_steps))
    return document


def sweep_cascade(
    dataset: Dataset, order: Order, test_dataset: Dataset | None = None
) -> list[Document]:
    """Return the APGR of ``CC`` by every calibrator with every number of bins (Tables 4 and 5).

    A calibrator that can't be fitted keeps its rows, undefined with the reason.
    """
    return _sweep(load_halves(dataset, order, test_dataset), order)


def _sweep(
    halves: Halves, order: Order, tell: Callable[[int], None] = lambda _: None
) -> list[Document]:
    rows = []
    counts = sorted({*SWEPT_BINS, order.n_bins})
    for done, calibrator in enumerate(halves.calibrators, start=1):
        try:
            pair = halves.fit(calibrator, with_features=False)
            found = [_describe_apgr(_measure_bins(pair, order, n_bins)) for n_bins in counts]
        except CascadeRefusedError as refusal:
            found = [{"undefined": str(refusal)}] * len(counts)
        rows += [
            {"calibrator": calibrator, "bins": n_bins, "apgr": apgr}
            for n_bins, apgr in zip(counts, found, strict=True)
        ]
        tell(done)
    return rows


def _measure_bins(pair: FittedPair, order: Order, n_bins: int) -> Apgr:
    return measure_calibrated(
        pair.validation,
        pair.test,
        n_bins=n_bins,
        keys=np.array(pair.keys),
        rng=np.random.default_rng(order.seed),
    )


def _describe_halves(halves: Halves, order: Order) -> Document:
    calibrator = order.calibrator or halves.calibrators[0]
    pair = halves.fit(calibrator)
    found = _compare(pair, order, pair.test)
    document = _describe(found, pair.test)
    document["original"] = None
    if pair.original is not None:
        before = _compare(pair, order, pair.original)
        document["original"] = {
            **_describe(before, pair.original),
            "change": _describe_change(found, before, pair),
        }
    fitted, test = halves.fitted.dataset, halves.test.dataset
    document["settings"] = _describe_settings(order, calibrator, fitted, test)
    document["items"] = {"validation": pair.validation.n_items, "test": pair.test.n_items}
    document["notes"] = halves.notes
    document["warnings"] = [
        *halves.warnings,
        *find_warnings(halves.labels, order.experts, [fitted, test]),
    ]
    return document


def _describe_settings(
    order: Order, calibrator: AnswerCalibrator, fitted: Dataset, test: Dataset
) -> Document:
    return {
        "dataset": fitted.slug,
        "test_dataset": test.slug,
        "small": order.small,
        "large": order.large,
        "calibrator": calibrator,
        "bins": order.n_bins,
        "labels": order.labels,
        "policy": str(order.policy),
        "seed": order.seed,
    }


def _compare(pair: FittedPair, order: Order, test: PairScores) -> Comparison:
    return compare_routers(
        pair.validation,
        test,
        n_bins=order.n_bins,
        keys=np.array(pair.keys),
        calibrators=pair.calibrators,
        rng=np.random.default_rng(order.seed),
    )


def find_warnings(
    labels: EvaluationLabels, experts: Sequence[str], datasets: Sequence[Dataset]
) -> list[str]:
    """Return what a reader must not overlook."""
    warnings = [
        f"{expert} flagged items for these cleaned labels: its accuracy on them is flattered by "
        "its own flags"
        for expert in experts
        if expert in labels.flagged_by
    ]
    stored = ScoreSet.objects.filter(dataset__in=datasets, expert__in=experts).order_by("pk")
    rows = stored.values_list("expert", "parameters")
    told = [f"{name}: {facts['notice']}" for name, facts in rows if facts.get("notice")]
    return [*warnings, *dict.fromkeys(told)]


def _describe(found: Comparison, test: PairScores) -> Document:
    apgr = {name: _describe_apgr(each) for name, each in found.apgr.items()}
    apgr |= {name: {"undefined": reason} for name, reason in found.skipped.items()}
    small, large = found.accuracy
    difference, p_value = found.against_large
    return {
        "curves": {
            name: _describe_curve(found.curves.get(name), found.bands.get(name)) for name in ROUTERS
        },
        "apgr": {name: apgr[name] for name in ROUTERS},
        "ahead": {name: describe_interval(each) for name, each in found.ahead.items()},
        "models": {"small": small, "large": large},
        "model_limits": {
            "small": _limits(small, test.n_items),
            "large": _limits(large, test.n_items),
        },
        "best": {
            "small_ratio": found.best.small_ratio,
            "accuracy": found.best.accuracy,
            "p_value": found.best.p_value,
            "k": found.cascade.k,
            **_limits(found.best.accuracy, test.n_items),
            "against_large": {**describe_interval(difference), "p_value": p_value},
        },
        "cascade": found.cascade.to_json(),
    }


def _describe_change(after: Comparison, before: Comparison, pair: FittedPair) -> Document:
    """Return what the labels changed in each accuracy, on the same items."""
    if pair.original is None:
        return {}
    outcomes: Mapping[str, tuple[Any, Any]] = {
        "small": (pair.test.small_correct, pair.original.small_correct),
        "large": (pair.test.large_correct, pair.original.large_correct),
        "best": (after.best_correct, before.best_correct),
    }
    return {name: describe_interval(paired_difference(*each)) for name, each in outcomes.items()}


def _limits(share: float, n_items: int) -> dict[str, float]:
    limits = wilson(round(share * n_items), n_items)
    return {"low": limits.low, "high": limits.high}


def describe_interval(interval: Interval) -> Document:
    """Return an estimate with its limits as JSON."""
    return {"estimate": interval.estimate, "low": interval.low, "high": interval.high}


def _describe_curve(
    curve: CascadeCurve | None, band: tuple[Floats, Floats] | None
) -> list[dict[str, float]]:
    if curve is None:
        return []
    columns = {"small_ratio": curve.small_ratio, "accuracy": curve.accuracy}
    if band is not None:
        columns |= {"low": band[0], "high": band[1]}
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _describe_apgr(apgr: Apgr) -> Document:
    if apgr.undefined:
        return {"undefined": apgr.undefined}
    return {"estimate": apgr.estimate, "low": apgr.low, "high": apgr.high}
