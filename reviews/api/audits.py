"""Audits: started, watched, stopped, taken up again; their queues."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from typing import Any, Literal

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema
from pydantic import Field

from audit.methods import CALIBRATED_ENSEMBLE, order_methods
from audit.models import Audit, Flag, Role, Scope
from audit.queue_filters import FILTERS
from audit.queue_narrowing import Wanted, narrow, within_bins
from audit.services.audits import (
    MAX_SEED,
    AuditRefusedError,
    cancel_audit,
    resume_audit,
    set_urgent,
    start_audit,
)
from audit.services.progress import expert_progress
from audit.services.sent_requests import Sent
from audit.services.summary import describe_audit
from reviews.api.access import find_audit, find_dataset, find_ready_audit
from reviews.api.errors import ApiError
from reviews.api.keys import IdempotencyKey, make_once
from reviews.api.routes import person, route
from reviews.api.shapes import LARGEST, Body, Document, Id, Page, Text, Window, cut

router = Router(tags=["audits"])
State = Literal["scoring", "calibrating", "ready", "failed", "cancelled"]
MOST_EXPERTS = 50


class AuditRow(Schema):
    """An audit in a list."""

    id: int
    dataset: int
    state: State
    disputed: int | None


class AuditDoc(Document):
    """An audit as `audit --json` prints it, with how far each expert is."""

    audit: int
    state: State
    items: int
    quarantined: int
    disputed: int | None
    experts: list[dict[str, Any]]
    queues: dict[str, int | list[int]]
    progress: list[dict[str, Any]]
    error: str


class BinsOver(StrEnum):
    """Which items the confidence bins are cut over."""

    DISPUTED = "disputed"
    ALL = "all"


class Calibrator(StrEnum):
    """How confidences are calibrated."""

    TEMPERATURE = "temperature"
    PLATT = "platt"
    HISTOGRAM = "histogram"
    ISOTONIC = "isotonic"
    NONE = "none"


class NewAudit(Body):
    """Two or more experts, and the parameters with the paper's defaults."""

    experts: list[Text] = Field(max_length=MOST_EXPERTS, examples=[["timm:a", "timm:b"]])
    bins: int = Field(15, ge=1, le=1000)
    bins_over: BinsOver = BinsOver.DISPUTED
    calibrator: Calibrator = Calibrator.TEMPERATURE
    require_agreement: bool = False
    seed: int = Field(0, ge=0, lt=MAX_SEED)
    urgent: bool = Field(default=False, description="Score its items before everybody else's.")


class Urgency(Body):
    """Whether an audit's items come first."""

    urgent: bool


class Changed(Schema):
    """Whether there was anything to change, and the state that it is in now."""

    changed: bool
    state: State


class Agreement(StrEnum):
    """Whether the experts agree on what they say instead of the label."""

    YES = "yes"
    NO = "no"


class QueueWindow(Window):
    """Which flags of a method, and which part of them."""

    method: Text | None = Field(None, description="By default the first that the audit has.")
    k: int | None = Field(None, ge=1, le=1000, description="The k most confident bins.")
    bin: int | None = Field(None, ge=1, le=1000, description="One bin.")
    n: int | None = Field(None, ge=1, le=LARGEST, description="The first n of a ranking.")
    label: int | None = Field(None, ge=0, le=LARGEST, description="The given label.")
    proposed: int | None = Field(None, ge=0, le=LARGEST, description="The proposed label.")
    agree: Agreement | None = None
    subject: Text | None = None
    verdict: Text | None = Field(
        None, description="judged, unjudged, or what somebody said of the item."
    )


class FlagDoc(Schema):
    """One item that a method calls suspect."""

    rank: int
    item: int
    key: str
    given_label: int
    proposed_label: int
    score: float
    bin: int | None
    experts_agree: bool


@route(router, "GET", "/audits", Scope.READ, Page[AuditRow])
def list_audits(request: HttpRequest, window: Query[Window]) -> dict[str, Any]:
    """List the audits that the person may read."""
    audits = Audit.objects.open_to(person(request), Role.MAINTAINER)
    return cut(audits, window, write_row)


@route(
    router, "POST", "/datasets/{dataset}/audits", Scope.MANAGE, AuditDoc, status=201,
    refusals=(409,),
)  # fmt: skip
def create_audit(
    request: HttpRequest,
    response: HttpResponse,
    dataset: Id,
    body: NewAudit,
    idempotency_key: IdempotencyKey = None,
) -> dict[str, Any]:
    """Start an audit; experts without scores are run by the workers."""
    found = find_dataset(request, dataset)
    chosen = body.model_dump()
    urgent, bins = chosen.pop("urgent"), chosen.pop("bins")

    @transaction.atomic
    def make(sent: Sent | None) -> Audit:
        user = person(request)
        audit = start_audit(found, **chosen, n_bins=bins, created_by=user, sent=sent)
        if urgent:
            set_urgent(audit, is_urgent=True)
        return audit

    try:
        audits = Audit.objects.filter(dataset=found)
        return write_audit(make_once(request, response, idempotency_key, body, make, audits))
    except AuditRefusedError as refusal:
        raise ApiError(409, "refused", str(refusal), col="experts") from refusal


@route(router, "GET", "/audits/{audit}", Scope.READ, AuditDoc)
def read_audit(request: HttpRequest, audit: Id) -> dict[str, Any]:
    """Show an audit: how far it is, and at the end its figures."""
    return write_audit(find_audit(request, audit))


@route(router, "POST", "/audits/{audit}/cancel", Scope.MANAGE, Changed)
def stop_audit(request: HttpRequest, audit: Id) -> dict[str, Any]:
    """Stop an audit; what is scored stays scored."""
    found = find_audit(request, audit)
    return _changed(found, changed=cancel_audit(found, person(request)))


@route(router, "POST", "/audits/{audit}/resume", Scope.MANAGE, Changed)
def continue_audit(request: HttpRequest, audit: Id) -> dict[str, Any]:
    """Take up a cancelled or failed audit where it stopped."""
    found = find_audit(request, audit)
    return _changed(found, changed=resume_audit(found, person(request)))


@route(router, "POST", "/audits/{audit}/urgent", Scope.MANAGE, Changed)
def hurry_audit(request: HttpRequest, audit: Id, body: Urgency) -> dict[str, Any]:
    """Score an audit's items first, or in turn again."""
    found = find_audit(request, audit)
    set_urgent(found, is_urgent=body.urgent)
    return _changed(found, changed=found.is_urgent != body.urgent)


@route(router, "GET", "/audits/{audit}/queue", Scope.READ, Page[FlagDoc], refusals=(409,))
def list_queue(request: HttpRequest, audit: Id, window: Query[QueueWindow]) -> dict[str, Any]:
    """List what a method flags, the first to look at first. `cursor` is a rank."""
    found = find_ready_audit(request, audit)
    wanted = read_wanted(found, window)
    flags = narrow(found, found.flags.of_method(wanted.method), wanted)
    narrowed = within_bins(flags, wanted).select_related("item")
    return cut(narrowed, window, write_flag, place="rank")


def read_wanted(audit: Audit, window: QueueWindow) -> Wanted:
    """Return what narrows the queue; unlike the page, what makes no sense is refused."""
    methods = order_methods(audit.queue_counts)
    method = window.method or (methods[0] if methods else CALIBRATED_ENSEMBLE)
    if window.method and method not in methods:
        known = ", ".join(methods)
        raise ApiError(422, "invalid", f"method: there are {known}", col="method")
    added = [(name, value) for name, value in (("verdict", window.verdict),) if value]
    for name, value in added:
        known = ", ".join(dict(FILTERS[name].choices(audit.dataset)))
        if value not in known.split(", "):
            raise ApiError(422, "invalid", f"{name}: there are {known}", col=name)
    has_bins = method == CALIBRATED_ENSEMBLE
    for name in ("n",) if has_bins else ("k", "bin"):
        if getattr(window, name) is not None:
            message = f"{name}: {method} has {'bins, no ranking' if has_bins else 'no bins'}"
            raise ApiError(422, "invalid", message, col=name)
    n_bins = audit.n_bins if has_bins else 0
    return Wanted(
        method=method,
        n_bins=n_bins,
        k=min(window.k or n_bins, n_bins),
        bin=window.bin,
        first=window.n,
        label=window.label,
        proposed=window.proposed,
        agree=None if window.agree is None else window.agree == Agreement.YES,
        subject=window.subject,
        added=tuple(added),
        page=1,
    )


def _changed(audit: Audit, *, changed: bool) -> dict[str, Any]:
    audit.refresh_from_db()
    return {"changed": changed, "state": audit.state}


def write_row(audit: Audit) -> dict[str, Any]:
    """Return an audit of a list as JSON."""
    about = {"state": audit.state, "disputed": audit.n_disputed}
    return {"id": audit.pk, "dataset": audit.dataset_id, **about}


def write_audit(audit: Audit) -> dict[str, Any]:
    """Return an audit as the command prints it, with its progress."""
    progress = [asdict(each) for each in expert_progress(audit)]
    return {**describe_audit(audit), "progress": progress, "error": audit.error}


def write_flag(flag: Flag) -> dict[str, Any]:
    """Return a flag as JSON."""
    return {
        "rank": flag.rank,
        "item": flag.item_id,
        "key": flag.item.key,
        "given_label": flag.item.given_label,
        "proposed_label": flag.proposed_label,
        "score": flag.score,
        "bin": flag.bin_rank,
        "experts_agree": flag.experts_agree,
    }
