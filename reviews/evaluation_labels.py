"""The labels that models are measured on: given, cleaned by people, or named by outside votes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audit.models import Audit, Dataset
from reviews.decisions import Snapshot, decide_all, load_rulings, load_votes
from reviews.models import Release, Vote, VoteSource
from reviews.policies import ReleasePolicy, find_policy
from reviews.services.releases import policy_of, snapshot_of
from reviews.truths import majority
from scoring.arrays import Ints, Mask

GIVEN = "given"
CLEANED = "cleaned:"
RELEASE = "release:"
VOTES = "votes:"


class UnknownLabelsError(ValueError):
    """There are no labels by that name; the message says what is allowed."""


@dataclass(frozen=True, slots=True)
class EvaluationLabels:
    """The classes that hold for each item, in item order; none where the item is left out.

    ``flagged_by``: experts whose flags went into the labels. ``notes``: what has to stand beside
    every figure measured on them.
    """

    holding: Sequence[frozenset[int]]
    flagged_by: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()

    @property
    def is_known(self) -> Mask:
        """Which items are measured on, shape (n_items,)."""
        return np.array([bool(classes) for classes in self.holding], dtype=np.bool_)

    def is_right(self, answers: Ints) -> Mask:
        """Return whether each answer (n_items,) is a class that holds."""
        pairs = zip(answers.tolist(), self.holding, strict=True)
        return np.array([answer in classes for answer, classes in pairs], dtype=np.bool_)


def load_labels(
    dataset: Dataset,
    given_labels: Ints,
    name: str,
    policy: str,
    snapshot: Snapshot | None = None,
) -> EvaluationLabels:
    """Return the labels called ``given``, ``cleaned:AUDIT``, ``release:AUDIT/N`` or ``votes:NAME``.

    Judgments after the ``snapshot`` don't count in ``cleaned:AUDIT``; a release has its own.
    """
    given = [frozenset({label}) for label in given_labels.tolist()]
    if name == GIVEN:
        return EvaluationLabels(given)
    if name.startswith(CLEANED):
        audit = _find_audit(dataset, name.removeprefix(CLEANED))
        rule = find_policy(policy, dataset.project_id)
        told = f"by the {rule.name} policy"
        return _decided_labels(audit, given, rule, snapshot or Snapshot.now(audit), told)
    if name.startswith(RELEASE):
        release = find_release(dataset, name.removeprefix(RELEASE))
        told = f"as in release {release.number} of audit {release.audit_id} ({release.policy_name})"
        return _decided_labels(release.audit, given, policy_of(release), snapshot_of(release), told)
    if name.startswith(VOTES):
        return _voted_labels(dataset, len(given), name.removeprefix(VOTES), policy)
    raise UnknownLabelsError(
        f"labels must be given, cleaned:AUDIT, release:AUDIT/NUMBER or votes:NAME, got {name!r}"
    )


def list_labels(dataset: Dataset) -> list[str]:
    """Return the names of all labels there are to measure on, the given ones first."""
    audits = dataset.audits.filter(state=Audit.State.READY, sample__isnull=False).order_by("pk")
    releases = Release.objects.filter(audit__dataset=dataset).order_by("audit", "number")
    sources = dataset.vote_sources.order_by("name").values_list("name", flat=True)
    return [
        GIVEN,
        *(f"{CLEANED}{pk}" for pk in audits.values_list("pk", flat=True)),
        *(f"{RELEASE}{pk}/{number}" for pk, number in releases.values_list("audit_id", "number")),
        *(f"{VOTES}{source}" for source in sources),
    ]


def freeze_labels(dataset: Dataset, name: str) -> Snapshot | None:
    """Return what is decided by now, where the labels called ``name`` go on changing with it."""
    if not name.startswith(CLEANED):
        return None
    return Snapshot.now(_find_audit(dataset, name.removeprefix(CLEANED)))


def find_release(dataset: Dataset, name: str) -> Release:
    """Return the release called AUDIT/NUMBER."""
    audit, _, number = name.partition("/")
    releases = Release.objects.filter(audit__dataset=dataset).select_related("audit__dataset")
    if audit.isdecimal() and number.isdecimal():
        found = releases.filter(audit=int(audit), number=int(number)).first()
        if found is not None:
            return found
    there = releases.order_by("audit", "number").values_list("audit_id", "number")
    known = ", ".join(f"{RELEASE}{pk}/{count}" for pk, count in there)
    raise UnknownLabelsError(f"{dataset} has no release {name!r}; there are: {known or 'none'}")


def _find_audit(dataset: Dataset, number: str) -> Audit:
    audit = dataset.audits.filter(pk=int(number) if number.isdecimal() else 0).first()
    if audit is None:
        there = dataset.audits.order_by("pk").values_list("pk", flat=True)
        known = ", ".join(f"{CLEANED}{pk}" for pk in there)
        raise UnknownLabelsError(f"{dataset} has no audit {number!r}; there are: {known or 'none'}")
    return audit


def _decided_labels(
    audit: Audit,
    given: Sequence[frozenset[int]],
    policy: ReleasePolicy,
    snapshot: Snapshot,
    told: str,
) -> EvaluationLabels:
    """Return the given labels after the decisions on the judged items; excluded ones have none."""
    votes, rulings = (
        load_votes(audit, snapshot.judgment),
        load_rulings(audit, snapshot.adjudication),
    )
    decisions = decide_all(audit, policy, votes, rulings)
    holding = list(given)
    for position, decision in decisions.items():
        holding[position] = frozenset(decision.labels)
    n_changed = sum(decision.is_change for decision in decisions.values())
    experts = audit.experts.values_list("score_set__expert", flat=True)
    notes = [f"{len(decisions):,} items judged, {n_changed:,} labels changed, {told}"]
    if n_open := sum(decision.is_undecided for decision in decisions.values()):
        notes.append(f"{n_open:,} undecided items keep their given label")
    if n_without := len(holding) - sum(map(bool, holding)):
        notes.append(f"{n_without:,} excluded items have no class that holds and are left out")
    return EvaluationLabels(holding, frozenset(experts), tuple(notes))


def _voted_labels(dataset: Dataset, n_items: int, name: str, policy: str) -> EvaluationLabels:
    """Return the classes that most annotators of an outside source name for each item.

    A verdict that the given label is right names it; one that it is wrong names no class.
    """
    source = VoteSource.objects.filter(dataset=dataset, name=name).first()
    if source is None:
        there = dataset.vote_sources.order_by("name").values_list("name", flat=True)
        known = ", ".join(f"{VOTES}{each}" for each in there)
        raise UnknownLabelsError(f"{dataset} has no votes {name!r}; there are: {known or 'none'}")
    named: defaultdict[int, list[list[int]]] = defaultdict(list)
    called_errors: defaultdict[int, list[bool | None]] = defaultdict(list)
    given: dict[int, int] = {}
    rule = find_policy(policy, dataset.project_id)
    rows = Vote.objects.filter(source=source).order_by()
    columns = rows.values_list("item__position", "item__given_label", "labels", "verdict")
    for position, label, labels, verdict in columns.iterator(chunk_size=10_000):
        if labels is None:
            given[position] = label
            called_errors[position].append(rule.is_error(verdict))
        else:
            named[position].append(labels)
    holding = [frozenset[int]()] * n_items
    for position, lists in named.items():
        counts = Counter(label for labels in lists for label in set(labels))
        holding[position] = frozenset(
            label for label, count in counts.items() if 2 * count > len(lists)
        )
    for position, calls in called_errors.items():
        if majority(calls) is False:
            holding[position] = frozenset({given[position]})
    n_known = sum(bool(classes) for classes in holding)
    note = f"{n_known:,} of {n_items:,} items have a class that most annotators name"
    return EvaluationLabels(holding, frozenset(), (note,))
