"""Confidence intervals for shares: Wilson for one sample, MOVER for what is made of several.

Wilson (1927); Brown, Cai and DasGupta (2001) for what Wilson's limits lack next to 0 and 1; Franco,
Little, Louis and Slud (2019) for effective sizes; Korn and Graubard (1998) for limits that err on
the wide side; Zou and Donner (2008) for MOVER, which builds the interval of a combination from the
intervals of its parts.

`scipy.special` is written out here and in the modules that use it beside: scipy loads it, which
takes 20 MB, when it is first used, and a web process that only serves desks never does.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isinf, log, sqrt
from typing import Literal, TypeAlias

import scipy

IntervalMethod: TypeAlias = Literal["wilson", "korn_graubard"]
"""``wilson`` (the modified one) covers as often as it says on average, ``korn_graubard`` at least
as often."""

FEW = 3.0
"""Effective draws of one kind up to which Wilson's limit on their side is not trusted."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate between two limits; ``estimate`` is None where nothing was observed.

    ``census``: everything was looked at, so there is no sampling error and the width is zero.
    """

    estimate: float | None
    low: float
    high: float
    census: bool = False

    @property
    def width(self) -> float:
        return self.high - self.low


def wilson(
    successes: float,
    n: float,
    *,
    confidence: float = 0.95,
    population: float | None = None,
) -> Interval:
    """Return Wilson's score interval for a share, given ``successes`` among ``n`` draws.

    With ``population`` the draws were made without replacement from that many: the interval
    narrows as if there were n / (1 - n / population) draws, never excludes what was already seen,
    and has no width once all are drawn. Without draws: no estimate, limits 0 and 1.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"successes must lie in 0..{n}, got {successes}")
    if population is not None and n > population:
        raise ValueError(f"{n} draws do not fit a population of {population}")
    if n == 0:
        return Interval(None, 0.0, 1.0)
    if population is None:
        return wilson_effective(successes / n, n, confidence=confidence)
    if n == population:
        return wilson_effective(successes / n, inf, confidence=confidence)
    wide = wilson_effective(successes / n, n / (1 - n / population), confidence=confidence)
    seen, unseen = successes / population, (population - n) / population
    return Interval(wide.estimate, max(wide.low, seen), min(wide.high, seen + unseen))


def wilson_effective(share: float, n_effective: float, *, confidence: float = 0.95) -> Interval:
    """Return Wilson's interval around ``share`` as if from ``n_effective`` independent draws.

    For a stratified sample n_effective = share (1 - share) / variance. Infinity means a census.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must lie in [0, 1], got {share}")
    if not n_effective > 0:
        raise ValueError(f"the effective sample size must be positive, got {n_effective}")
    if isinf(n_effective):
        return Interval(share, share, share, census=True)
    z = z_value(confidence)
    shrink = 1 + z * z / n_effective
    middle = (share + z * z / (2 * n_effective)) / shrink
    variance = share * (1 - share) / n_effective + z * z / (4 * n_effective * n_effective)
    half = z * sqrt(variance) / shrink
    # At 0 and 1 the limit is exact; rounding must not move it past the estimate.
    low = 0.0 if share == 0 else min(max(middle - half, 0.0), share)
    high = 1.0 if share == 1 else max(min(middle + half, 1.0), share)
    return Interval(share, low, high)


def modified_wilson(share: float, n_effective: float, *, confidence: float = 0.95) -> Interval:
    """Return Wilson's interval, wider where hardly a success or hardly a failure was drawn.

    Of nearly pure sets Wilson's nearer limit is passed too often: with one failure among ten, one
    true share in twelve. Where the draws of one kind, x = ``n_effective`` times their share, are
    above 0 and at most ``FEW``, the limit on their side becomes Poisson's one-sided one,
    chi-square(2x) quantile / (2 n_effective) (Brown, Cai and DasGupta 2001, Section 4.1.1).
    """
    limits = wilson_effective(share, n_effective, confidence=confidence)
    if limits.census:
        return limits
    low, high = limits.low, limits.high
    passed, failed = n_effective * share, n_effective * (1 - share)
    if 0 < passed <= FEW:
        low = min(low, float(scipy.special.gammaincinv(passed, 1 - confidence)) / n_effective)
    if 0 < failed <= FEW:
        high = max(high, 1 - float(scipy.special.gammaincinv(failed, 1 - confidence)) / n_effective)
    return Interval(share, low, min(high, 1.0))


def korn_graubard(
    share: float,
    n_effective: float,
    *,
    n_judged: float,
    n_strata: int = 1,
    population: float = inf,
    confidence: float = 0.95,
) -> Interval:
    """Return Clopper and Pearson's exact interval around ``share`` at an effective sample size.

    Korn and Graubard (1998): ``n_effective`` = share (1 - share) / variance, times (t(n - 1) /
    t(n - H))^2 for a variance estimated within ``n_strata`` H strata. Never more than ``n_judged``
    draws without replacement from ``population`` are worth, n / (1 - n / N), so that strata which
    happen to be pure can't promise more. Infinity, or all judged, means a census.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must lie in [0, 1], got {share}")
    if not (n_effective > 0 and n_judged > 0 and n_strata > 0 and n_judged <= population):
        raise ValueError(
            "the effective size, the judged items and the strata must be positive, and the "
            f"population hold the judged, got {n_effective}, {n_judged}, {n_strata}, {population}"
        )
    if isinf(n_effective) or n_judged == population:
        return Interval(share, share, share, census=True)
    tail = (1 - confidence) / 2
    # Strata of one item leave no degree of freedom; one is the widest that t has.
    degrees = max(n_judged - n_strata, 1.0)
    widest = scipy.special.stdtrit(degrees, tail)
    shrink = scipy.special.stdtrit(max(n_judged - 1, 1.0), tail) / widest
    n = min(n_effective * shrink**2, n_judged / (1 - n_judged / population))
    found, cleared = n * share, n * (1 - share)
    low = 0.0 if share == 0 else float(scipy.special.betaincinv(found, cleared + 1, tail))
    high = 1.0 if share == 1 else float(scipy.special.betaincinv(found + 1, cleared, 1 - tail))
    return Interval(share, min(low, share), max(high, share))


def mover_sum(parts: list[Interval]) -> Interval:
    """Return the interval of the sum of independent estimates, from their own intervals."""
    known = [part.estimate for part in parts if part.estimate is not None]
    if not parts or len(known) != len(parts):
        return Interval(None, sum(part.low for part in parts), sum(part.high for part in parts))
    total = sum(known)
    below = sqrt(sum((e - part.low) ** 2 for e, part in zip(known, parts, strict=True)))
    above = sqrt(sum((part.high - e) ** 2 for e, part in zip(known, parts, strict=True)))
    return Interval(total, max(total - below, 0.0), total + above, all(p.census for p in parts))


def mover_difference(first: Interval, second: Interval, correlation: float = 0.0) -> Interval:
    """Return the interval of first - second, whose estimates may be correlated."""
    if first.estimate is None or second.estimate is None:
        return Interval(None, first.low - second.high, first.high - second.low)
    difference = first.estimate - second.estimate
    down, up = first.estimate - first.low, second.high - second.estimate
    below = sqrt(max(down * down + up * up - 2 * correlation * down * up, 0.0))
    up, down = first.high - first.estimate, second.estimate - second.low
    above = sqrt(max(up * up + down * down - 2 * correlation * up * down, 0.0))
    return Interval(
        difference, difference - below, difference + above, first.census and second.census
    )


def mover_ratio(part: Interval, rest: Interval) -> Interval:
    """Return the interval of part / (part + rest), for independent totals of zero and more.

    Works on the log odds ln(part) - ln(rest). Where nothing was found in the rest the upper limit
    is 1, where nothing was found in the part the lower is 0; the other limit then puts the worst
    of both together, and with nothing found at all there is no estimate.
    """
    if part.estimate is None or rest.estimate is None:
        return Interval(None, _share(part.low, rest.high), _share(part.high, rest.low, empty=1.0))
    if part.estimate == 0 and rest.estimate == 0:
        return Interval(None, 0.0, 1.0)
    estimate = part.estimate / (part.estimate + rest.estimate)
    census = part.census and rest.census
    if part.estimate == 0:
        return Interval(estimate, 0.0, _share(part.high, rest.low, empty=1.0), census)
    if rest.estimate == 0:
        return Interval(estimate, _share(part.low, rest.high), 1.0, census)
    odds = log(part.estimate) - log(rest.estimate)
    below = sqrt(_log_gap(part.low, part.estimate) ** 2 + _log_gap(rest.estimate, rest.high) ** 2)
    above = sqrt(_log_gap(part.estimate, part.high) ** 2 + _log_gap(rest.low, rest.estimate) ** 2)
    low, high = float(scipy.special.expit(odds - below)), float(scipy.special.expit(odds + above))
    # Rounding must not move a limit past the estimate.
    return Interval(estimate, min(low, estimate), max(high, estimate), census)


def widen(interval: Interval, n_together: int, *, confidence: float = 0.95) -> Interval:
    """Return limits that hold for ``n_together`` such differences at once (Bonferroni).

    Each limit is moved away from the estimate as z(1 - (1 - confidence) / n) / z(confidence) does
    for normal errors; a difference of shares stays within -1..1.
    """
    if interval.estimate is None or n_together < 1:
        return interval
    factor = z_value(1 - (1 - confidence) / n_together) / z_value(confidence)
    low = interval.estimate - factor * (interval.estimate - interval.low)
    high = interval.estimate + factor * (interval.high - interval.estimate)
    return Interval(interval.estimate, max(low, -1.0), min(high, 1.0), interval.census)


def z_value(confidence: float) -> float:
    """Return the normal quantile that leaves (1 - confidence) / 2 above it."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie in (0, 1), got {confidence}")
    return float(-scipy.special.ndtri((1 - confidence) / 2))


def _share(part: float, rest: float, *, empty: float = 0.0) -> float:
    return part / (part + rest) if part + rest > 0 else empty


def _log_gap(smaller: float, larger: float) -> float:
    """Return ln(larger / smaller); so large that the limit is 0 or 1 where ``smaller`` is 0."""
    return log(larger) - log(smaller) if smaller > 0 else 300.0
