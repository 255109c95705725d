"""How far seeing label and experts first sways verdicts: both arms beside each other."""

from __future__ import annotations

from collections import Counter
from typing import Any

from audit.models import Audit
from reviews.models import Judgment, Mode, Stage
from reviews.policies import AnyPolicy, find_policy
from reviews.truths import is_error_by
from scoring.intervals import Interval, mover_difference, wilson


def describe_first_sight(audit: Audit, policy: AnyPolicy) -> dict[str, Any]:
    """Return how the verdicts came about: how many at which desk, and what the arms differ by.

    An (item, annotator) pair falls into the revealed arm by chance, so that the difference of
    the two shares of label errors is what seeing label and experts does. It is None until both
    arms hold a sure verdict.
    """
    policy = find_policy(policy, audit.dataset.project_id)
    rows = Judgment.objects.first_sight().filter(slot__sample__audit=audit).order_by()
    given = Counter(rows.values_list("mode", "stage", "verdict"))
    arms = {stage: _describe_arm(given, stage, policy) for stage in (Stage.BLIND, Stage.REVEALED)}
    shares = [arm.pop("interval") for arm in arms.values()]
    difference = None
    if all(arm["judged"] for arm in arms.values()):
        difference = _write(mover_difference(shares[1], shares[0]))
    return {
        "quick": sum(n for (mode, _, _), n in given.items() if mode == Mode.QUICK),
        "blind": arms[Stage.BLIND],
        "revealed": arms[Stage.REVEALED],
        "revealed_minus_blind": difference,
    }


def _describe_arm(
    given: Counter[tuple[str, str, str]], stage: Stage, policy: AnyPolicy
) -> dict[str, Any]:
    calls: Counter[bool] = Counter()
    for (mode, shown, verdict), n_verdicts in given.items():
        is_error = is_error_by(verdict, policy)
        if (mode, shown) == (Mode.FULL, stage) and is_error is not None:
            calls[is_error] += n_verdicts
    n_judged = calls.total()
    interval = wilson(calls[True], n_judged)
    return {
        "judged": n_judged,
        "errors": calls[True],
        "share": _write(interval),
        "interval": interval,
    }


def _write(interval: Interval) -> dict[str, Any]:
    return {"estimate": interval.estimate, "low": interval.low, "high": interval.high}
