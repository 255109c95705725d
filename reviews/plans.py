"""How many more verdicts a narrower interval takes, and in which strata. No arithmetic here."""

from __future__ import annotations

from typing import Any

import numpy as np

from audit.models import Audit
from reviews.judge_words import write_interval
from reviews.populations import Population, Strata, load_population, stratify
from reviews.truths import Truth, load_truth
from scoring.arrays import Ints, Mask
from scoring.estimates import detection_rate_curve, precision_curve
from scoring.planner import Goal, plan_judgments
from scoring.strata import Strata as JudgedStrata


class PlanRefusedError(ValueError):
    """There is nothing to plan as asked; the message says what is allowed."""


def plan_review(
    audit: Audit, truth: str, policy: str, width: float, goal: Goal, k: int | None = None
) -> dict[str, Any]:
    """Return what to judge next so that the rate of the top ``k`` bins gets that narrow.

    By default all bins. Shares of errors not yet judged are those the experts expect.
    """
    k = audit.n_bins if k is None else k
    if not 0 < width < 1:
        raise PlanRefusedError(f"a width must lie between 0 and 1, got {width}")
    if not 1 <= k <= audit.n_bins:
        raise PlanRefusedError(f"k must lie in 1..{audit.n_bins}, got {k}")
    population = load_population(audit)
    strata = stratify(audit, population)
    judged = _count_verdicts(strata, load_truth(audit, truth, policy))
    members = _strata_in(strata, population, k)
    if not members.any():
        raise PlanRefusedError(f"the top {k} bins hold no item")
    sets = members[None, :]
    now = (
        precision_curve(judged, sets)[0].precision
        if goal == "precision"
        else detection_rate_curve(judged, sets, strata.is_flagged)[0].detection_rate
    )
    plan = plan_judgments(
        judged,
        members,
        width,
        goal=goal,
        flagged=strata.is_flagged,
        guesses=_expected_shares(strata, judged),
    )
    columns = zip(strata.names, strata.sizes, judged.judged, plan.more, strict=True)
    return {
        "goal": goal,
        "k": k,
        "width": width,
        "now": write_interval(now),
        "expected": write_interval(plan.expected),
        "n_more": plan.n_more,
        "strata": [
            {"stratum": name, "items": int(size), "judged": int(seen), "more": int(more)}
            for name, size, seen, more in columns
        ],
    }


def _count_verdicts(strata: Strata, truth: Truth) -> JudgedStrata:
    def count(positions: Ints) -> Ints:
        found = strata.of_item[positions]
        return np.bincount(found[found >= 0], minlength=len(strata.names))

    return JudgedStrata.of(
        strata.sizes, count(truth.judged), count(truth.judged[truth.is_error]), count(truth.unsure)
    )


def _strata_in(strata: Strata, population: Population, k: int) -> Mask:
    """Return which strata lie in the top ``k`` bins: each lies in one bin or in none."""
    inside: Mask = np.zeros(len(strata.names), dtype=np.bool_)
    inside[strata.of_item[population.top_bins(k)]] = True
    return inside


def _expected_shares(strata: Strata, judged: JudgedStrata) -> Any:
    """Return each stratum's expected share of errors: the verdicts', the experts' where none is."""
    counted = (judged.errors + strata.error_guess) / (judged.judged + 1)
    return np.clip(counted, 0.0, 1.0)
