"""Precision against detection rate, its bootstrap, and the picture of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scoring.arrays import Floats, Ints
from tests.benchmarks.ranking_sets import Truth

RATES = tuple(tenth / 10 for tenth in range(1, 10))
FINE_RATES = tuple(percent / 100 for percent in range(2, 100, 2))


@dataclass(frozen=True, slots=True)
class Curve:
    """``precision``: at each of ``RATES``, NaN where the queue ends before; ``fine``: at more."""

    precision: Floats
    fine: Floats
    average_precision: float

    @property
    def heights(self) -> Floats:
        """Return the precisions and then average precision."""
        return np.append(self.precision, self.average_precision)

    @classmethod
    def mean(cls, curves: Sequence[Curve]) -> Curve:
        """Return the mean over draws; NaN where any draw ends before."""
        return cls(
            precision=np.mean([curve.precision for curve in curves], axis=0),
            fine=np.mean([curve.fine for curve in curves], axis=0),
            average_precision=float(np.mean([curve.average_precision for curve in curves])),
        )


def measure(score: Floats, truth: Truth) -> Curve:
    """Return the curve of the judged items by falling ``score`` (n_items,).

    The queue is read until it holds that share of all errors judged. Items that score minus
    infinity are not in the queue; their errors count as missed, at no precision.
    """
    order = _queue(score, truth)
    weight = np.ones(truth.is_error.size)
    return Curve(
        precision=_precision_at(RATES, order, truth, weight),
        fine=_precision_at(FINE_RATES, order, truth, weight),
        average_precision=_average_precision(order, truth, weight),
    )


def bootstrap_differences(
    draws: Sequence[tuple[dict[str, Floats], Truth]],
    name: str,
    others: Sequence[str],
    n_bootstraps: int,
    rng: np.random.Generator,
) -> tuple[Floats, Floats]:
    """Return the 95 % interval of ``name`` less each of ``others``, (n_others, n_rates + 1) each.

    The last column is average precision. Items are drawn again with replacement, the same for
    both rankings; several draws of one set are averaged.
    """
    gaps = np.full((n_bootstraps, len(others), len(RATES) + 1), np.nan)
    orders = [
        {each: _queue(scores[each], truth) for each in (name, *others)} for scores, truth in draws
    ]
    for repeat in range(n_bootstraps):
        per_draw = []
        for (_, truth), order in zip(draws, orders, strict=True):
            weight = np.zeros(truth.is_error.size)
            judged = np.flatnonzero(truth.known)
            weight[judged] = rng.multinomial(judged.size, np.full(judged.size, 1 / judged.size))
            ours = _heights(order[name], truth, weight)
            per_draw.append([ours - _heights(order[each], truth, weight) for each in others])
        gaps[repeat] = np.mean(per_draw, axis=0)
    low, high = np.full(gaps.shape[1:], np.nan), np.full(gaps.shape[1:], np.nan)
    known = (~np.isnan(gaps)).mean(axis=0) > 0.5  # queues that mostly end before have no interval
    low[known], high[known] = np.nanpercentile(gaps[:, known], [2.5, 97.5], axis=0)
    return low, high


def draw_picture(cases: dict[tuple[str, str], dict[str, Curve]], path: Path) -> None:
    """Write one SVG with a panel of curves per case."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "ranking", "font.size": 9})
    figure, panels = plt.subplots(1, len(cases), figsize=(3.4 * len(cases), 3.4))
    for panel, ((family, truth), by_name) in zip(panels, cases.items(), strict=True):
        for number, (name, curve) in enumerate(by_name.items()):
            width, style = (2.2, "-") if number == 0 else (1.2, ("--", ":", "-.", "-")[number - 1])
            panel.plot(FINE_RATES, curve.fine, style, linewidth=width, label=name)
        panel.set_title(f"{family}, {truth}")
        panel.set_xlabel("detection rate")
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("precision")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="lower center", ncols=3)
    figure.tight_layout(rect=(0, 0.14, 1, 1))
    figure.savefig(path, metadata={"Date": None, "Creator": None})


def _queue(score: Floats, truth: Truth) -> Ints:
    """Return the judged items that have a score, highest first, ties by position."""
    items = np.flatnonzero(truth.known & np.isfinite(score))
    order: Ints = items[np.argsort(-score[items], kind="stable")]
    return order


def _heights(order: Ints, truth: Truth, weight: Floats) -> Floats:
    """Return precision at ``RATES`` and then average precision."""
    return np.append(
        _precision_at(RATES, order, truth, weight), _average_precision(order, truth, weight)
    )


def _precision_at(rates: Sequence[float], order: Ints, truth: Truth, weight: Floats) -> Floats:
    found, read = _cumulated(order, truth, weight)
    n_errors = weight[truth.known & truth.is_error].sum()
    first = np.searchsorted(found, np.array(rates) * n_errors - 1e-9)
    reached = first < found.size
    precision = np.full(len(rates), np.nan)
    precision[reached] = found[first[reached]] / read[first[reached]]
    return precision


def _average_precision(order: Ints, truth: Truth, weight: Floats) -> float:
    found, read = _cumulated(order, truth, weight)
    gained = np.diff(found, prepend=0.0)
    n_errors = weight[truth.known & truth.is_error].sum()
    return float((gained * found / np.maximum(read, 1.0)).sum() / n_errors)


def _cumulated(order: Ints, truth: Truth, weight: Floats) -> tuple[Floats, Floats]:
    """Return the errors found and the items read after each place of the queue."""
    weights = weight[order]
    return np.cumsum(weights * truth.is_error[order]), np.cumsum(weights)
