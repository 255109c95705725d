"""How many more judgments a target width takes, and in which strata.

The width is foreseen by the very estimators that will be used, fed with the expected verdicts, so
that plan and report can't disagree about the formula (Section 3.5's sample, planned ahead).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from scoring.allocation import neyman_weights
from scoring.arrays import Floats, Ints, Mask, as_fractions
from scoring.estimates import detection_rate_curve, precision_curve
from scoring.intervals import Interval, IntervalMethod
from scoring.strata import MIN_JUDGED, Strata

Goal: TypeAlias = Literal["precision", "detection_rate"]

N_HALVINGS = 50
"""Steps of the search for the smallest allocation; its scale is then exact to 1e-15."""


@dataclass(frozen=True, slots=True)
class JudgmentPlan:
    """Judgments still to be made: ``more`` (n_strata,), and the interval ``expected`` with them.

    ``expected``: were the verdicts as foreseen; half of all samples come out a little wider.
    """

    more: Ints
    expected: Interval

    @property
    def n_more(self) -> int:
        return int(self.more.sum())


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is planned for: strata, the set ``members`` and all flags (n_strata,), the guesses."""

    strata: Strata
    members: Mask
    flagged: Mask
    guesses: Floats
    goal: Goal
    confidence: float
    method: IntervalMethod

    def expect(self, judged: Ints) -> Interval:
        """Return the interval to be expected from this many judgments, (n_strata,)."""
        seen = Strata.of(self.strata.population, judged, judged * self.guesses)
        sets = self.members[None, :]
        if self.goal == "precision":
            (point,) = precision_curve(seen, sets, confidence=self.confidence, method=self.method)
            return point.precision
        (rate,) = detection_rate_curve(seen, sets, self.flagged, confidence=self.confidence)
        return rate.detection_rate

    def weights(self) -> Floats:
        """Return Neyman's weights of the strata for the goal, (n_strata,).

        Precision: N_h sqrt(p_h (1 - p_h)) inside the set. Detection rate: the variance of
        ln E - ln R is Var(E) / E^2 + Var(R) / R^2, so each side's weights are divided by its
        expected errors.
        """
        weights = neyman_weights(self.strata.population, self.guesses)
        if self.goal == "precision":
            return np.where(self.members, weights, 0.0)
        errors = self.strata.population * self.guesses
        inside, outside = errors[self.members].sum(), errors[~self.members].sum()
        # A side without strata has no errors, and no weights either.
        errors_of_side = np.where(self.members, max(inside, 1e-300), max(outside, 1e-300))
        per_error: Floats = weights / errors_of_side
        return per_error

    def needed(self, scale: float) -> Ints:
        """Return the judgments per stratum, old ones included: ``scale`` x weight, within limits.

        Never fewer than were made, never more than the stratum holds, and in a stratum that
        matters at least two, without which it could not speak for itself.
        """
        weights = self.weights()
        # Unsure items are spent: the rest of a stratum is all that can still be judged.
        room = self.strata.population - self.strata.unsure
        least = np.where(weights > 0, np.minimum(MIN_JUDGED, room), 0)
        least = np.maximum(least, self.strata.judged)
        wanted = np.ceil(np.minimum(scale * weights, room))
        needed: Ints = np.maximum(wanted, least).astype(np.int64)
        return needed


def plan_judgments(
    strata: Strata,
    members: ArrayLike,
    target_width: float,
    *,
    goal: Goal = "precision",
    flagged: ArrayLike | None = None,
    guesses: ArrayLike | None = None,
    confidence: float = 0.95,
    method: IntervalMethod = "wilson",
) -> JudgmentPlan:
    """Return the fewest further judgments that bring the expected width to ``target_width``.

    ``members`` (n_strata,): the set, for instance the top-k bins; ``flagged`` (n_strata,): strata
    that some method flags, by default those of the set. ``guesses`` (n_strata,): expected shares
    of errors, by default (errors + 1/2) / (judged + 1), which is 1/2 where nobody has judged.
    Neyman allocation (Cochran 1977, Section 5.5) n_h = max(judged, scale x weight), at most N_h;
    the smallest scale that suffices. Where unsure items keep even the largest sample wider than
    the target, the plan is to judge all there is; ``expected`` tells. ``method`` is precision's.
    """
    if not 0 < target_width < 1:
        raise ValueError(f"a target width must lie in (0, 1), got {target_width}")
    n_strata = strata.population.size
    inside = _as_strata(members, n_strata, "members")
    if not strata.population[inside].any():
        raise ValueError("the set holds no item")
    outlook = Outlook(
        strata=strata,
        members=inside,
        flagged=inside if flagged is None else _as_strata(flagged, n_strata, "flagged"),
        guesses=_guess_shares(strata, guesses),
        goal=goal,
        confidence=confidence,
        method=method,
    )
    if outlook.expect(outlook.needed(0.0)).width <= target_width:
        scale = 0.0
    else:
        scale = _smallest_scale(outlook, target_width)
    needed = outlook.needed(scale)
    return JudgmentPlan(needed - strata.judged.astype(np.int64), outlook.expect(needed))


def _smallest_scale(outlook: Outlook, target_width: float) -> float:
    """Return the smallest scale that reaches the width, or one at which all is judged."""
    weights = outlook.weights()
    matters = weights > 0
    low, high = 0.0, float((outlook.strata.population[matters] / weights[matters]).max())
    # Strata differ by many powers of ten: halving the logarithm finds small scales too.
    low = high * 1e-12
    for _ in range(N_HALVINGS):
        middle = float(np.sqrt(low * high))
        if outlook.expect(outlook.needed(middle)).width <= target_width:
            high = middle
        else:
            low = middle
    return high


def _guess_shares(strata: Strata, guesses: ArrayLike | None) -> Floats:
    """Return an expected share of errors per stratum, away from 0 and 1 by half an item."""
    if guesses is None:
        shares = (strata.errors + 0.5) / (strata.judged + 1)
    else:
        shares = as_fractions(guesses, "guesses")
        if shares.shape != strata.population.shape:
            raise ValueError(f"{shares.size} guesses do not fit {strata.population.size} strata")
    # A stratum believed to be pure would never be looked at, and could never prove it wrong.
    edge = 0.5 / np.maximum(strata.population, 1)
    clipped: Floats = np.clip(shares, edge, 1 - edge)
    return clipped


def _as_strata(values: ArrayLike, n_strata: int, name: str) -> Mask:
    marks = np.asarray(values, dtype=np.bool_)
    if marks.shape != (n_strata,):
        raise ValueError(f"{name} must be boolean ({n_strata},), got shape {marks.shape}")
    return marks
