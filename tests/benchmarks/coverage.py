"""Prints how often each interval that is offered holds the truth, in the designs it is meant for.

`python -m tests.benchmarks.coverage --runs 1000`: 15 bins of 152 items, precision .95 to .35, and
22,641 unflagged items with 2 % errors; then bins that are nearly pure, and bins that are not.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from scoring.arrays import Ints, Mask
from scoring.bands import precision_band
from scoring.differences import detection_difference, precision_difference
from scoring.domain_estimates import (
    JudgedSample,
    detection_rate,
    precision,
)
from scoring.intervals import Interval

N_BINS = 15
N_UNFLAGGED = 22_641
UNFLAGGED_ERRORS = 0.02


@dataclass(frozen=True, slots=True)
class Design:
    """One population and how much of it is judged."""

    name: str
    per_bin: int
    first: float
    last: float
    judged_per_bin: int
    judged_unflagged: int

    def population(self, rng: np.random.Generator) -> tuple[Ints, Mask, Mask]:
        """Return each item's stratum, whether it is an error, and what a second method flags."""
        stratum = np.repeat(np.arange(N_BINS + 1), [self.per_bin] * N_BINS + [N_UNFLAGGED])
        rates = np.append(np.linspace(self.first, self.last, N_BINS), UNFLAGGED_ERRORS)
        sizes = np.bincount(stratum)
        within = np.concatenate([np.arange(size) for size in sizes])
        is_error = within < np.round(sizes * rates)[stratum]
        second = rng.random(stratum.size) < np.where(is_error, 0.6, 0.1) * (stratum < N_BINS)
        return stratum, is_error, second


DESIGNS = (
    *(Design(f"{n} per bin", 152, 0.95, 0.35, n, 300) for n in (10, 20, 40, 80)),
    *(Design(f"nearly pure, {n} per bin", 152, 1.0, 0.8, n, 300) for n in (10, 40)),
    *(Design(f"few errors, {n} per bin", 152, 0.4, 0.1, n, 300) for n in (10, 40)),
    Design("40 per bin, 100 unflagged", 152, 0.95, 0.35, 40, 100),
    Design("40 per bin, 1000 unflagged", 152, 0.95, 0.35, 40, 1000),
)


def measure_coverage(design: Design, n_runs: int, rng: np.random.Generator) -> dict[str, float]:
    """Return per interval the share of samples whose interval holds the truth."""
    stratum, is_error, second = design.population(rng)
    sets = [stratum < k for k in range(1, N_BINS + 1)]
    top, everything = sets[4], sets[-1]
    n_errors = is_error.sum()
    true_precision = [is_error[members].mean() for members in sets]
    true_rate = [(is_error & members).sum() / n_errors for members in (top, everything, second)]
    places = [np.flatnonzero(stratum == number) for number in range(N_BINS + 1)]
    counts = [design.judged_per_bin] * N_BINS + [design.judged_unflagged]
    held: dict[str, int] = {}
    for _ in range(n_runs):
        judged = np.concatenate(
            [rng.choice(place, n, replace=False) for place, n in zip(places, counts, strict=True)]
        )
        sample = JudgedSample.build(stratum, [True] * N_BINS + [False], judged, is_error[judged])
        truths = [
            ("P 1", true_precision[0], precision(sample, sets[0])),
            ("P 5", true_precision[4], precision(sample, top)),
            ("P 15", true_precision[-1], precision(sample, everything)),
            ("P cut", is_error[second].mean(), precision(sample, second)),
            ("KG 1", true_precision[0], precision(sample, sets[0], method="korn_graubard")),
            ("KG 15", true_precision[-1], precision(sample, everything, method="korn_graubard")),
            ("D 5", true_rate[0], detection_rate(sample, top)),
            ("D 15", true_rate[1], detection_rate(sample, everything)),
            ("D cut", true_rate[2], detection_rate(sample, second)),
            (
                "P diff",
                true_precision[4] - is_error[second].mean(),
                precision_difference(sample, top, second),
            ),
            (
                "D diff",
                true_rate[0] - true_rate[2],
                detection_difference(sample, top, second),
            ),
        ]
        for name, truth, interval in truths:
            held[name] = held.get(name, 0) + holds(interval, truth)
        band = precision_band(sample, sets, rng=rng)
        curve_held = all(holds(i, t) for i, t in zip(band, true_precision, strict=True))
        held["band"] = held.get("band", 0) + curve_held
    return {name: count / n_runs for name, count in held.items()}


def holds(interval: Interval, truth: float) -> bool:
    """Return whether the interval holds the truth, to within rounding."""
    return bool(interval.low - 1e-12 <= truth <= interval.high + 1e-12)


def write_table(n_runs: int, seed: int) -> Iterator[str]:
    """Yield the table's lines, one design each, as they are measured."""
    rng = np.random.default_rng(seed)
    for place, design in enumerate(DESIGNS):
        coverage = measure_coverage(design, n_runs, rng)
        if place == 0:
            yield f"{'':28}" + "".join(f"{name:>8}" for name in coverage)
        yield f"{design.name:28}" + "".join(f"{share:8.3f}" for share in coverage.values())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000, help="samples per design")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for line in write_table(options.runs, options.seed):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
