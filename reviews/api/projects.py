"""Who is asking, their projects, and who else is in them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Query, Router, Schema

from audit.models import ApiToken, Membership, Project, Role, Scope
from reviews.api.routes import person, route
from reviews.api.shapes import Id, Page, Window, cut

router = Router(tags=["projects"])


class TokenDoc(Schema):
    """The token of this request, without its secret."""

    name: str
    prefix: str
    scopes: list[str]
    project: int | None
    expires_at: datetime


class Me(Schema):
    """Whose token it is."""

    username: str
    token: TokenDoc


class ProjectDoc(Schema):
    """A project, and the role that the token's person has in it."""

    id: int
    slug: str
    name: str
    role: str


class Member(Schema):
    """One person's role in a project."""

    username: str
    role: str
    is_active: bool


@route(router, "GET", "/me", Scope.READ, Me)
def read_me(request: HttpRequest) -> dict[str, Any]:
    """Say whose token this is, and what it is good for."""
    token: ApiToken = request.auth  # type: ignore[attr-defined]
    return {
        "username": person(request).username,
        "token": {
            "name": token.name,
            "prefix": token.prefix,
            "scopes": token.scope_names,
            "project": token.project_id,
            "expires_at": token.expires_at,
        },
    }


@route(router, "GET", "/projects", Scope.READ, Page[ProjectDoc])
def list_projects(request: HttpRequest, window: Query[Window]) -> dict[str, Any]:
    """List the projects that are open to the token."""
    user = person(request)
    roles = dict(Membership.objects.filter(user=user).values_list("project", "role"))
    return cut(
        Project.objects.open_to(user),
        window,
        lambda project: write_project(project, roles[project.pk]),
    )


@route(router, "GET", "/projects/{project}", Scope.READ, ProjectDoc)
def read_project(request: HttpRequest, project: Id) -> dict[str, Any]:
    """Show one project."""
    user = person(request)
    found = get_object_or_404(Project.objects.open_to(user), pk=project)
    return write_project(found, Membership.objects.get(project=found, user=user).role)


@route(router, "GET", "/projects/{project}/members", Scope.READ, Page[Member])
def list_members(request: HttpRequest, project: Id, window: Query[Window]) -> dict[str, Any]:
    """List a project's people and their roles; for its admins."""
    found = get_object_or_404(Project.objects.open_to(person(request), Role.ADMIN), pk=project)
    members = found.memberships.select_related("user")
    return cut(members, window, write_member)


def write_project(project: Project, role: int) -> dict[str, Any]:
    """Return a project as JSON; `role` is the asking person's."""
    words = {"slug": project.slug, "name": project.name, "role": Role(role).label}
    return {"id": project.pk, **words}


def write_member(member: Membership) -> dict[str, Any]:
    """Return a member as JSON."""
    user = member.user
    return {
        "username": user.username,
        "role": member.get_role_display(),
        "is_active": user.is_active,
    }
