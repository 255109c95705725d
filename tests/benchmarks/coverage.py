"""Prints how often each interval that is offered holds the truth, in the designs it is meant for.

`python -m tests.benchmarks.coverage --runs 1000`: samples of verdicts (15 bins of 152 items,
precision .95 to .35, and 22,641 unflagged items with 2 % errors; then bins that are nearly pure,
and bins that are not), calibration errors, cascades, and rates seen through erring annotators.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from scoring.agreement import rogan_gladen
from scoring.arrays import Floats, Ints, Mask
from scoring.bands import precision_band
from scoring.cascade_measures import measure_apgr
from scoring.differences import detection_difference, precision_difference
from scoring.domain_estimates import detection_rate, precision
from scoring.ece_intervals import ece_interval
from scoring.equal_detection import precision_at_detection
from scoring.estimates import detection_rate_curve, method_difference, precision_curve
from scoring.intervals import Interval
from scoring.judged_sample import JudgedSample
from scoring.judges import judged_detection_rate, judged_rate
from scoring.strata import Strata

N_BINS = 15
N_UNFLAGGED = 22_641
UNFLAGGED_ERRORS = 0.02
SENSITIVITY, SPECIFICITY = 0.8, 0.95

Trial = tuple[str, float, Interval]


@dataclass(frozen=True, slots=True)
class Design:
    """One population and how much of it is judged."""

    name: str
    per_bin: int
    first: float
    last: float
    judged_per_bin: int
    judged_unflagged: int

    def population(self, rng: np.random.Generator) -> Population:
        """Return the items: every stratum has exactly its share of errors."""
        stratum = np.repeat(np.arange(N_BINS + 1), [self.per_bin] * N_BINS + [N_UNFLAGGED])
        rates = np.append(np.linspace(self.first, self.last, N_BINS), UNFLAGGED_ERRORS)
        sizes = np.bincount(stratum)
        within = np.concatenate([np.arange(size) for size in sizes])
        is_error = within < np.round(sizes * rates)[stratum]
        second = rng.random(stratum.size) < np.where(is_error, 0.6, 0.1) * (stratum < N_BINS)
        says = rng.random(stratum.size) < np.where(is_error, SENSITIVITY, 1 - SPECIFICITY)
        ranks = np.empty(stratum.size, dtype=np.int64)
        ranks[np.lexsort((rng.random(stratum.size), stratum))] = np.arange(1, stratum.size + 1)
        return Population(stratum, is_error, second, says.astype(np.float64), ranks)


@dataclass(frozen=True, slots=True)
class Population:
    """Items by stratum; what a ``second`` method flags cuts through strata; a ``judge``'s word.

    ``ranks``: places of all items, from 1 on, stratum by stratum and within them by chance.
    """

    stratum: Ints
    is_error: Mask
    second: Mask
    judge: Floats
    ranks: Ints

    def precision(self, members: Mask) -> float:
        return float(self.is_error[members].mean())

    def detection(self, members: Mask) -> float:
        return float((self.is_error & members).sum() / self.is_error.sum())


DESIGNS = (
    *(Design(f"{n} per bin", 152, 0.95, 0.35, n, 300) for n in (10, 20, 40, 80)),
    *(Design(f"nearly pure, {n} per bin", 152, 1.0, 0.8, n, 300) for n in (10, 40)),
    *(Design(f"few errors, {n} per bin", 152, 0.4, 0.1, n, 300) for n in (10, 40)),
    Design("40 per bin, 100 unflagged", 152, 0.95, 0.35, 40, 100),
    Design("40 per bin, 1000 unflagged", 152, 0.95, 0.35, 40, 1000),
)


def measure_coverage(design: Design, n_runs: int, rng: np.random.Generator) -> dict[str, float]:
    """Return per interval the share of samples whose interval holds the truth."""
    items = design.population(rng)
    sets = [items.stratum < k for k in range(1, N_BINS + 1)]
    places = [np.flatnonzero(items.stratum == number) for number in range(N_BINS + 1)]
    counts = [design.judged_per_bin] * N_BINS + [design.judged_unflagged]
    held: dict[str, int] = {}
    for _ in range(n_runs):
        judged = np.concatenate(
            [rng.choice(place, n, replace=False) for place, n in zip(places, counts, strict=True)]
        )
        sample = JudgedSample.build(
            items.stratum, [True] * N_BINS + [False], judged, items.is_error[judged]
        )
        for name, truth, interval in (*_items(items, sample, sets), *_strata(items, judged)):
            held[name] = held.get(name, 0) + holds(interval, truth)
        band = precision_band(sample, sets, rng=rng)
        curve = zip(band, map(items.precision, sets), strict=True)
        held["band"] = held.get("band", 0) + all(holds(*point) for point in curve)
    return {name: count / n_runs for name, count in held.items()}


def _items(items: Population, sample: JudgedSample, sets: list[Mask]) -> Iterator[Trial]:
    """Yield the intervals of sets of items: P(recision) and D(etection rate) of the top k bins."""
    top, everything, second = sets[4], sets[-1], items.second
    for name, members in (("1", sets[0]), ("5", top), ("15", everything), ("cut", second)):
        yield f"P {name}", items.precision(members), precision(sample, members)
        if name != "1":
            yield f"D {name}", items.detection(members), detection_rate(sample, members)
    for name, members in (("1", sets[0]), ("15", everything)):
        wide = precision(sample, members, method="korn_graubard")
        yield f"KG {name}", items.precision(members), wide
    gap = items.precision(top) - items.precision(second)
    yield "P diff", gap, precision_difference(sample, top, second)
    gap = items.detection(top) - items.detection(second)
    yield "D diff", gap, detection_difference(sample, top, second)
    point = precision_at_detection(sample, items.ranks, 0.3)
    if point is not None:
        found = np.cumsum(items.is_error[np.argsort(items.ranks)])
        place = int(np.searchsorted(found, 0.3 * found[-1]))
        yield "P at D .3", float(found[place] / (place + 1)), point.precision
    rate = judged_rate(sample, items.judge, everything).corrected
    yield "P judge", items.precision(everything), rate
    rate = judged_detection_rate(sample, items.judge, everything).corrected
    yield "D judge", items.detection(everything), rate


def _strata(items: Population, judged: Ints) -> Iterator[Trial]:
    """Yield the same from counts per stratum alone, as the plain library offers it."""
    counts = [
        np.bincount(items.stratum[chosen], minlength=N_BINS + 1)
        for chosen in (slice(None), judged, judged[items.is_error[judged]])
    ]
    strata, bins = Strata.of(*counts), np.arange(N_BINS + 1)
    (point,) = precision_curve(strata, [bins < 5])
    yield "P strata", items.precision(items.stratum < 5), point.precision
    (rate,) = detection_rate_curve(strata, [bins < N_BINS], bins < N_BINS)
    yield "D strata", items.detection(items.stratum < N_BINS), rate.detection_rate
    gap = items.precision(items.stratum < 5) - items.precision(items.stratum < N_BINS)
    yield "P nested", gap, method_difference(strata, bins < 5, bins < N_BINS)


def calibration_error(n_items: int, by: float, spread: float) -> Callable[..., Interval]:
    """Return trials of the ECE of an expert that is overconfident by so much everywhere."""

    def trial(rng: np.random.Generator) -> Interval:
        confidence = 1 - spread * rng.random(n_items)
        correct = rng.random(n_items) < confidence - by
        return ece_interval(confidence, correct, rng, n_draws=300)

    return trial


def gap_recovered(n_items: int, gap: float) -> Callable[..., Interval]:
    """Return trials of the APGR of 15 bins in which the small model gets worse and worse."""

    def trial(rng: np.random.Generator) -> Interval:
        level = rng.integers(0, N_BINS, n_items)
        small = 0.95 - 0.5 * level / N_BINS
        large = small + gap * 2 * level / N_BINS
        luck = rng.random(n_items)
        other = np.where(rng.random(n_items) < 0.6, luck, rng.random(n_items))
        found = measure_apgr(level, luck < small, other < large, N_BINS, rng=rng)
        return Interval(found.estimate, found.low or 0.0, found.high or 1.0)

    return trial


def corrected_rate(rate: float, n_items: int, n_gold: int) -> Callable[..., Interval]:
    """Return trials of an error rate seen through annotators of known sensitivity."""

    def trial(rng: np.random.Generator) -> Interval:
        seen = rate * SENSITIVITY + (1 - rate) * (1 - SPECIFICITY)
        shares = [
            rng.binomial(n, share) / n
            for share, n in ((seen, n_items), (SENSITIVITY, n_gold), (SPECIFICITY, n_gold))
        ]
        return rogan_gladen(shares[0], n_items, shares[1], n_gold, shares[2], n_gold)

    return trial


def apgr_of_all(gap: float) -> float:
    """Return the APGR of the population that ``gap_recovered`` draws from."""
    gains = gap * 2 * np.arange(N_BINS)[::-1] / N_BINS  # the worst bins go to the large one first
    recovered = np.cumsum(np.append(0.0, gains)) / gains.sum()
    return float(np.trapezoid(recovered, dx=1 / N_BINS))


OTHERS = (
    *(
        (f"ECE {by:.2f}, {n:,} items", by, calibration_error(n, by, 0.5))
        for by in (0.0, 0.02, 0.1)
        for n in (600, 5000, 25_000)
    ),
    ("ECE .02, 600 nearly sure", 0.02, calibration_error(600, 0.02, 0.04)),
    *(
        (f"APGR, gap {gap}, {n:,} items", apgr_of_all(gap), gap_recovered(n, gap))
        for gap in (0.1, 0.25)
        for n in (2000, 10_000)
    ),
    *(
        (f"corrected rate {rate}, {n} items", rate, corrected_rate(rate, n, 100))
        for rate, n in ((0.05, 1000), (0.1, 500), (0.5, 200))
    ),
)


def holds(interval: Interval, truth: float) -> bool:
    """Return whether the interval holds the truth, to within rounding."""
    return bool(interval.low - 1e-12 <= truth <= interval.high + 1e-12)


def write_table(n_runs: int, seed: int) -> Iterator[str]:
    """Yield the table's lines, one design each, as they are measured."""
    rng = np.random.default_rng(seed)
    for place, design in enumerate(DESIGNS):
        coverage = measure_coverage(design, n_runs, rng)
        if place == 0:
            yield f"{'':28}" + "".join(f"{name:>10}" for name in coverage)
        yield f"{design.name:28}" + "".join(f"{share:10.3f}" for share in coverage.values())
    for name, truth, trial in OTHERS:
        share = sum(holds(trial(rng), truth) for _ in range(n_runs)) / n_runs
        yield f"{name:28}{share:9.3f}"


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
