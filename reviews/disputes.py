"""Which items need an adjudicator: voted out without a majority, or flagged by somebody."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from django.contrib.auth.models import User

from audit.models import Role
from reviews.models import (
    UNCLEAR,
    Adjudication,
    Referral,
    ReviewSlot,
    Sample,
    SampledItem,
    Verdict,
)

Said: TypeAlias = tuple[str, tuple[int, ...]]
"""A verdict and all classes that hold by it: what two votes must share to say the same."""
ANSWER_FIELDS = (
    "sampled_item__item__given_label",
    *("judgment__verdict", "judgment__corrected_label", "judgment__labels"),
)
"""What `read_said` takes, as columns of a slot."""
NAMES_NOTHING = UNCLEAR | {Verdict.UNSURE}


@dataclass(frozen=True, slots=True)
class Dispute:
    """One item that waits for a decision, and why."""

    row: SampledItem
    answers: tuple[Said, ...]
    n_flags: int
    awaits_vote: bool

    @property
    def is_split(self) -> bool:
        """Whether the votes differ; else the item is here because somebody flagged it."""
        return len(self.answers) > 1 and agreed(self.answers) is None


def read_said(
    given_label: int, verdict: str, corrected_label: int | None, labels: Sequence[int] | None
) -> Said:
    """Return the whole answer of a vote, however it was given: how bad an error is doesn't count.

    Where nobody was asked for every class, the verdict and the one it names tell which hold.
    """
    if verdict in NAMES_NOTHING:
        return verdict, ()
    if verdict == Verdict.LABEL_CORRECT:
        return verdict, (given_label,)
    if labels is None:
        kept = {given_label} if verdict == Verdict.MULTI_OBJECT else set()
        labels = [*kept, *([] if corrected_label is None else [corrected_label])]
    return verdict, tuple(sorted(labels))


def agreed(answers: Sequence[Said]) -> Said | None:
    """Return what more than half of all votes say; being unsure is never the answer."""
    said, n_votes = Counter(answers).most_common(1)[0] if answers else (("", ()), 0)
    return said if 2 * n_votes > len(answers) and said[0] != Verdict.UNSURE else None


def find_disputes(sample: Sample) -> list[Dispute]:
    """Return the undecided items that are split or flagged, in the order of the sample."""
    return _gather([sample])[sample.pk]


def count_disputes(user: User) -> dict[int, int]:
    """Return per audit how many items wait for the person to adjudicate, where any do."""
    samples = list(Sample.objects.open_to(user, at_least=Role.MAINTAINER).adjudicable())
    waiting = _gather(samples)
    counts = {
        sample.audit_id: sum(not each.awaits_vote for each in waiting[sample.pk])
        for sample in samples
    }
    return {audit: n_items for audit, n_items in counts.items() if n_items}


def _gather(samples: Sequence[Sample]) -> Mapping[int, list[Dispute]]:
    everything = SampledItem.objects.filter(sample__in=samples)
    rows = everything.unadjudicated()
    flags = Counter(
        Referral.objects.standing()
        .filter(sampled_item__in=rows.order_by().values("pk"))
        .values_list("sampled_item", flat=True)
    )
    differing = set(everything.with_differing_votes().order_by().values_list("pk", flat=True))
    answers, awaiting = _read_votes(differing | flags.keys())
    found: defaultdict[int, list[Dispute]] = defaultdict(list)
    wanted = rows.filter(pk__in=answers.keys() | flags.keys())
    for row in wanted.select_related("item").order_by("sample", "order"):
        dispute = Dispute(row, tuple(answers[row.pk]), flags[row.pk], awaits_vote=False)
        if dispute.is_split and row.pk in awaiting:
            dispute = Dispute(row, dispute.answers, flags[row.pk], not flags[row.pk])
        if dispute.is_split or dispute.n_flags:
            found[row.sample_id].append(dispute)
    return found


def _read_votes(rows: Iterable[int]) -> tuple[Mapping[int, list[Said]], set[int]]:
    """Return what was said of each item, and which items have a vote to come."""
    answers: defaultdict[int, list[Said]] = defaultdict(list)
    awaiting = set()
    slots = ReviewSlot.objects.filter(sampled_item__in=list(rows)).for_estimates()
    for row, state, given, *said in slots.order_by("number").values_list(
        "sampled_item", "state", *ANSWER_FIELDS
    ):
        if state == ReviewSlot.State.JUDGED:
            answers[row].append(read_said(given, *said))
        else:
            awaiting.add(row)
    return answers, awaiting


def find_decided(sample: Sample) -> list[Adjudication]:
    """Return the decisions that stand, the newest first."""
    standing = Adjudication.objects.standing().filter(sampled_item__sample=sample)
    return list(standing.select_related("sampled_item__item", "adjudicator").order_by("-pk"))
