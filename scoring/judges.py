"""A judge model beside people: its word on every item, corrected by theirs on a sample.

Prediction-powered inference (Angelopoulos et al. 2023) in strata (Fisch et al. 2024) with power
tuning (PPI++), for a finite set of items sampled without replacement: the survey statistician's
difference estimator, its slope fitted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from scoring.arrays import Floats, Mask, as_fractions, as_mask
from scoring.domain_estimates import NO_VARIANCE, UNKNOWN, detection_rate, precision
from scoring.intervals import Interval, modified_wilson, mover_ratio, mover_sum, wilson_effective
from scoring.judged_sample import JudgedSample

MIN_TO_TUNE = 10
"""Judged items below which a fitted power would say more about chance than about the judge."""


@dataclass(frozen=True, slots=True)
class JudgedRate:
    """One rate three ways, to be shown side by side.

    ``judge_only``: as if the judge were right on all items, without an interval because it has no
    known error, None where it calls nothing an error; ``people_only``: from the sampled verdicts
    alone; ``corrected``: the judge's word plus what people find wrong with it; ``power``: how far
    the judge is followed in the set (or its larger part), 0 (not) to 1 (fully).
    """

    judge_only: float | None
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
    limits: Callable[..., Interval] = modified_wilson,
) -> JudgedRate:
    """Return the share of errors in a set of items, with the judge's help.

    ``judge`` (n_items,): the judge's probability in [0, 1] that each item is an error; ``members``
    (n_items,). With people's word e and the judge's f the estimate is power * mean(f) over the set
    + the stratified mean of e - power * f over the set's judged items; by default the power is the
    slope of e on f that makes its variance least, kept in [0, 1]. The interval at the effective
    size is that of ``limits``. Where people alone can't tell, neither can the two together.
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
    return JudgedRate(alone, people, limits(share, effective, confidence=confidence), followed)


def judged_detection_rate(sample: JudgedSample, judge: ArrayLike, members: ArrayLike) -> JudgedRate:
    """Return the share of all errors that a set holds, with the judge's help.

    Arguments as in ``judged_rate``; all errors are those of the represented strata, as in
    ``detection_rate``. The errors inside and outside the set, each in its flagged and its
    unflagged part, are corrected rates times the known numbers of items; MOVER on the log odds of
    the two totals, which are independent since every part is estimated from its own judged items.
    """
    word = as_fractions(judge, "judge")
    if word.shape != sample.stratum.shape:
        raise ValueError(f"{word.size} words of the judge do not fit {sample.stratum.size} items")
    everything = sample.is_known if sample.is_known.any() else sample.stratum >= 0
    chosen = as_mask(members, word.size, "members") & everything
    called = float(word[everything].sum())
    alone = float(word[chosen].sum()) / called if called else None
    people = detection_rate(sample, chosen)
    if people.census:
        return JudgedRate(alone, people, people, 0.0)
    inside, power = _corrected_total(sample, word, chosen)
    outside, _ = _corrected_total(sample, word, everything & ~chosen)
    return JudgedRate(alone, people, mover_ratio(inside, outside), power)


def _corrected_total(sample: JudgedSample, word: Floats, members: Mask) -> tuple[Interval, float]:
    """Return the errors in a set, and how far the judge is followed in its larger part."""
    is_flagged = np.append(sample.is_flagged, False)[sample.stratum]
    parts = [part for part in (members & is_flagged, members & ~is_flagged) if part.any()]
    if not parts:
        return Interval(0.0, 0.0, 0.0, census=True), 0.0
    # As for people alone: the parts of a combination get Wilson's own limits.
    rates = [judged_rate(sample, word, part, limits=wilson_effective) for part in parts]
    totals = [
        _scaled(rate.corrected, int(part.sum())) for rate, part in zip(rates, parts, strict=True)
    ]
    largest = max(range(len(parts)), key=lambda place: int(parts[place].sum()))
    return mover_sum(totals), rates[largest].power


def _scaled(share: Interval, n_items: int) -> Interval:
    estimate = None if share.estimate is None else share.estimate * n_items
    return Interval(estimate, share.low * n_items, share.high * n_items, share.census)


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
