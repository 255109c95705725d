"""Every operation x scope x role: what isn't listed fails, what is of others isn't there."""

from __future__ import annotations

import hashlib

import pytest
from django.apps import apps
from django.test import Client

from audit.models import ApiToken, Membership, Role, Scope
from reviews.services.releases import order_release, save_policy
from tests.api.callers import START, caller, send
from tests.api.operations import OPERATIONS, SAID, Call
from tests.api.scene import make_scene
from tests.factories import make_member, make_project, make_ready_audit, make_sample
from tests.reviews.situations import judge

pytestmark = pytest.mark.django_db
CHILDREN = {name: call for name, call in OPERATIONS.items() if "{" in call.path}


def test_every_operation_is_described():
    paths = Client().get(f"{START}/openapi.json").json()["paths"]
    described = {
        (operation["operationId"], method.upper(), path.removeprefix(START).replace("{path:", "{"))
        for path, methods in paths.items()
        for method, operation in methods.items()
    }
    assert described == {(name, call.method, call.path) for name, call in OPERATIONS.items()}


def run(client: Client, call: Call, scene):
    path = call.path.format(**scene.numbers) + ("?" + call.query if call.query else "")
    return send(client, call.method, path, call.body, **call.headers)


def hash_rows() -> str:
    """All rows of every table but for tokens, whose last use is noted."""
    digest = hashlib.sha256()
    for model in apps.get_models():
        if model is not ApiToken:
            digest.update(repr(list(model._base_manager.order_by("pk").values())).encode())
    return digest.hexdigest()


@pytest.fixture
def scene():
    return make_scene()


@pytest.mark.row("A03")
def test_a_stranger_is_told_to_bring_a_token_and_nothing_else(scene):
    logged_in = Client()
    logged_in.force_login(scene.member(Role.ADMIN))
    wrong = Client(headers={"Authorization": "Bearer laudit_" + "a" * 43})
    before = hash_rows()
    for client in (Client(), logged_in, wrong):
        for name, call in OPERATIONS.items():
            answer = run(client, call, scene)
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated"), name
    assert hash_rows() == before


def test_a_token_without_the_scope_is_refused_everywhere(scene):
    admin = scene.member(Role.ADMIN)
    others = {
        scope: caller(admin, *(each for each in Scope.values if each != scope))
        for scope in Scope.values
    }
    before = hash_rows()
    for name, call in OPERATIONS.items():
        answer = run(others[call.scope], call, scene)
        assert (answer.status_code, answer.json()["code"]) == (403, "scope"), name
    assert hash_rows() == before


@pytest.mark.row("A03")
@pytest.mark.parametrize("role", list(Role))
def test_what_belongs_to_another_project_is_not_there(scene, role):
    stranger = make_member(make_project("Elsewhere"), role)
    limited = scene.member(Role.ADMIN)
    elsewhere = make_project("Elsewhere too")
    Membership.objects.create(project=elsewhere, user=limited, role=role)
    callers = (caller(stranger), caller(limited, project=elsewhere))
    before = hash_rows()
    for client in callers:
        for name, call in CHILDREN.items():
            answer = run(client, call, scene)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), name
    assert hash_rows() == before


@pytest.mark.parametrize("role", list(Role))
def test_a_role_finds_what_it_may_use_and_nothing_above(scene, role):
    client = caller(scene.member(role))
    before = hash_rows()
    for name, call in CHILDREN.items():
        if role < call.role or call.is_own:
            answer = run(client, call, scene)
            assert answer.status_code == 404, f"{name}: {answer.content!r}"
    assert hash_rows() == before
    for name, call in CHILDREN.items():
        if role >= call.role and not call.is_own:
            answer = run(client, call, scene)
            assert answer.status_code < 300 or answer.status_code in {409, 422}, (
                f"{name}: {answer.content!r}"
            )


@pytest.mark.row("A04")
def test_what_belongs_to_one_audit_is_not_there_by_way_of_another(scene):
    """Both projects are the caller's own: only the mix is refused."""
    person = scene.member(Role.ADMIN)
    other = make_ready_audit()
    Membership.objects.create(project=other.dataset.project, user=person, role=Role.ADMIN)
    (said,) = judge(make_sample(other, 4), {0: ("wrong_label", 1)}, person)
    for _ in range(2):  # the second one has a number that none of the first audit's has
        order_release(other, "lenient", person)
    save_policy(other.dataset.project, "elsewhere", {})
    client = caller(person)
    here, desk = f"/audits/{scene.audit.pk}", f"/audits/{scene.audit.pk}/review"
    there = f"/audits/{other.pk}/review"
    claimed = send(client, "POST", f"{there}/claim", {}).json()["items"][0]
    before, key = hash_rows(), said.idempotency_key
    item = other.dataset.items.first().pk
    new = {"Idempotency-Key": "3f2504e0-4f89-41d3-9a0c-0305e82c3311"}
    tried = [
        ("GET", f"{here}/adjudication/{item}", None, {}, {404}),
        ("POST", f"{here}/adjudication/{item}", OPERATIONS["decide"].body, {}, {404}),
        ("GET", f"{here}/releases/diff?before=1&after=2", None, {}, {404}),
        ("GET", f"/projects/{scene.audit.dataset.project_id}/policies/elsewhere", None, {}, {404}),
        ("GET", f"{desk}/judgments/{key}", None, {}, {404}),
        ("PUT", f"{desk}/judgments/{key}", SAID, new, {404}),
        ("POST", f"{desk}/judgments/{key}/undo", None, new, {404}),
        ("POST", f"{desk}/judgments/{key}/reveal", None, {}, {404}),
        ("POST", f"{desk}/judgments", SAID | {"ticket": claimed["ticket"]}, new, {404}),
        ("POST", f"{desk}/refer", {"slot": claimed["slot"]}, {}, {404}),
        ("POST", f"{desk}/hand-back", {"slots": [claimed["slot"]]}, {}, {200}),
    ]
    for method, path, body, headers, expected in tried:
        answer = send(client, method, path, body, **headers)
        assert answer.status_code in expected, f"{method} {path}: {answer.content!r}"
    assert answer.json() == {"opened": 0}
    assert hash_rows() == before
