"""Adjudication: what waits for a decision, everything about one item, the reasoned decision."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Router, Schema
from pydantic import Field

from audit.models import Role, Scope
from reviews.adjudication_forms import RulingForm
from reviews.api.access import find_sample
from reviews.api.errors import ApiError, check_form
from reviews.api.routes import person, route
from reviews.api.shapes import LARGEST, Body, Id, Text
from reviews.desk_forms import MOST_LABELS
from reviews.disputes import Dispute, find_disputes
from reviews.models import Adjudication, SampledItem
from reviews.services.adjudication import OvertakenError, adjudicate
from reviews.services.case_files import CaseFile, CaseVote, open_case

router = Router(tags=["adjudication"])
MOST_NUMBER = 999_999_999


class Answer(Schema):
    """What a vote says: a verdict and the classes that hold by it."""

    verdict: str
    labels: list[int]


class Waiting(Schema):
    """An item that waits for a decision, and why."""

    item: int
    key: str
    answers: list[Answer]
    flags: int
    awaits_vote: bool = Field(description="A third person is asked first.")


class Disputes(Schema):
    """What waits, in the order of the sample."""

    items: list[Waiting]


class Seen(Body):
    """What a decision rests on: the newest decision and verdict that were in sight."""

    adjudication: int = Field(ge=0, le=LARGEST)
    judgment: int = Field(ge=0, le=LARGEST)


class SeenDoc(Schema):
    """What a decision on this item is to rest on."""

    adjudication: int
    judgment: int


class Version(Schema):
    """One version of somebody's verdict."""

    verdict: str
    corrected: int | None
    ticked: list[int]
    note: str
    sight: str
    decided_at: datetime


class VoteDoc(Schema):
    """One person's vote, and what they said before."""

    annotator: str
    standing: Version
    earlier: list[Version]


class Decision(Schema):
    """A reasoned decision that somebody made."""

    id: int
    adjudicator: str
    verdict: str
    labels: list[int] | None
    corrected_label: int | None
    reason: str
    decided_at: datetime


class Case(Schema):
    """Everything about one item."""

    item: int
    key: str
    given_label: int
    told: dict[str, Any] = Field(description="The label, the experts' words, the flags.")
    votes: list[VoteDoc]
    decisions: list[Decision]
    seen: SeenDoc


class NewDecision(Body):
    """What is decided, and why. It counts only on what was `seen`."""

    verdict: Text = Field(max_length=24)
    labels: list[int] = Field(default_factory=list, max_length=MOST_LABELS)
    main: int | None = Field(None, ge=0, le=MOST_NUMBER, description="The main class of several.")
    reason: Text = Field(min_length=1, max_length=4000)
    seen: Seen


@route(router, "GET", "/audits/{audit}/adjudication", Scope.READ, Disputes)
def list_disputes(request: HttpRequest, audit: Id) -> dict[str, Any]:
    """List the items that are split or flagged and not decided."""
    sample = find_sample(request, audit, Role.MAINTAINER)
    return {"items": [write_dispute(each) for each in find_disputes(sample)]}


@route(router, "GET", "/audits/{audit}/adjudication/{item}", Scope.READ, Case)
def read_case(request: HttpRequest, audit: Id, item: Id) -> dict[str, Any]:
    """Show everything about one item: votes, flags, experts, decisions."""
    row = find_row(request, audit, item)
    return write_case(open_case(row.sample.audit, row))


@route(
    router, "POST", "/audits/{audit}/adjudication/{item}", Scope.MANAGE, Decision, status=201,
    refusals=(409,),
)  # fmt: skip
def decide(request: HttpRequest, audit: Id, item: Id, body: NewDecision) -> dict[str, Any]:
    """Decide an item. Refused where somebody has decided, or a vote has changed, since `seen`."""
    row = find_row(request, audit, item)
    said = body.model_dump(exclude={"seen"})
    seen = {"seen_adjudication": body.seen.adjudication, "seen_judgment": body.seen.judgment}
    form = RulingForm({**said, **seen}, item=row.item)
    check_form(form)
    try:
        return write_decision(adjudicate(person(request), row, form.ruling, form.seen))
    except OvertakenError as error:
        raise ApiError(409, "overtaken", str(error)) from error


def find_row(request: HttpRequest, audit: int, item: int) -> SampledItem:
    """Return a sampled item that the person may decide."""
    rows = SampledItem.objects.open_to(person(request), at_least=Role.MAINTAINER)
    related = rows.select_related("item__dataset", "sample__audit__dataset__project")
    return get_object_or_404(related, sample__audit=audit, item=item)


def write_dispute(dispute: Dispute) -> dict[str, Any]:
    """Return what waits as JSON."""
    item = dispute.row.item
    return {
        "item": item.pk,
        "key": item.key,
        "answers": [{"verdict": verdict, "labels": labels} for verdict, labels in dispute.answers],
        "flags": dispute.n_flags,
        "awaits_vote": dispute.awaits_vote,
    }


def write_case(case: CaseFile) -> dict[str, Any]:
    """Return everything about an item as JSON."""
    item = case.row.item
    return {
        "item": item.pk,
        "key": item.key,
        "given_label": item.given_label,
        "told": asdict(case.told),
        "votes": [_write_vote(vote) for vote in case.votes],
        "decisions": [write_decision(each) for each in case.decisions],
        "seen": asdict(case.seen),
    }


def _write_vote(vote: CaseVote) -> dict[str, Any]:
    standing, *earlier = (
        {
            "verdict": each.verdict,
            "corrected": each.corrected.index if each.corrected else None,
            "ticked": [card.index for card in each.ticked],
            "note": each.note,
            "sight": each.sight,
            "decided_at": each.decided_at,
        }
        for each in (vote.standing, *vote.earlier)
    )
    return {"annotator": vote.annotator.username, "standing": standing, "earlier": earlier}


def write_decision(decision: Adjudication) -> dict[str, Any]:
    """Return a decision as JSON."""
    return {
        "id": decision.pk,
        "adjudicator": decision.adjudicator.username,
        "verdict": decision.verdict,
        "labels": decision.labels,
        "corrected_label": decision.corrected_label,
        "reason": decision.reason,
        "decided_at": decision.decided_at,
    }
