"""What differs between two releases of an audit: items that leave them with other labels."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from audit.models import Audit
from reviews.decisions import Action, Decision, Snapshot, decide_all, load_rulings, load_votes
from reviews.policies import ReleasePolicy

MOST_SHOWN = 500


@dataclass(frozen=True, slots=True)
class Moment:
    """A release's policy, and what had been decided by then."""

    policy: ReleasePolicy
    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class Difference:
    """One item of which two releases make something else; None where nobody had judged it."""

    position: int
    given_label: int
    before: Decision | None
    after: Decision | None

    @property
    def actions(self) -> tuple[str, str]:
        """What happens to the label in the one and in the other."""
        return _action(self.before), _action(self.after)

    def labels(self) -> tuple[list[int], list[int]]:
        """The classes that hold in the one and in the other."""
        before, after = (
            [self.given_label] if decision is None else decision.labels
            for decision in (self.before, self.after)
        )
        return before, after


def find_differences(audit: Audit, before: Moment, after: Moment) -> list[Difference]:
    """Return the items whose labels or fate differ, in the data set's order."""
    old, new = (
        decide_all(
            audit,
            moment.policy,
            load_votes(audit, moment.snapshot.judgment),
            load_rulings(audit, moment.snapshot.adjudication),
        )
        for moment in (before, after)
    )
    given = dict(
        audit.dataset.items.filter(sampled__sample__audit=audit).values_list(
            "position", "given_label"
        )
    )
    found = (
        Difference(position, given[position], old.get(position), new.get(position))
        for position in sorted(old.keys() | new.keys())
    )
    return [each for each in found if _fate(each.before) != _fate(each.after)]


def count_moves(differences: list[Difference]) -> list[tuple[str, str, int]]:
    """Return how many items go from which action to which, the commonest first."""
    counts = Counter(difference.actions for difference in differences)
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return [(before, after, count) for (before, after), count in ordered]


def describe_differences(audit: Audit, before: Moment, after: Moment) -> dict[str, Any]:
    """Return what differs as JSON: how many items, their moves, and the first of them."""
    differences = find_differences(audit, before, after)
    positions = [each.position for each in differences[:MOST_SHOWN]]
    shown = audit.dataset.items.filter(position__in=positions)
    keys = dict(shown.values_list("position", "key"))
    return {
        "items": len(differences),
        "moves": [{"from": old, "to": new, "items": n} for old, new, n in count_moves(differences)],
        "shown": [
            {"key": keys[each.position], "before": each.labels()[0], "after": each.labels()[1]}
            for each in differences[:MOST_SHOWN]
        ],
    }


def _fate(decision: Decision | None) -> Any:
    """Return what a decision does; nobody's decision keeps a label as everybody's would."""
    if decision is None or decision.action is Action.KEPT:
        return Action.KEPT
    return decision.action, decision.cleaned_label, decision.also_labels


def _action(decision: Decision | None) -> str:
    return Action.KEPT.value if decision is None else decision.action.value
