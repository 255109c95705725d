"""What came out: reports, comparisons, agreement, calibrations, proofs."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from audit.models import Role, Scope
from reviews.agreement_page import describe_audit_agreement
from reviews.api.access import (
    find_audit,
    find_project,
    find_ready_audit,
)
from reviews.api.errors import ApiError
from reviews.api.routes import route
from reviews.api.shapes import Document, Id, Text
from reviews.chains import check_chain, describe_checks
from reviews.headlines import tell_headline
from reviews.models import Sample
from reviews.people import describe_people
from reviews.policies import PolicyError
from reviews.report_cache import find_report
from reviews.reports import PRECISION_TARGET, UnknownMethodError, curves
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


class Calibrations(Schema):
    """Each expert's calibration, as the audit rests on it."""

    audit: int
    experts: list[dict[str, Any]]


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


def refuse_name(error: ValueError) -> ApiError:
    """Return the refusal of a name that there isn't, by which parameter it is."""
    fields = {UnknownTruthError: "truth", PolicyError: "policy", UnknownMethodError: "methods"}
    return ApiError(422, "invalid", str(error), col=fields[type(error)])
