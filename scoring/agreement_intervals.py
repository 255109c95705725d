"""Intervals for agreement coefficients: the bootstrap over items, drawn from patterns of votes.

Items with the same votes are exchangeable, so resampling n items is one multinomial draw of the
patterns' counts: exact, and as fast for a million items as for ten.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from scoring.agreement import (
    NO_VOTE,
    as_votes,
    cohen_kappa,
    count_votes,
    gwet_ac1,
    krippendorff_alpha,
    raw_agreement,
)
from scoring.arrays import Floats, Ints
from scoring.intervals import Interval, wilson, wilson_effective

N_RESAMPLES = 1000
COMPARABLE = 2  # votes that an item needs to say anything about agreement
FEWEST = 10  # items below which resampling pretends to know what it can't


@dataclass(frozen=True, slots=True)
class AgreementIntervals:
    """The three coefficients of one set of votes; ``n_items``: those with two votes or more."""

    raw: Interval
    krippendorff_alpha: Interval
    gwet_ac1: Interval
    n_items: int


def agreement_intervals(
    votes: ArrayLike, n_categories: int, *, rng: np.random.Generator, confidence: float = 0.95
) -> AgreementIntervals:
    """Return raw agreement, Krippendorff's alpha and Gwet's AC1 with percentile intervals.

    ``votes`` (n_items, n_annotators), -1 for a missing vote. No estimate, limits -1 (0 for the raw
    agreement) and 1, where a coefficient is undefined. Where no two votes differ, resampling has
    no width: the lower limit is then the coefficient at Wilson's lower limit of the agreement.
    Of fewer than ten items only the raw agreement has limits closer than everything possible.
    """
    counts = count_votes(votes, n_categories)
    counts = counts[counts.sum(axis=1) > 0]
    several = counts[counts.sum(axis=1) >= COMPARABLE]
    raw = raw_agreement(votes)
    n_agreeing = float(raw * len(several)) if raw is not None else 0.0
    least = wilson(n_agreeing, len(several), confidence=confidence).low
    patterns, weights = _resample(counts, rng)
    drawn = _coefficients(patterns, weights)
    estimates = (raw, krippendorff_alpha(votes), gwet_ac1(votes, n_categories))
    intervals = []
    chances = (0.0, *_chance_agreements(several, n_categories))
    floors = (0.0, -1.0, -1.0)
    for estimate, values, chance, floor in zip(estimates, drawn, chances, floors, strict=True):
        if estimate is None:
            intervals.append(Interval(None, floor, 1.0))
        elif len(several) < FEWEST:
            few = wilson_effective(estimate, len(several)) if floor == 0.0 else None
            intervals.append(few or Interval(estimate, floor, 1.0))
        elif raw == 1.0:
            # (A - E) / (1 - E) is 1 at A = 1 whatever E, the agreement by chance, is.
            intervals.append(Interval(estimate, (least - chance) / (1 - chance), 1.0))
        else:
            intervals.append(_percentiles(estimate, values, confidence, floor))
    return AgreementIntervals(intervals[0], intervals[1], intervals[2], len(several))


def kappa_interval(
    first: ArrayLike, second: ArrayLike, *, rng: np.random.Generator, confidence: float = 0.95
) -> Interval:
    """Return Cohen's kappa of two annotators with its percentile interval, as above."""
    votes = as_votes(np.stack([np.asarray(first), np.asarray(second)], axis=1))
    both = votes[(votes != NO_VOTE).all(axis=1)]
    estimate = cohen_kappa(first, second)
    if estimate is None:
        return Interval(None, -1.0, 1.0)
    if len(both) < FEWEST:
        return Interval(estimate, -1.0, 1.0)
    n = int(both.max()) + 1
    cells = np.bincount(both[:, 0] * n + both[:, 1], minlength=n * n)
    drawn = rng.multinomial(len(both), cells / len(both), size=N_RESAMPLES)
    tables = drawn.reshape(-1, n, n) / len(both)
    agreement = np.trace(tables, axis1=1, axis2=2)
    expected = (tables.sum(axis=2) * tables.sum(axis=1)).sum(axis=1)
    if (both[:, 0] == both[:, 1]).all():
        share = np.bincount(both[:, 0], minlength=n) / len(both)
        chance = float((share**2).sum())
        low = (wilson(len(both), len(both), confidence=confidence).low - chance) / (1 - chance)
        return Interval(estimate, low, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = (agreement - expected) / (1 - expected)
    return _percentiles(estimate, values, confidence, -1.0)


def _resample(counts: Ints, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return the distinct patterns of votes and how often each is drawn, (n_resamples, n)."""
    if not len(counts):
        return np.zeros((0, counts.shape[1])), np.zeros((N_RESAMPLES, 0))
    patterns, seen = np.unique(counts, axis=0, return_counts=True)
    weights = rng.multinomial(len(counts), seen / len(counts), size=N_RESAMPLES)
    return patterns.astype(np.float64), weights.astype(np.float64)


def _coefficients(patterns: Floats, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """Return raw agreement, alpha and AC1 of every resample, NaN where undefined."""
    n_votes = patterns.sum(axis=1)
    several = n_votes >= COMPARABLE
    pairs = (patterns * (patterns - 1)).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        agreeing = np.where(several, pairs / (n_votes * (n_votes - 1)), 0.0)
        matches = np.where(several, pairs / (n_votes - 1), 0.0)
        raw = weights @ agreeing / (weights @ several)
        of_category = weights @ (patterns * several[:, None])
        total = of_category.sum(axis=1)
        expected = (total**2 - (of_category**2).sum(axis=1)) / (total - 1)
        alpha = 1 - (total - weights @ matches) / expected
        share = weights @ (patterns / n_votes[:, None]) / weights.sum(axis=1, keepdims=True)
        chance = (share * (1 - share)).sum(axis=1) / max(patterns.shape[1] - 1, 1)
        ac1 = (raw - chance) / (1 - chance)
    return raw, alpha, ac1


def _chance_agreements(several: Ints, n_categories: int) -> tuple[float, float]:
    """Return the agreement by chance as Krippendorff and as Gwet see it."""
    total = several.sum()
    if total < COMPARABLE:
        return 0.0, 0.0
    of_category = several.sum(axis=0)
    same = float((of_category * (of_category - 1)).sum() / (total * (total - 1)))
    share = of_category / total
    return same, float((share * (1 - share)).sum()) / max(n_categories - 1, 1)


def _percentiles(estimate: float, values: Floats, confidence: float, floor: float) -> Interval:
    defined = values[np.isfinite(values)]
    if defined.size < N_RESAMPLES / 2:
        return Interval(estimate, floor, 1.0)
    tail = (1 - confidence) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Interval(estimate, min(float(low), estimate), max(float(high), estimate))
