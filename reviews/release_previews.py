"""What a release by a policy would change, kept while nobody decides anything more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from django.core.paginator import Page, Paginator

from audit.models import Audit, Item
from reviews.decisions import (
    WORDS,
    Action,
    Decision,
    Snapshot,
    StandingVote,
    decide_all,
    load_rulings,
    load_votes,
)
from reviews.models import SampledItem
from reviews.policies import ReleasePolicy
from reviews.release_files import name_annotators
from reviews.release_formats.base import ADJUDICATOR
from reviews.report_cache import find_kept
from reviews.reports import Document

PER_PAGE = 12


@dataclass(frozen=True, slots=True)
class ShownVote:
    """One vote behind a change; people go by the release's pseudonyms."""

    annotator: str
    verdict: str
    corrected: str


@dataclass(frozen=True, slots=True)
class ShownChange:
    """One item whose label a release would change, with everything behind it."""

    item: Item
    given: str
    cleaned: str
    also: list[str]
    action: str
    votes: list[ShownVote]


@dataclass(frozen=True, slots=True)
class Preview:
    """What a release would do, by the judgments so far."""

    policy: ReleasePolicy
    counts: list[tuple[str, int]]
    n_judged: int
    page: Page[int]
    changes: list[ShownChange]


def preview_release(audit: Audit, policy: ReleasePolicy, page: str) -> Preview | None:
    """Return what a release of the judgments so far would do, None before the first.

    Every item is decided once; of a page that is looked at, its own items once more.
    """
    found = find_kept(audit, ["preview", policy.describe()], lambda: _decide(audit, policy))
    if not found["snapshot"]:
        return None
    shown: Page[int] = Paginator(found["changed"], PER_PAGE).get_page(page)
    counts = found["counts"]
    unjudged = audit.dataset.n_items - found["judged"]
    return Preview(
        policy=policy,
        counts=[
            (action.value, counts.get(action.value, 0) + (unjudged if action is Action.KEPT else 0))
            for action in Action
        ],
        n_judged=found["judged"],
        page=shown,
        changes=_show_changes(audit, policy, list(shown), found),
    )


def _decide(audit: Audit, policy: ReleasePolicy) -> Document:
    """Return how many items fare how, and the positions of those that change.

    ``snapshot`` is null while nothing is decided; ``people``: pseudonyms by annotator.
    """
    now = Snapshot.now(audit)
    votes, rulings = load_votes(audit, now.judgment), load_rulings(audit, now.adjudication)
    if not votes and not rulings:
        return {"snapshot": None}
    decisions = decide_all(audit, policy, votes, rulings)
    return {
        "snapshot": [now.judgment, now.adjudication],
        "judged": len(decisions),
        "counts": Counter(decision.action.value for decision in decisions.values()),
        "changed": [position for position, decision in decisions.items() if decision.is_change],
        "people": list(name_annotators(votes.values()).items()),
    }


def _show_changes(
    audit: Audit, policy: ReleasePolicy, positions: Sequence[int], found: Document
) -> list[ShownChange]:
    items = list(audit.dataset.items.filter(position__in=positions).order_by("position"))
    rows = SampledItem.objects.filter(sample__audit=audit, item__in=[item.pk for item in items])
    sampled = list(rows.order_by().values_list("pk", flat=True))
    snapshot = Snapshot(*found["snapshot"])
    votes = load_votes(audit, snapshot.judgment, sampled)
    rulings = load_rulings(audit, snapshot.adjudication, sampled)
    decisions = decide_all(audit, policy, votes, rulings, sampled)
    names = _name_classes(audit, [*votes.values(), *([each] for each in rulings.values())], items)
    people = dict(found["people"])
    return [
        _show_change(
            item,
            decisions[item.position],
            [
                *((people[vote.annotator], vote) for vote in votes.get(item.position, ())),
                *((ADJUDICATOR, each) for each in (rulings.get(item.position),) if each),
            ],
            names,
        )
        for item in items
    ]


def _name_classes(
    audit: Audit, votes: Sequence[Sequence[StandingVote]], items: Sequence[Item]
) -> dict[int, str]:
    """Return the names of the classes that the items have or that somebody named."""
    said = {label for each in votes for vote in each for label in vote.names(-1)}
    indices = sorted(said | {item.given_label for item in items})
    return dict(audit.dataset.classes.filter(index__in=indices).values_list("index", "name"))


def _show_change(
    item: Item,
    decision: Decision,
    said: Sequence[tuple[str, StandingVote]],
    names: dict[int, str],
) -> ShownChange:
    return ShownChange(
        item=item,
        given=_name(names, item.given_label),
        cleaned=_name(names, decision.cleaned_label),
        also=[_name(names, label) for label in decision.also_labels],
        action=decision.action.value,
        votes=[
            ShownVote(who, WORDS[vote.verdict], _name(names, vote.corrected_label))
            for who, vote in said
        ],
    )


def _name(names: dict[int, str], label: int | None) -> str:
    return "" if label is None else names.get(label, f"class {label}")
