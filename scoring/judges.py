"""A judge model beside people: its word on every item, corrected by theirs on a sample.

Prediction-powered inference (Angelopoulos et al. 2023) in strata (Fisch et al. 2024) with power
tuning (PPI++), for a finite set of items sampled without replacement: the survey statistician's
difference estimator, its slope fitted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from scoring.arrays import Floats, Mask, as_fractions, as_mask
from scoring.domain_estimates import NO_VARIANCE, UNKNOWN, JudgedSample, precision
from scoring.intervals import Interval, wilson_effective

MIN_TO_TUNE = 10
"""Judged items below which a fitted power would say more about chance than about the judge."""


@dataclass(frozen=True, slots=True)
class JudgedRate:
    """One error rate three ways, to be shown side by side.

    ``judge_only``: the judge's mean over all items, without an interval because it has no known
    error; ``people_only``: from the sampled verdicts alone; ``corrected``: the judge's mean plus
    what people find wrong with it; ``power``: how far the judge is followed, 0 (not) to 1 (fully).
    """

    judge_only: float
    people_only: Interval
    corrected: Interval
    power: float


def judged_rate(
    sample: JudgedSample,
    judge: ArrayLike,
    members: ArrayLike,
    *,
    power: float | None = None,
    confidence: float = 0.95,
) -> JudgedRate:
    """Return the share of errors in a set of items, with the judge's help.

    ``judge`` (n_items,): the judge's probability in [0, 1] that each item is an error; ``members``
    (n_items,). With people's word e and the judge's f the estimate is power * mean(f) over the set
    + the stratified mean of e - power * f over the set's judged items; by default the power is the
    slope of e on f that makes its variance least, kept in [0, 1]. Wilson's interval at the
    effective size. Where people alone can't tell, neither can the two together.
    """
    word = as_fractions(judge, "judge")
    if word.shape != sample.stratum.shape:
        raise ValueError(f"{word.size} words of the judge do not fit {sample.stratum.size} items")
    chosen = as_mask(members, word.size, "members") & (sample.stratum >= 0)
    if power is not None and not 0 <= power <= 1:
        raise ValueError(f"power must lie in [0, 1], got {power}")
    if not chosen.any():
        raise ValueError("the error rate of no items is undefined")
    alone = float(word[chosen].mean())
    people = precision(sample, chosen, confidence=confidence)
    if people.estimate is None or people.census:
        return JudgedRate(alone, people, people if people.census else UNKNOWN, 0.0)
    inside = chosen[sample.judged].astype(np.float64)
    said = word[sample.judged]
    followed = _tuned_power(sample, said, inside) if power is None else power
    size = sample.total(inside)
    gap = sample.is_error - followed * said
    correction = sample.total(gap * inside) / size
    residual = (gap - correction) * inside
    variance = sample.covariance(residual, residual) / size**2
    share = float(np.clip(followed * alone + correction, 0.0, 1.0))
    n, n_items = int(inside.sum()), int(chosen.sum())
    effective = n / (1 - n / n_items)
    if variance > NO_VARIANCE and 0 < share < 1:
        effective = share * (1 - share) / variance
    limits = wilson_effective(share, effective, confidence=confidence)
    return JudgedRate(alone, people, limits, followed)


def _tuned_power(sample: JudgedSample, said: Floats, inside: Floats) -> float:
    """Return the slope of people's word on the judge's, within strata, cut to [0, 1]."""
    if inside.sum() < MIN_TO_TUNE:
        return 0.0
    size = sample.total(inside)
    errors, words = (
        (values - sample.total(values * inside) / size) * inside
        for values in (sample.is_error, said)
    )
    spread = sample.covariance(words, words)
    if spread <= NO_VARIANCE * size**2:
        return 0.0
    return float(np.clip(sample.covariance(errors, words) / spread, 0.0, 1.0))


def gold_rates(says_error: ArrayLike, is_error: ArrayLike) -> tuple[Interval, Interval]:
    """Return a judge's or an annotator's sensitivity and specificity on gold items, with Wilson's.

    Both (n_items,) booleans; ``Interval.estimate`` is None where no gold item is an error, or none
    is correct.
    """
    truth = np.asarray(is_error)
    known = as_mask(truth, truth.size, "is_error")
    said = as_mask(says_error, truth.size, "says_error")
    return _share_of(said, known), _share_of(~said, ~known)


def _share_of(hits: Mask, among: Mask) -> Interval:
    n = int(among.sum())
    if n == 0:
        return UNKNOWN
    return wilson_effective(float(hits[among].mean()), n)
