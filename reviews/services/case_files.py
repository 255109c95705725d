"""The case file of one item: everything an adjudicator wants beside each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User

from audit.models import Audit
from reviews.models import (
    Adjudication,
    Judgment,
    Mode,
    QuestionVerdict,
    Referral,
    SampledItem,
    Stage,
    Verdict,
)
from reviews.services.adjudication import Seen, look
from reviews.services.case_options import CaseOption, list_options
from reviews.services.class_cards import ClassCard, find_class_cards
from reviews.services.desk import labels_of
from reviews.services.reveals import Told, describe_told

A_SECOND = 1000
NAMES = dict(QuestionVerdict.choices) | dict(Verdict.choices)
SIGHT: dict[tuple[str, str], str] = {
    (Mode.FULL, Stage.BLIND): "blind",
    (Mode.FULL, Stage.REVEALED): "label and experts shown first",
    (Mode.QUICK, Stage.REVEALED): "quick desk, label in sight",
}


@dataclass(frozen=True, slots=True)
class CaseVersion:
    """One version of a person's verdict, in words."""

    verdict: str
    corrected: ClassCard | None
    ticked: tuple[ClassCard, ...]
    severity: str
    note: str
    basis: str
    seconds: float
    is_under_a_second: bool
    sight: str
    decided_at: datetime


@dataclass(frozen=True, slots=True)
class CaseVote:
    """One person's vote: what stands, and what they said before, the newest first."""

    annotator: User
    judgment: int
    standing: CaseVersion
    earlier: tuple[CaseVersion, ...]


@dataclass(frozen=True, slots=True)
class CaseFile:
    """One item with all votes, flags and decisions. ``seen`` is what a decision rests on."""

    row: SampledItem
    told: Told
    votes: tuple[CaseVote, ...]
    flags: Sequence[Referral]
    decisions: Sequence[Adjudication]
    options: tuple[CaseOption, ...]
    cards: Mapping[int, ClassCard]
    seen: Seen


def open_case(audit: Audit, row: SampledItem) -> CaseFile:
    """Return everything there is to know of a sampled item."""
    seen = look(row)
    rows = Judgment.objects.for_estimates().filter(slot__sampled_item=row)
    judgments = list(rows.select_related("annotator", "slot").order_by("-pk"))
    decisions = list(row.adjudications.select_related("adjudicator").order_by("-pk"))
    told = describe_told(audit, row.item)
    named = labels_of(judgments) | labels_of(decisions)
    seen_by_experts = [word.top1.index for word in told.experts if word.top1]
    options = range(len(row.item.choices))
    classes = [row.item.given_label, *sorted(named), *seen_by_experts, *row.candidates]
    wanted = list(options) or list(dict.fromkeys(classes))
    cards = find_class_cards(audit.dataset, {*classes, *options})
    votes = _group(judgments, cards)
    standing = [each for each in judgments if each.pk in {vote.judgment for vote in votes}]
    return CaseFile(
        row=row,
        told=told,
        votes=votes,
        flags=list(row.referrals.select_related("annotator")),
        decisions=decisions,
        options=list_options(row.item, told, standing[::-1], wanted, cards),
        cards=cards,
        seen=seen,
    )


def _group(judgments: Sequence[Judgment], cards: Mapping[int, ClassCard]) -> tuple[CaseVote, ...]:
    """Return a vote per person whose verdict stands, the first to judge first."""
    versions: defaultdict[User, list[Judgment]] = defaultdict(list)
    for judgment in judgments:
        versions[judgment.annotator].append(judgment)
    votes = []
    for annotator, theirs in versions.items():
        if theirs[0].verdict != Verdict.WITHDRAWN:
            standing, *earlier = (_describe(each, cards) for each in theirs)
            votes.append(
                (theirs[-1].pk, CaseVote(annotator, theirs[0].pk, standing, tuple(earlier)))
            )
    return tuple(vote for _, vote in sorted(votes, key=lambda pair: pair[0]))


def _describe(judgment: Judgment, cards: Mapping[int, ClassCard]) -> CaseVersion:
    corrected, labels = judgment.corrected_label, judgment.labels or ()
    changed = judgment.stage == Stage.AFTER
    sight = "after the reveal" if changed else SIGHT.get((judgment.mode, judgment.stage), "")
    return CaseVersion(
        verdict=NAMES[judgment.verdict],
        corrected=None if corrected is None else cards[corrected],
        ticked=tuple(cards[label] for label in labels),
        severity=judgment.get_severity_display() if judgment.severity else "",
        note=judgment.note,
        basis=judgment.source or ("derivation given" if judgment.has_derivation else ""),
        seconds=judgment.milliseconds / A_SECOND,
        is_under_a_second=judgment.milliseconds < A_SECOND
        and judgment.verdict != Verdict.WITHDRAWN,
        sight=sight,
        decided_at=judgment.decided_at,
    )
