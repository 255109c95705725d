"""Samples: planned, drawn once, frozen by the first verdict."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from audit.models import Role, Scope
from reviews.api.access import find_ready_audit, find_sample
from reviews.api.errors import ApiError
from reviews.api.routes import person, route
from reviews.api.shapes import Body, Id, Page, Text, Window, cut
from reviews.forms import MAX_SIZE
from reviews.ledgers import describe_sample, describe_strata
from reviews.models import ReviewSlot, SampledItem
from reviews.services.sampling import (
    MAX_SEED,
    MOST_VOTES,
    SamplingError,
    freeze_sample,
    plan_strata,
    redraw_sample,
)

router = Router(tags=["samples"])


class Numbers(Body):
    """How many items people judge, and how often each."""

    size: int = Field(300, ge=0, le=MAX_SIZE, description="Flagged items.")
    unflagged: int = Field(100, ge=0, le=MAX_SIZE)
    votes_per_item: int = Field(1, ge=1, le=MOST_VOTES)
    stratum_votes: dict[Text, int] = Field(
        default_factory=dict, description="Other numbers of votes, by a stratum's name."
    )


class NewSample(Numbers):
    """What to draw. `again`: in place of a sample that nobody has judged yet."""

    seed: int = Field(0, ge=0, le=MAX_SEED)
    revealed_share: float = Field(0.0, ge=0, le=1)
    adds_third_vote: bool = True
    again: bool = False


class StratumDoc(Schema):
    """A group of items that are drawn with one probability."""

    name: str
    flagged: bool
    population: int
    drawn: int
    inclusion_probability: float
    votes_per_item: int


class PlanDoc(Schema):
    """The strata as they would be drawn."""

    strata: list[StratumDoc]


class SampleDoc(Schema):
    """The sampling ledger as `draw_sample --json` prints it, with how far people are."""

    audit: int
    items: int
    votes: int
    votes_per_item: int
    revealed_share: float
    seed: int
    drawn_at: str
    frozen: bool
    strata: list[StratumDoc]
    judged: int


class SampledDoc(Schema):
    """One drawn item with its stratum."""

    id: int
    order: int
    item: int
    key: str
    stratum: str
    inclusion_probability: float
    votes_per_item: int


@route(router, "POST", "/audits/{audit}/sample/plan", Scope.READ, PlanDoc, refusals=(409,))
def plan_sample(request: HttpRequest, audit: Id, body: Numbers) -> dict[str, Any]:
    """Say what would be drawn; nothing is stored."""
    found = find_ready_audit(request, audit)
    try:
        return {"strata": describe_strata(plan_strata(found, **body.model_dump()))}
    except SamplingError as error:
        raise ApiError(409, "refused", str(error)) from error


@route(
    router, "POST", "/audits/{audit}/sample", Scope.MANAGE, SampleDoc, status=201, refusals=(409,)
)
def draw_sample(request: HttpRequest, audit: Id, body: NewSample) -> dict[str, Any]:
    """Draw the items that people judge."""
    found = find_ready_audit(request, audit)
    draw = redraw_sample if body.again else freeze_sample
    try:
        sample = draw(found, **body.model_dump(exclude={"again"}), drawn_by=person(request))
    except SamplingError as error:
        raise ApiError(409, "refused", str(error)) from error
    return {**describe_sample(sample), "judged": 0}


@route(router, "GET", "/audits/{audit}/sample", Scope.READ, SampleDoc)
def read_sample(request: HttpRequest, audit: Id) -> dict[str, Any]:
    """Show an audit's sample and how many of its votes are in."""
    sample = find_sample(request, audit, Role.MAINTAINER)
    judged = sample.slots.for_estimates().filter(state=ReviewSlot.State.JUDGED).count()
    return {**describe_sample(sample), "judged": judged}


@route(router, "GET", "/audits/{audit}/sample/items", Scope.READ, Page[SampledDoc])
def list_sampled(request: HttpRequest, audit: Id, window: Query[Window]) -> dict[str, Any]:
    """List the drawn items with the probability that each was drawn with."""
    sample = find_sample(request, audit, Role.MAINTAINER)
    rows = SampledItem.objects.filter(sample=sample).drawn()
    return cut(rows.select_related("item", "stratum"), window, write_sampled)


def write_sampled(row: SampledItem) -> dict[str, Any]:
    """Return a drawn item as JSON."""
    stratum = row.stratum
    assert stratum is not None  # noqa: S101 - as `drawn` says
    return {
        "id": row.pk,
        "order": row.order,
        "item": row.item_id,
        "key": row.item.key,
        "stratum": stratum.name,
        "inclusion_probability": stratum.inclusion_probability,
        "votes_per_item": row.votes_wanted,
    }
