"""Measurements: figures that a worker makes, ordered, watched, stopped and taken up again."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from audit.models import Measurement, Scope
from audit.services import claims
from audit.services.measurements import order_measurement
from reviews.api.access import find_audit, find_measurement, find_ready_audit
from reviews.api.errors import check_form
from reviews.api.routes import person, route
from reviews.api.shapes import Body, Id, Page, Text, Window, Work, WorkChanged, cut, write_change
from reviews.cascade_forms import CascadeForm, SecondPassForm
from reviews.services.measuring import order_cascade, order_second_pass

router = Router(tags=["measurements"])
Name = Annotated[Text, Field(max_length=300)]


class Kind(StrEnum):
    """What is measured."""

    CALIBRATORS = "calibrators"
    CASCADE = "cascade"
    SECOND_PASS = "second_pass"  # noqa: S105 - no password


class MeasurementWindow(Window):
    """Which part of the measurements, and of which kind."""

    kind: Kind | None = None


class MeasurementRow(Schema):
    """A set of figures that a worker makes, without them."""

    id: int
    audit: int
    kind: Kind
    number: int
    work: Work
    done: int
    steps: int
    error: str
    created_at: datetime


class MeasurementDoc(MeasurementRow):
    """A set of figures: empty until they are made."""

    order: dict[str, Any]
    document: dict[str, Any]


class NewCascade(Body):
    """Two experts as one, and what they are measured by."""

    small: Name
    large: Name
    labels: Name = Field("given", description="given, cleaned:AUDIT, release:AUDIT/N, votes:NAME.")
    policy: Name = "lenient"
    calibrator: Name = "temperature"
    bins: int = Field(15, ge=1, le=500)
    test_dataset: Name = Field("", description="Another data set's name to measure on.")


class NewSecondPass(Body):
    """Which labels every expert is measured on once more."""

    labels: Name
    policy: Name = "lenient"
    calibrator: Name = "temperature"
    bins: int = Field(15, ge=1, le=500)


@route(router, "GET", "/audits/{audit}/measurements", Scope.READ, Page[MeasurementRow])
def list_measurements(
    request: HttpRequest, audit: Id, window: Query[MeasurementWindow]
) -> dict[str, Any]:
    """List an audit's measurements, the oldest first."""
    rows = Measurement.objects.filter(audit=find_audit(request, audit))
    if window.kind is not None:
        rows = rows.filter(kind=window.kind.value)
    return cut(rows, window, write_row)


@route(router, "GET", "/measurements/{measurement}", Scope.READ, MeasurementDoc)
def read_measurement(request: HttpRequest, measurement: Id) -> dict[str, Any]:
    """Show a measurement with its figures, once a worker has made them."""
    return write_measurement(find_measurement(request, measurement))


@route(router, "POST", "/measurements/{measurement}/cancel", Scope.MANAGE, WorkChanged)
def stop_measurement(request: HttpRequest, measurement: Id) -> dict[str, Any]:
    """Stop a measurement; nothing is left of it but its order."""
    found = find_measurement(request, measurement)
    return write_change(found, changed=claims.cancel(found))


@route(router, "POST", "/measurements/{measurement}/resume", Scope.MANAGE, WorkChanged)
def continue_measurement(request: HttpRequest, measurement: Id) -> dict[str, Any]:
    """Have a cancelled or failed measurement made, from its beginning, on the same verdicts."""
    found = find_measurement(request, measurement)
    return write_change(found, changed=claims.resume(found))


@route(
    router, "POST", "/audits/{audit}/calibrators", Scope.MANAGE, MeasurementDoc, status=201,
    refusals=(409,),
)  # fmt: skip
def measure_calibrators(request: HttpRequest, audit: Id) -> dict[str, Any]:
    """Have a worker fit every calibrator side by side."""
    found = find_ready_audit(request, audit)
    kind = Measurement.Kind.CALIBRATORS
    return write_measurement(order_measurement(found, kind, {}, person(request)))


@route(
    router, "POST", "/audits/{audit}/cascades", Scope.MANAGE, MeasurementDoc, status=201,
    refusals=(409,),
)  # fmt: skip
def measure_cascade(request: HttpRequest, audit: Id, body: NewCascade) -> dict[str, Any]:
    """Have a worker measure two experts as one."""
    found = find_ready_audit(request, audit)
    form = CascadeForm(_as_form(body), audit=found, user=person(request))
    check_form(form)
    return write_measurement(order_cascade(found, form.order, form.other_dataset, person(request)))


@route(
    router, "POST", "/audits/{audit}/second-passes", Scope.MANAGE, MeasurementDoc, status=201,
    refusals=(409,),
)  # fmt: skip
def measure_second_pass(request: HttpRequest, audit: Id, body: NewSecondPass) -> dict[str, Any]:
    """Have a worker measure every expert by cleaned beside given labels."""
    found = find_ready_audit(request, audit)
    form = SecondPassForm(_as_form(body), audit=found)
    check_form(form)
    return write_measurement(order_second_pass(found, form.order, person(request)))


def _as_form(body: NewCascade | NewSecondPass) -> dict[str, Any]:
    said = body.model_dump()
    return {**said, "n_bins": said.pop("bins")}


def write_row(row: Measurement) -> dict[str, Any]:
    """Return a measurement as JSON, without its figures."""
    return {
        "id": row.pk,
        "audit": row.audit_id,
        "kind": row.kind,
        "number": row.number,
        "work": row.work,
        "done": row.n_done,
        "steps": row.n_steps,
        "error": row.error,
        "created_at": row.created_at,
    }


def write_measurement(row: Measurement) -> dict[str, Any]:
    """Return a measurement as JSON."""
    return {**write_row(row), "order": row.order, "document": row.document}
