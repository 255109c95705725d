"""Verdicts for scripts: given on claimed items, revised, taken back, and what is told afterwards.

Each is an act with a key of its sender's, so that sending it twice does it once.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from ninja import Header, Query, Router, Schema
from pydantic import Field

from audit.models import Scope
from reviews.api.access import find_sample
from reviews.api.desk import DeskMode
from reviews.api.errors import ApiError
from reviews.api.keys import IdempotencyKey, read_key
from reviews.api.routes import person, route
from reviews.api.shapes import LARGEST, Body, Document, Id, Page, Text, Window, cut
from reviews.desk_forms import A_DAY, MOST_LABELS, MOST_SOURCE, read_answer
from reviews.models import Judgment, ReviewSlot, Sample
from reviews.services import judgments, leases
from reviews.services.blind_answers import NotBlindError, complete_answer
from reviews.services.judgments import Answer
from reviews.services.reveals import reveal_to
from reviews.services.training import tell_known_answer

router = Router(tags=["review desk"])
IfMatch = Annotated[str | None, Header(alias="If-Match", max_length=200)]
IfNoneMatch = Annotated[str | None, Header(alias="If-None-Match", max_length=200)]
Label = Annotated[int, Field(ge=0, le=LARGEST)]


class Said(Body):
    """What somebody says of an item.

    At the full desk name the classes that hold (`labels`, the main one first, empty where none
    does) or say `verdict: unsure`; the verdict follows. At the quick desk say the verdict.
    """

    mode: DeskMode = DeskMode.FULL
    labels: list[Label] | None = Field(None, max_length=MOST_LABELS)
    verdict: Text | None = Field(None, max_length=24)
    corrected_label: Label | None = None
    severity: int | None = Field(None, ge=1, le=3)
    note: Text = Field("", max_length=2000)
    source: Text = Field("", max_length=MOST_SOURCE, description="Of a question: what shows it.")
    has_derivation: bool = Field(default=False, description="You have derived the answer.")
    milliseconds: int = Field(ge=0, le=A_DAY, description="How long the item was looked at.")
    ui_version: Text = Field("", max_length=20)


class NewJudgment(Said):
    """A verdict on a claimed item."""

    ticket: Text = Field(max_length=200, description="As it was given with the item.")


class Recorded(Document):
    """That the verdict is kept; `replayed` where an earlier request with the key had put it."""

    key: UUID
    replayed: bool


class JudgmentDoc(Schema):
    """One of the person's own verdicts."""

    key: UUID
    slot: int
    item: int
    verdict: str
    labels: list[int] | None
    corrected_label: int | None
    severity: int | None
    note: str
    source: str
    has_derivation: bool
    mode: DeskMode
    stage: Literal["blind", "revealed", "after"]
    decided_at: datetime
    stands: bool


class TakenBack(Schema):
    """The item is the person's again, by this ticket."""

    slot: int
    ticket: str
    replayed: bool


class Told(Document):
    """The label, the experts' words and the flags of an item that the person has judged."""

    given: dict[str, Any]
    experts: list[dict[str, Any]]
    flags: list[dict[str, Any]]


@route(router, "POST", "/audits/{audit}/review/judgments", Scope.JUDGE, Recorded, refusals=(409,))
def create_judgment(
    request: HttpRequest,
    response: HttpResponse,
    audit: Id,
    body: NewJudgment,
    idempotency_key: IdempotencyKey = None,
) -> dict[str, Any]:
    """Give a verdict on a claimed item. Needs a key: sent again, it is answered, not repeated."""
    sample, annotator = find_sample(request, audit), person(request)
    key = read_key(idempotency_key)
    try:
        slot_id, epoch = leases.read_ticket(body.ticket, annotator)
    except (PermissionError, ValueError) as error:
        raise ApiError(422, "ticket", str(error), col="ticket") from error
    slots = sample.slots.select_related("sampled_item__item", "sample__audit__dataset")
    slot = get_object_or_404(slots, pk=slot_id)
    said = body.model_dump(exclude={"ticket"})
    if body.mode == DeskMode.FULL:
        try:
            said = complete_answer(slot, said)
        except NotBlindError as error:
            raise ApiError(422, "invalid", str(error), col="labels") from error
    answer = check_answer(slot, said, key)
    try:
        recorded = judgments.record_judgment(annotator, slot.pk, epoch, key, answer)
    except (judgments.KeyReusedError, judgments.RefusedError) as error:
        raise explain(error) from error
    response["ETag"] = tag(recorded.judgment)
    written = {"key": key, "replayed": recorded.replayed}
    if slot.purpose == ReviewSlot.Purpose.TRAINING:
        return written | {"feedback": tell_known_answer(slot, recorded.judgment)}
    return written


@route(router, "GET", "/audits/{audit}/review/judgments", Scope.JUDGE, Page[JudgmentDoc])
def list_judgments(request: HttpRequest, audit: Id, window: Query[Window]) -> dict[str, Any]:
    """List the person's own verdicts that stand."""
    sample = find_sample(request, audit)
    own = Judgment.objects.standing().filter(annotator=person(request), slot__sample=sample)
    rows = own.select_related("slot__sampled_item")
    return cut(rows, window, write_judgment)


@route(
    router, "GET", "/audits/{audit}/review/judgments/{key}", Scope.JUDGE, JudgmentDoc,
    openapi_extra={"responses": {304: {"description": "It is as it was."}}},
)  # fmt: skip
def read_judgment(
    request: HttpRequest,
    response: HttpResponse,
    audit: Id,
    key: UUID,
    if_none_match: IfNoneMatch = None,
) -> Any:
    """Show one of the person's own verdicts, by the key that it was sent with."""
    judgment = find_own_judgment(request, find_sample(request, audit), key)
    if if_none_match == tag(judgment):
        return HttpResponse(status=304, headers={"ETag": tag(judgment)})
    response["ETag"] = tag(judgment)
    return write_judgment(judgment)


@route(
    router, "PUT", "/audits/{audit}/review/judgments/{key}", Scope.JUDGE, Recorded,
    refusals=(409, 412),
)  # fmt: skip
def revise_judgment(
    request: HttpRequest,
    response: HttpResponse,
    audit: Id,
    key: UUID,
    body: Said,
    idempotency_key: IdempotencyKey = None,
    if_match: IfMatch = None,
) -> dict[str, Any]:
    """Replace one of the person's own verdicts that stands by another one.

    With `If-Match` only if it is still as it was when its ETag was told.
    """
    sample, annotator = find_sample(request, audit), person(request)
    new_key = read_key(idempotency_key)
    earlier = find_own_judgment(request, sample, key)
    is_replay = Judgment.objects.filter(annotator=annotator, idempotency_key=new_key).exists()
    if if_match not in {None, "*", tag(earlier)} and not is_replay:
        raise ApiError(412, "changed", "the verdict is no longer as you saw it")
    said = body.model_dump()
    if body.mode == DeskMode.FULL and body.verdict is None:
        try:
            said = complete_answer(earlier.slot, said)
        except NotBlindError as error:
            raise ApiError(422, "invalid", str(error), col="labels") from error
    answer = check_answer(earlier.slot, said, new_key)
    try:
        recorded = judgments.revise(annotator, earlier, new_key, answer)
    except (judgments.KeyReusedError, judgments.RefusedError) as error:
        raise explain(error) from error
    response["ETag"] = tag(recorded.judgment)
    return {"key": new_key, "replayed": recorded.replayed}


@route(
    router, "POST", "/audits/{audit}/review/judgments/{key}/undo", Scope.JUDGE, TakenBack,
    refusals=(409,),
)  # fmt: skip
def undo_judgment(
    request: HttpRequest, audit: Id, key: UUID, idempotency_key: IdempotencyKey = None
) -> dict[str, Any]:
    """Take back one of the person's own verdicts; the item is theirs again."""
    sample, annotator = find_sample(request, audit), person(request)
    judgment = find_own_judgment(request, sample, key)
    try:
        recorded = judgments.withdraw(annotator, judgment, read_key(idempotency_key))
    except (judgments.KeyReusedError, judgments.RefusedError) as error:
        raise explain(error) from error
    slot = ReviewSlot.objects.get(pk=judgment.slot_id)
    ticket = leases.write_ticket(slot, annotator)
    return {"slot": slot.pk, "ticket": ticket, "replayed": recorded.replayed}


@route(router, "POST", "/audits/{audit}/review/judgments/{key}/reveal", Scope.JUDGE, Told)
def reveal_item(request: HttpRequest, audit: Id, key: UUID) -> dict[str, Any]:
    """Tell label, experts and flags of an item that the person has judged; it is remembered."""
    judgment = find_own_judgment(request, find_sample(request, audit), key)
    return asdict(reveal_to(person(request), judgment))


def find_own_judgment(request: HttpRequest, sample: Sample, key: UUID) -> Judgment:
    """Return the person's own judgment that was sent with this key."""
    own = Judgment.objects.filter(annotator=person(request), slot__sample=sample)
    related = ("slot__sampled_item__item__dataset", "slot__sample__audit__dataset")
    return get_object_or_404(own.select_related(*related), idempotency_key=key)


def check_answer(slot: ReviewSlot, said: dict[str, Any], key: UUID) -> Answer:
    """Return the answer as the desk's form reads it, or refuse with the form's first reason."""
    dataset = slot.sample.audit.dataset
    form = read_answer({**said, "key": str(key)}, slot.sampled_item.item, dataset)
    if not form.is_valid():
        field, reasons = next(iter(form.errors.items()))
        where = None if field == "__all__" else field
        raise ApiError(422, "invalid", f"{field}: {reasons[0]}", col=where)
    return form.answer


def explain(error: judgments.KeyReusedError | judgments.RefusedError) -> ApiError:
    """Return why nothing was recorded, and which verdict of the person's own stands."""
    if isinstance(error, judgments.KeyReusedError):
        return ApiError(422, "key_reuse", str(error), col="Idempotency-Key")
    if error.standing is None:
        return ApiError(409, "refused", str(error))
    return ApiError(409, "judged", str(error), standing=str(error.standing.idempotency_key))


def tag(judgment: Judgment) -> str:
    """Return the verdict's ETag, another one once it doesn't stand any more."""
    is_replaced = Judgment.objects.filter(supersedes=judgment).exists()
    content = f"{judgment.hash} {is_replaced}"
    return f'"{hashlib.sha256(content.encode()).hexdigest()[:32]}"'


def write_judgment(judgment: Judgment) -> dict[str, Any]:
    """Return one of the person's own verdicts as JSON."""
    return {
        "key": judgment.idempotency_key,
        "slot": judgment.slot_id,
        "item": judgment.slot.sampled_item.item_id,
        "verdict": judgment.verdict,
        "labels": judgment.labels,
        "corrected_label": judgment.corrected_label,
        "severity": judgment.severity,
        "note": judgment.note,
        "source": judgment.source,
        "has_derivation": judgment.has_derivation,
        "mode": judgment.mode,
        "stage": judgment.stage,
        "decided_at": judgment.decided_at,
        "stands": not Judgment.objects.filter(supersedes=judgment).exists(),
    }
