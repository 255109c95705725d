"""What came out: reports, comparisons, agreement, calibrations and other measurements."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from django import forms
from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from audit.models import Measurement, Role, Scope
from audit.services.measurements import order_measurement
from reviews.agreement_page import describe_audit_agreement
from reviews.api.access import (
    find_audit,
    find_measurement,
    find_project,
    find_ready_audit,
)
from reviews.api.errors import ApiError
from reviews.api.routes import person, route
from reviews.api.shapes import Body, Document, Id, Page, Text, Window, cut
from reviews.cascade_forms import CascadeForm, SecondPassForm
from reviews.chains import check_chain, describe_checks
from reviews.headlines import tell_headline
from reviews.models import Sample
from reviews.people import describe_people
from reviews.policies import MOST_VOTES, PolicyError, find_policy, list_policies
from reviews.report_cache import find_report
from reviews.reports import PRECISION_TARGET, UnknownMethodError, curves
from reviews.services.measuring import order_cascade, order_second_pass
from reviews.services.releases import save_policy
from reviews.truths import UnknownTruthError

router = Router(tags=["results"])
Name = Annotated[Text, Field(max_length=300)]


class Intervals(StrEnum):
    """How a precision's limits are made."""

    WILSON = "wilson"
    KORN_GRAUBARD = "korn_graubard"


class Wanted(Schema):
    """By which truth and which policy."""

    truth: Name = Field("judgments", description="judgments, votes:NAME or judge:NAME.")
    policy: Name = Field("lenient", description="lenient, strict, custom:A,B or a stored one.")


class WantedReport(Wanted):
    """Which methods' figures, and how their limits are made."""

    methods: list[Name] = Field(default_factory=list, max_length=100, description="All.")
    intervals: Intervals = Intervals.WILSON
    target: float = Field(PRECISION_TARGET, gt=0, lt=1, description="Precision that k keeps.")


class Report(Document):
    """The report as `report --json` prints it."""

    audit: int
    truth: str
    policy: str
    judged: int
    methods: dict[str, dict[str, Any]]
    overlap: list[dict[str, Any]]
    agreement: dict[str, Any]


class Comparison(Schema):
    """Which method to trust, in one sentence, and the figures behind it."""

    truth: str
    policy: str
    headline: dict[str, Any]
    overlap: list[dict[str, Any]]
    equal_detection: list[dict[str, Any]]


class WantedAgreement(Schema):
    """By which policy verdicts are errors."""

    policy: Name = "lenient"
    corrected: bool = Field(default=False, description="With precision corrected by gold.")


class AgreementDoc(Document):
    """How far people agree with each other and with what is known."""

    policy: str
    annotators: int
    votes: int
    coefficients: list[dict[str, Any]]
    pairs: list[dict[str, Any]]


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
    work: Literal["pending", "running", "done", "failed", "cancelled"]
    done: int
    steps: int
    error: str
    created_at: datetime


class MeasurementDoc(MeasurementRow):
    """A set of figures: empty until they are made."""

    order: dict[str, Any]
    document: dict[str, Any]


class Calibrations(Schema):
    """Each expert's calibration, as the audit rests on it."""

    audit: int
    experts: list[dict[str, Any]]


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


class Proof(Schema):
    """Whether the chain over all verdicts holds, as `verify_judgments --json` prints it."""

    intact: bool
    audits: list[dict[str, Any]]


class PersonDoc(Schema):
    """What one member, or somebody who was one, has done."""

    name: str
    role: str
    verdicts: int
    undone: int
    adjudicated: int
    median_seconds: float | None
    per_hour: float | None
    last: datetime | None


class People(Schema):
    """Everybody's activity."""

    people: list[PersonDoc]


class PolicyNames(Schema):
    """The policies that reports and releases may be asked by."""

    policies: list[str]


class PolicyDoc(Document):
    """A policy's definition, as `policy NAME --json` prints it."""

    name: str
    version: int


class NewPolicy(Body):
    """A policy's definition; what is left out is as the lenient one has it."""

    deeds: dict[Text, Text] = Field(default_factory=dict, description="By category of error.")
    needed: int | None = Field(None, ge=1, le=MOST_VOTES)
    asked: int | None = Field(None, ge=1, le=MOST_VOTES)
    undecided: Text | None = None
    without_class: Text | None = None
    adjudicated_first: bool | None = None


@route(router, "GET", "/audits/{audit}/report", Scope.READ, Report, refusals=(409,))
def read_report(request: HttpRequest, audit: Id, wanted: Query[WantedReport]) -> dict[str, Any]:
    """Report every method's precision and detection rate with 95 % intervals."""
    found = find_ready_audit(request, audit)
    is_usual = wanted.model_fields_set <= {"truth", "policy"}
    try:
        if is_usual:
            return find_report(found, wanted.truth, wanted.policy)
        return curves(
            found,
            wanted.truth,
            wanted.policy,
            wanted.methods or None,
            wanted.intervals.value,
            wanted.target,
            equal_detection=True,
        )
    except (UnknownTruthError, PolicyError, UnknownMethodError) as error:
        raise refuse_name(error) from error


@route(router, "GET", "/audits/{audit}/comparison", Scope.READ, Comparison, refusals=(409,))
def compare_methods(request: HttpRequest, audit: Id, wanted: Query[Wanted]) -> dict[str, Any]:
    """Say which method to trust and how far, with every two methods' difference."""
    found = find_ready_audit(request, audit)
    try:
        report = find_report(found, wanted.truth, wanted.policy)
    except (UnknownTruthError, PolicyError) as error:
        raise refuse_name(error) from error
    names = ("truth", "policy", "overlap", "equal_detection")
    return {**{name: report[name] for name in names}, "headline": asdict(tell_headline(report))}


@route(router, "GET", "/audits/{audit}/agreement", Scope.READ, AgreementDoc, refusals=(409,))
def read_agreement(
    request: HttpRequest, audit: Id, wanted: Query[WantedAgreement]
) -> dict[str, Any]:
    """Say how far people agree with each other and with what is known."""
    found = find_ready_audit(request, audit)
    try:
        return describe_audit_agreement(found, wanted.policy, corrected=wanted.corrected)
    except PolicyError as error:
        raise refuse_name(error) from error


@route(router, "GET", "/audits/{audit}/verify", Scope.READ, Proof)
def verify_judgments(request: HttpRequest, audit: Id) -> dict[str, Any]:
    """Check the hash chain over an audit's verdicts."""
    checks = [
        check_chain(sample) for sample in Sample.objects.filter(audit=find_audit(request, audit))
    ]
    return {"intact": not any(check.fault for check in checks), "audits": describe_checks(checks)}


@route(router, "GET", "/audits/{audit}/calibrations", Scope.READ, Calibrations, refusals=(409,))
def read_calibrations(request: HttpRequest, audit: Id) -> dict[str, Any]:
    """Show what each expert's calibration found on both halves, reliability tables included."""
    found = find_ready_audit(request, audit)
    experts = found.experts.select_related("score_set").order_by("order")
    return {
        "audit": found.pk,
        "experts": [{"name": each.name, **each.calibration} for each in experts],
    }


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


@route(router, "GET", "/projects/{project}/people", Scope.READ, People)
def list_people(request: HttpRequest, project: Id) -> dict[str, Any]:
    """Say how much and how fast everybody judges; for the project's admins."""
    found = find_project(request, project, Role.ADMIN)
    return {
        "people": [
            {
                "name": each.name,
                "role": each.role,
                "verdicts": each.pace.n,
                "undone": each.n_undone,
                "adjudicated": each.n_adjudicated,
                "median_seconds": each.pace.median if each.pace.n else None,
                "per_hour": each.pace.per_hour if each.pace.n else None,
                "last": each.last,
            }
            for each in describe_people(found)
        ]
    }


@route(router, "GET", "/projects/{project}/policies", Scope.READ, PolicyNames)
def list_project_policies(request: HttpRequest, project: Id) -> dict[str, Any]:
    """List the policies of a project, the built-in ones first."""
    found = find_project(request, project, Role.MAINTAINER)
    return {"policies": list_policies(found.pk)}


@route(router, "GET", "/projects/{project}/policies/{policy}", Scope.READ, PolicyDoc)
def read_policy(request: HttpRequest, project: Id, policy: Name) -> dict[str, Any]:
    """Show a policy's newest version."""
    found = find_project(request, project, Role.MAINTAINER)
    try:
        rule = find_policy(policy, found.pk)
    except PolicyError as error:
        raise ApiError(404, "not_found", str(error)) from error
    return {"name": rule.name, "version": rule.version, **rule.describe()}


@route(router, "PUT", "/projects/{project}/policies/{policy}", Scope.MANAGE, PolicyDoc)
def store_policy(
    request: HttpRequest, project: Id, policy: Name, body: NewPolicy
) -> dict[str, Any]:
    """Store a policy's next version; where nothing is different, the newest stays."""
    found = find_project(request, project, Role.MAINTAINER)
    definition = body.model_dump(exclude_none=True)
    try:
        rule = save_policy(found, policy, definition, person(request))
    except PolicyError as error:
        raise refuse_name(error) from error
    return {"name": rule.name, "version": rule.version, **rule.describe()}


def refuse_name(error: ValueError) -> ApiError:
    """Return the refusal of a name that there isn't, by which parameter it is."""
    fields = {UnknownTruthError: "truth", PolicyError: "policy", UnknownMethodError: "methods"}
    return ApiError(422, "invalid", str(error), col=fields[type(error)])


def check_form(form: forms.Form) -> None:
    """Refuse what the page's own form refuses, with its first reason."""
    if not form.is_valid():
        field, reasons = next(iter(form.errors.items()))
        where = None if field == "__all__" else field
        raise ApiError(422, "invalid", f"{where or 'body'}: {reasons[0]}", col=where)


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
