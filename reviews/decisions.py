"""What a release does with each judged item: the votes on it, by one policy, as one decision."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from django.db.models import Q, QuerySet

from audit.models import Audit
from reviews.models import Adjudication, Judgment, QuestionVerdict, SampledItem, Verdict
from reviews.policies import AnyPolicy, Deed, Open, ReleasePolicy, find_policy

VERDICTS = [*Verdict.values, *QuestionVerdict.values]
WORDS = {**dict(QuestionVerdict.choices), **dict(Verdict.choices)}
"""What each verdict is called."""

VOTE_FIELDS = (
    *("pk", "annotator_id", "verdict", "corrected_label", "decided_at"),
    *("labels", "source", "has_derivation"),
)


class Action(StrEnum):
    """What happens to an item's label."""

    KEPT = "kept"
    RELABELLED = "relabelled"
    LABEL_ADDED = "label_added"
    EXCLUDED = "excluded"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class StandingVote:
    """One person's newest verdict on one item."""

    judgment: int
    annotator: int
    verdict: str
    corrected_label: int | None
    decided_at: datetime
    labels: tuple[int, ...] = ()
    source: str = ""
    has_derivation: bool = False

    def names(self, given_label: int) -> frozenset[int]:
        """The classes that hold besides the given one: all that were ticked, or the corrected."""
        named = {*self.labels, self.corrected_label} - {given_label, None}
        return frozenset(label for label in named if label is not None)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The newest judgment and adjudication that count; 0 for none."""

    judgment: int
    adjudication: int = 0

    @classmethod
    def now(cls, audit: Audit) -> Snapshot:
        """Return everything that is decided so far."""
        judged = Judgment.objects.filter(slot__sample__audit=audit)
        ruled = Adjudication.objects.filter(sampled_item__sample__audit=audit)
        return cls(_newest(judged), _newest(ruled))


def _newest(rows: QuerySet[Judgment] | QuerySet[Adjudication]) -> int:
    return rows.order_by("-pk").values_list("pk", flat=True).first() or 0


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of one item. ``cleaned_label`` is None where the item is excluded."""

    action: Action
    verdict: str
    cleaned_label: int | None
    also_labels: tuple[int, ...] = ()
    reason: str = ""
    n_votes: int = 0

    @property
    def is_change(self) -> bool:
        """Whether the item leaves with another label than it came with."""
        return self.action in {Action.RELABELLED, Action.LABEL_ADDED, Action.EXCLUDED}

    @property
    def is_undecided(self) -> bool:
        """Whether people looked at the item and came to no decision."""
        return self.action is Action.UNDECIDED

    @property
    def labels(self) -> list[int]:
        """The classes that hold, the item's own first; none where it is excluded."""
        return [] if self.cleaned_label is None else [self.cleaned_label, *self.also_labels]


def load_votes(
    audit: Audit, last_judgment: int, sampled: Sequence[int] | None = None
) -> dict[int, list[StandingVote]]:
    """Return the votes by item position as they stood when ``last_judgment`` was the newest.

    ``sampled``: of these sampled items alone.
    """
    # One or the other: told both, a database may read everything to find a few.
    among = Q(slot__sample__audit=audit) if sampled is None else Q(slot__sampled_item__in=sampled)
    rows = (
        Judgment.objects.for_estimates()
        .filter(among, pk__lte=last_judgment)
        .exclude(Q(superseded_by__isnull=False) & Q(superseded_by__pk__lte=last_judgment))
        .exclude(verdict=Verdict.WITHDRAWN)
        .order_by("pk")
        .values_list("slot__sampled_item__item__position", *VOTE_FIELDS)
    )
    votes: dict[int, list[StandingVote]] = {}
    for position, judgment, annotator, verdict, corrected, decided_at, labels, source, derived in (
        rows.iterator(chunk_size=5000)
    ):  # fmt: skip
        vote = StandingVote(
            judgment,
            annotator,
            verdict,
            corrected,
            decided_at,
            tuple(labels or ()),
            source,
            has_derivation=derived,
        )
        votes.setdefault(position, []).append(vote)
    return votes


def load_rulings(
    audit: Audit, last_adjudication: int, sampled: Sequence[int] | None = None
) -> dict[int, StandingVote]:
    """Return by item position what adjudicators decided up to ``last_adjudication``.

    ``judgment`` of such a vote is the number of the adjudication.
    """
    among = Q(sampled_item__sample__audit=audit) if sampled is None else Q(sampled_item__in=sampled)
    rows = (
        Adjudication.objects.filter(among, pk__lte=last_adjudication)
        .exclude(Q(superseded_by__isnull=False) & Q(superseded_by__pk__lte=last_adjudication))
        .order_by("pk")
    )
    columns = ("pk", "adjudicator_id", "verdict", "corrected_label", "decided_at")
    return {
        position: replace(StandingVote(*vote), labels=tuple(labels or ()))
        for position, labels, *vote in rows.values_list(
            "sampled_item__item__position", "labels", *columns
        )
    }


def decide_item(
    given_label: int,
    votes: Sequence[StandingVote],
    ruling: StandingVote | None,
    policy: ReleasePolicy,
) -> Decision:
    """Return what an adjudicator decided, else what the policy makes of the votes.

    Where the policy doesn't put adjudicators first, theirs is one more vote.
    """
    if ruling is None:
        return decide(given_label, votes, policy)
    if not policy.adjudicated_first:
        return decide(given_label, [*votes, ruling], policy)
    decision = decide(given_label, [ruling], policy.of_one)
    reason = f"adjudicated: {decision.reason}" if decision.reason else "adjudicated"
    return replace(decision, reason=reason, n_votes=len(votes))


def decide(given_label: int, votes: Sequence[StandingVote], policy: ReleasePolicy) -> Decision:
    """Return what the policy makes of the votes on one item.

    Once they settle that the label is an error, the commonest category among the votes that say
    so tells what is done: relabelled to the class that most of them name, kept with the classes
    it gains, or excluded. Where they settle nothing the policy says what becomes of the item.
    """
    calls = [policy.is_error(vote.verdict) for vote in votes]
    is_error = policy.settle(calls)
    if is_error is None:
        return _leave_open(given_label, calls, len(votes), policy)
    side = [vote for vote, call in zip(votes, calls, strict=True) if call is is_error]
    # By k of n a label is settled as right when enough votes say so: they are the side then.
    verdict = _most_common_verdict(side)
    if not is_error:
        return Decision(Action.KEPT, verdict, given_label, n_votes=len(votes))
    deed = policy.deeds[verdict]
    if deed is Deed.ADD:
        found = _add_labels(given_label, verdict, side)
    elif deed is Deed.EXCLUDE:
        found = Decision(Action.EXCLUDED, verdict, None, reason=WORDS[verdict].lower())
    else:
        found = _relabel(given_label, verdict, side, policy)
    return replace(found, n_votes=len(votes))


def _leave_open(
    given_label: int, calls: Sequence[bool | None], n_votes: int, policy: ReleasePolicy
) -> Decision:
    sure = [call for call in calls if call is not None]
    reason = "unsure"
    if sure:
        reason = "tie" if 2 * sum(sure) == len(sure) else "too few votes"
    if policy.undecided is Open.EXCLUDE:
        reason = f"undecided: {reason}"
        return Decision(Action.EXCLUDED, Verdict.UNSURE, None, reason=reason, n_votes=n_votes)
    return Decision(Action.UNDECIDED, Verdict.UNSURE, given_label, reason=reason, n_votes=n_votes)


def _relabel(
    given_label: int, verdict: str, side: Sequence[StandingVote], policy: ReleasePolicy
) -> Decision:
    named = _agreed_labels(side, given_label)
    if named:
        return Decision(Action.RELABELLED, verdict, named[0])
    if policy.without_class is Deed.KEEP:
        return Decision(Action.KEPT, verdict, given_label, reason="no agreed class")
    return Decision(Action.EXCLUDED, verdict, None, reason="no agreed class")


def _add_labels(given_label: int, verdict: str, side: Sequence[StandingVote]) -> Decision:
    """Return the decision on an item for which more than its given label holds.

    Where people said which answers hold and most leave the given one out, it goes.
    """
    several = [vote for vote in side if vote.verdict == verdict]
    named = Counter(label for vote in several for label in vote.names(given_label))
    also = tuple(label for label in sorted(named) if 2 * named[label] > len(several))
    n_without = sum(bool(vote.labels) and given_label not in vote.labels for vote in several)
    if not also:
        return Decision(Action.KEPT, verdict, given_label, reason="no agreed class to add")
    if 2 * n_without > len(several):
        return Decision(Action.RELABELLED, verdict, also[0], also[1:])
    return Decision(Action.LABEL_ADDED, verdict, given_label, also)


def _agreed_labels(votes: Sequence[StandingVote], given_label: int) -> tuple[int, ...]:
    """Return the class that more than half of the votes name, other than the given one."""
    named = Counter(vote.corrected_label for vote in votes)
    return tuple(
        label
        for label, n_votes in named.items()
        if label is not None and label != given_label and 2 * n_votes > len(votes)
    )


def _most_common_verdict(votes: Iterable[StandingVote]) -> str:
    """Return the verdict given most often; on a tie the one listed first."""
    counts = Counter(vote.verdict for vote in votes)
    return min(counts, key=lambda verdict: (-counts[verdict], VERDICTS.index(verdict)))


def decide_all(
    audit: Audit,
    policy: AnyPolicy,
    votes: Mapping[int, Sequence[StandingVote]],
    rulings: Mapping[int, StandingVote],
    sampled: Sequence[int] | None = None,
) -> dict[int, Decision]:
    """Return the decision on every judged item, by position, in the data set's order."""
    rule = find_policy(policy, audit.dataset.project_id)
    among = Q(sample__audit=audit) if sampled is None else Q(pk__in=sampled)
    rows = SampledItem.objects.filter(among, item__quarantine_code="").order_by()
    given = dict(rows.values_list("item__position", "item__given_label"))
    return {
        position: decide_item(given[position], votes.get(position, ()), rulings.get(position), rule)
        for position in sorted(given.keys() & (votes.keys() | rulings.keys()))
    }
