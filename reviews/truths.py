"""Whether each judged item is a label error: people's verdicts or outside votes, by a policy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from audit.models import Audit, Dataset
from reviews.agreements import Votes
from reviews.models import Adjudication, Judgment, Vote, VoteSource
from reviews.policies import BUILT_IN, AnyPolicy, ReleasePolicy, find_policy
from scoring.arrays import Ints, Mask

JUDGMENTS = "judgments"
VOTES = "votes:"
ADJUDICATORS = "adjudicators"
"""Whose vote an adjudication is where the policy counts it as one more."""


class UnknownTruthError(ValueError):
    """There is no truth by that name."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What is known of the items of one audit, by position.

    ``judged``: positions of the decided items, ascending, and ``is_error`` of each; ``unsure``:
    positions of items whose votes are unsure or tied; ``votes``: what each person said. The last
    three count items with more than one sure vote, those among them whose votes agree, and those
    that an adjudicator decided, whatever the votes say.
    """

    judged: Ints
    is_error: Mask
    unsure: Ints
    votes: Votes
    n_with_several_votes: int
    n_unanimous: int
    n_adjudicated: int = 0


def list_truths(dataset: Dataset) -> list[str]:
    """Return the names of the truths that curves of this data set can be drawn against."""
    names = dataset.vote_sources.order_by("name").values_list("name", flat=True)
    return [JUDGMENTS, *(f"{VOTES}{name}" for name in names)]


def load_truth(audit: Audit, name: str, policy: AnyPolicy) -> Truth:
    """Return what people ("judgments") or an outside source ("votes:NAME") say of the items.

    How many votes settle an item is the policy's word on people's verdicts alone: an outside
    source has as many annotators as it has, so most of them decide.
    """
    policy = find_policy(policy, audit.dataset.project_id)
    if name == JUDGMENTS:
        rulings = _adjudicated(audit, policy)
        if policy.adjudicated_first:
            return _decide(_judged_votes(audit, policy), policy.settle, adjudicated=rulings)
        more = ((position, ADJUDICATORS, call) for position, call in rulings.items())
        return _decide([*_judged_votes(audit, policy), *more], policy.settle)
    source = VoteSource.objects.filter(
        dataset=audit.dataset_id, name=name.removeprefix(VOTES)
    ).first()
    if not name.startswith(VOTES) or source is None:
        known = ", ".join(list_truths(audit.dataset))
        raise UnknownTruthError(f"{name!r} is not one of: {known}")
    said = _outside_votes(source, policy)
    return _decide(said, majority, knows_annotators=source.knows_annotators)


def is_error_by(verdict: str, policy: AnyPolicy) -> bool | None:
    """Return whether the policy calls the verdict a label error; None when it is unsure."""
    return (policy if isinstance(policy, ReleasePolicy) else BUILT_IN[policy]).is_error(verdict)


def majority(votes: Iterable[bool | None]) -> bool | None:
    """Return the strict majority of the votes that are sure; None on a tie or without any."""
    return BUILT_IN["lenient"].settle(votes)


def _judged_votes(audit: Audit, policy: ReleasePolicy) -> Iterable[tuple[int, str, bool | None]]:
    rows = Judgment.objects.counted().filter(slot__sample__audit=audit)
    for position, name, verdict in rows.order_by().values_list(
        "slot__sampled_item__item__position", "annotator__username", "verdict"
    ):
        yield position, name, is_error_by(verdict, policy)


def _adjudicated(audit: Audit, policy: ReleasePolicy) -> dict[int, bool | None]:
    """Return what adjudicators say of the items that they decided."""
    rows = Adjudication.objects.standing().filter(
        sampled_item__sample__audit=audit, sampled_item__stratum__isnull=False
    )
    return {
        position: policy.is_error(verdict)
        for position, verdict in rows.values_list("sampled_item__item__position", "verdict")
    }


def _outside_votes(
    source: VoteSource, policy: ReleasePolicy
) -> Iterable[tuple[int, str, bool | None]]:
    """Yield a vote per outside annotator; labels that stand alone need no policy."""
    rows = Vote.objects.filter(source=source).order_by()
    columns = rows.values_list(
        "item__position", "annotator", "item__given_label", "labels", "verdict"
    )
    for position, name, given_label, labels, verdict in columns.iterator(chunk_size=10_000):
        yield (
            position,
            name,
            policy.is_error(verdict) if verdict else given_label not in (labels or []),
        )


def _decide(
    said: Iterable[tuple[int, str, bool | None]],
    settle: Callable[[Iterable[bool | None]], bool | None],
    *,
    knows_annotators: bool = True,
    adjudicated: Mapping[int, bool | None] | None = None,
) -> Truth:
    by_position: defaultdict[int, list[bool | None]] = defaultdict(list)
    spoken = list(said)
    for position, _, vote in spoken:
        by_position[position].append(vote)
    ruled = adjudicated or {}
    decided = {
        position: ruled[position] if position in ruled else settle(by_position[position])
        for position in sorted(by_position.keys() | ruled.keys())
    }
    judged = [position for position, is_error in decided.items() if is_error is not None]
    sure = [[vote for vote in votes if vote is not None] for votes in by_position.values()]
    several = [votes for votes in sure if len(votes) > 1]
    return Truth(
        judged=np.array(judged, dtype=np.int64),
        is_error=np.array([decided[position] for position in judged], dtype=bool),
        unsure=np.array(
            [position for position, is_error in decided.items() if is_error is None],
            dtype=np.int64,
        ),
        votes=Votes.of(spoken, knows_annotators=knows_annotators),
        n_with_several_votes=len(several),
        n_unanimous=sum(len(set(votes)) == 1 for votes in several),
        n_adjudicated=len(ruled),
    )
