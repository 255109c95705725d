"""Every address of the site denies by default, and no new one is forgotten here."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from audit.models import Audit, Role
from tests.api.operations import OPERATIONS, registered
from tests.factories import make_member, make_project, make_ready_audit, make_sample

pytestmark = pytest.mark.django_db
# `/metrics` is for monitors: tests/audit/test_health.py says who they are.
OPEN_TO_ALL = {"login", "healthz", "readyz", "metrics"}
METHODS = ["get", "post", "put", "patch", "delete", "head", "options"]
# What an annotator may reach in a project of their own; everything else is a 404.
FOR_ANNOTATORS = {
    "home", "home_progress", "desk", "lease", "judge", "undo", "heartbeat", "hand_back",
    "reveal", "refer", "guide", "preferences", "class_search", "item_image", "item_thumb", "login",
    "logout", "healthz", "readyz", "metrics", "api_tokens",
}  # fmt: skip


def all_patterns(resolver: URLResolver | None = None, prefix: str = "") -> dict[str, str]:
    """Return every address of the site by name, parameters still in it."""
    found = {}
    for pattern in (resolver or get_resolver()).url_patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            found[str(pattern.name)] = "/" + route
        else:
            found |= all_patterns(pattern, route)
    return found


def fill(route: str, audit_pk: int, item_pk: int) -> str:
    own = item_pk if route.startswith("/items/") else audit_pk
    if route.startswith("/projects/"):
        own = Audit.objects.get(pk=audit_pk).dataset.project_id
    return (
        route.replace("<int:pk>", str(own))
        .replace("<int:item_pk>", str(item_pk))
        .replace("<path:name>", "labels.csv")
    )


@pytest.mark.parametrize("method", METHODS)
def test_a_stranger_reaches_the_log_in_and_nothing_else(method):
    audit = make_ready_audit()
    item = audit.dataset.items.first()
    client = Client()
    for name, route in all_patterns().items():
        if name in OPEN_TO_ALL:
            continue
        answer = getattr(client, method)(fill(route, audit.pk, item.pk))
        assert answer.status_code in {302, 405}, f"{method} {route}: {answer.status_code}"
        if answer.status_code == 302:
            assert answer.url.startswith("/login/"), f"{method} {route} leads to {answer.url}"


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("method", ["get", "post"])
def test_members_of_another_project_find_nothing(role, method, client):
    audit = make_ready_audit()
    item = audit.dataset.items.first()
    client.force_login(make_member(make_project("Elsewhere"), role))
    for route in all_patterns().values():
        if "<int:pk>" not in route:
            continue
        answer = getattr(client, method)(fill(route, audit.pk, item.pk))
        assert answer.status_code in {404, 405}, f"{method} {route}: {answer.status_code}"


def test_an_annotator_reaches_the_desk_and_no_managers_page(client):
    audit = make_ready_audit()
    make_sample(audit, 4)
    item = audit.dataset.items.first()
    client.force_login(make_member(audit.dataset.project, Role.ANNOTATOR))
    for name, route in all_patterns().items():
        answer = client.get(fill(route, audit.pk, item.pk))
        if name in FOR_ANNOTATORS:
            assert answer.status_code in {200, 204, 302, 405}, f"{route}: {answer.status_code}"
        else:
            assert answer.status_code in {404, 405}, f"{route}: {answer.status_code}"


def test_every_operation_of_the_api_is_listed_with_its_scope_and_none_that_is_not():
    """By that list tests/api/test_access.py tries them all, for every role and scope."""
    listed = {(name, call.method, call.path, call.scope) for name, call in OPERATIONS.items()}
    assert set(registered()) == listed
