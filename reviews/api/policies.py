"""Policies: which verdicts are errors, and what a release makes of them. Version by version."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from audit.models import Role, Scope
from reviews.api.access import find_project
from reviews.api.errors import ApiError
from reviews.api.routes import person, route
from reviews.api.shapes import Body, Document, Id, Text
from reviews.policies import MOST_VOTES, PolicyError, find_policy, list_policies
from reviews.services.releases import save_policy

router = Router(tags=["policies"])
Name = Annotated[Text, Field(max_length=300)]


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
        raise ApiError(422, "invalid", str(error), col="policy") from error
    return {"name": rule.name, "version": rule.version, **rule.describe()}
