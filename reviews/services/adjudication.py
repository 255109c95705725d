"""Adjudicate: record one reasoned decision, on what stood when the page was opened, or nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from django.contrib.auth.models import User
from django.db import transaction

from reviews.models import Adjudication, Judgment, Sample, SampledItem
from reviews.services.chains import append_link, lock_chain
from reviews.services.third_votes import drop_third_vote


class OvertakenError(Exception):
    """Since the page was opened somebody decided, or a vote changed; nothing was recorded."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What an adjudicator had before them: the newest decision and verdict, 0 for none."""

    adjudication: int = 0
    judgment: int = 0


@dataclass(frozen=True, slots=True)
class Ruling:
    """What an adjudicator decides about one item, and why."""

    verdict: str
    reason: str
    corrected_label: int | None = None
    ui_version: str = ""
    labels: tuple[int, ...] | None = None


def look(row: SampledItem) -> Seen:
    """Return what there is to see of an item now."""
    decided = Adjudication.objects.standing().filter(sampled_item=row)
    judged = Judgment.objects.for_estimates().filter(slot__sampled_item=row).order_by("-pk")
    return Seen(
        decided.values_list("pk", flat=True).first() or 0,
        judged.values_list("pk", flat=True).first() or 0,
    )


@transaction.atomic
def adjudicate(adjudicator: User, row: SampledItem, ruling: Ruling, seen: Seen) -> Adjudication:
    """Record a decision in place of the one that stood; flags on the item are answered by it.

    Of two adjudicators at once the second finds that the first has decided: `OvertakenError`.
    The same decision sent twice is answered with the row it made.
    """
    head = lock_chain(Sample.objects.filter(pk=row.sample_id))
    now = look(row)
    standing = Adjudication.objects.filter(pk=now.adjudication).first()
    if now != seen:
        if standing and _is_same(standing, adjudicator, ruling) and seen.judgment == now.judgment:
            return standing
        raise OvertakenError(
            "somebody has decided this item meanwhile"
            if now.adjudication != seen.adjudication
            else "a vote on this item has changed meanwhile"
        )
    adjudication = Adjudication(
        sampled_item=row,
        adjudicator=adjudicator,
        supersedes=standing,
        last_judgment=now.judgment,
        **asdict(ruling),
    )
    append_link(head, adjudication)
    row.referrals.standing().update(is_open=False)
    drop_third_vote(row)
    return adjudication


def _is_same(standing: Adjudication, adjudicator: User, ruling: Ruling) -> bool:
    said = Ruling(
        standing.verdict,
        standing.reason,
        standing.corrected_label,
        standing.ui_version,
        None if standing.labels is None else tuple(standing.labels),
    )
    return standing.adjudicator_id == adjudicator.pk and said == ruling
