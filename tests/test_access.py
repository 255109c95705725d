"""Every address, verb and kind of caller: who finds what, and that nothing else changes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from audit.models import ApiToken, Audit, Measurement, Membership, Project, Role
from audit.services.api_tokens import make_token
from reviews.models import KnownItem, Release
from reviews.services.leases import claim_slots
from reviews.services.releases import build_release, order_release
from tests.api.operations import OPERATIONS, registered
from tests.factories import make_member, make_project, make_ready_audit, make_sample
from tests.reviews.situations import judge
from tests.reviews.test_releases import make_judged_audit

pytestmark = pytest.mark.django_db
METHODS = ["get", "post", "put", "patch", "delete", "head", "options"]
# Every address by the least role that finds it and the verbs it takes. "own" is about the person
# alone; "nobody" needs no log-in. An address that isn't here fails the tests.
ROUTES = {
    ("nobody", "get head post"): "login",
    # `/metrics` is for monitors: tests/audit/test_health.py says who they are.
    ("nobody", "get head"): "healthz readyz metrics",
    ("own", "get"): "home home_progress",
    ("own", "get post"): "confirm api_tokens",
    ("own", "get head post"): "password",
    ("own", "post"): "logout revoke_api_token",
    (Role.ANNOTATOR, "get head"): "desk guide class_search item_image item_thumb",
    (Role.ANNOTATOR, "post"): """lease judge undo reveal refer preferences heartbeat hand_back""",
    (Role.MAINTAINER, "get"): """audit_timeline
        curves cascade_list cascade_data cascade_csv cascade_table
        second_pass_progress second_pass_data sampling ledger_csv curves_points curves_data
        curves_csv overlap_csv differences_csv curves_plan queue_figures queue_told adjudication
        agreement agreement_csv release_list audit_estimate audit_detail audit_progress
        calibration calibrators_progress class_calibration class_calibration_csv queue queue_pairs
        queue_csv queue_item queue_pairs_csv curves_plan_csv""",
    (Role.MAINTAINER, "get head"): "release_diff release_archive release_file",
    (Role.MAINTAINER, "get post"): "cascade second_pass adjudicate_item releases audit_new",
    (Role.MAINTAINER, "post"): """draw_sample save_policy audit_cancel audit_resume audit_urgent
        measure_calibrators measurement_cancel measurement_resume release_cancel
        release_resume""",
    (Role.ADMIN, "get"): "people people_csv log",
    (Role.ADMIN, "get post"): "gold",
    (Role.ADMIN, "post"): "change_members retire_gold",
}  # fmt: skip
NEEDED = {name: role for (role, _), names in ROUTES.items() for name in names.split()}
VERBS = {name: verbs.split() for (_, verbs), names in ROUTES.items() for name in names.split()}
# Nothing was measured in the scene, so there is nothing behind these yet.
NOT_MEASURED = {"cascade_data", "cascade_csv", "cascade_table", "second_pass_data"}
QUERIES = {  # what an address can't answer without
    "release_diff": "?before=1&after=1",
    "curves_plan_csv": "?goal=precision&width=0.2&k=3",
}
FORMS_ALONE = {"audit_new", "audit_estimate"}  # about no project: whoever has the role anywhere


def all_patterns(resolver: URLResolver | None = None, prefix: str = "") -> dict[str, str]:
    """Return every address of the site by name, parameters still in it."""
    found = {}
    for pattern in (resolver or get_resolver()).url_patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            assert str(pattern.name) not in found, f"two addresses are named {pattern.name}"
            found[str(pattern.name)] = "/" + route
        else:
            found |= all_patterns(pattern, route)
    return found


def fill(route: str, audit_pk: int, item_pk: int) -> str:
    """The address about an audit, its project or an item of it, as other tests fill them in."""
    own = item_pk if route.startswith("/items/") else audit_pk
    if route.startswith("/projects/"):
        own = Audit.objects.get(pk=audit_pk).dataset.project_id
    return (
        route.replace("<int:pk>", str(own))
        .replace("<int:item_pk>", str(item_pk))
        .replace("<path:name>", "labels.csv")
    )


@dataclass(frozen=True)
class Scene:
    """A project with something behind every address, and its admin."""

    audit: Audit
    release: Release
    known: KnownItem
    token: ApiToken
    measurement: Measurement
    admin: User

    @property
    def project(self) -> Project:
        return self.audit.dataset.project

    def fill(self, name: str, route: str) -> str:
        """The address of the scene's own object."""
        first = route.split("/")[1]
        numbers = {
            "audits": self.audit.pk,
            "items": self.item,
            "projects": self.project.pk,
            "known-items": self.known.pk,
            "releases": self.release.pk,
            "tokens": self.token.pk,
            "measurements": self.measurement.pk,
        }
        path = route.replace("<int:pk>", str(numbers.get(first, "")))
        path = path.replace("<int:item_pk>", str(self.item))
        path = path.replace("<path:name>", "manifest.json")
        return path + QUERIES.get(name, "")

    @property
    def item(self) -> int:
        return self.audit.dataset.items.get(position=0).pk


def make_scene() -> Scene:
    audit = make_judged_audit()
    admin = make_member(audit.dataset.project, Role.ADMIN)
    release = order_release(audit, "lenient", admin)
    assert build_release(release.pk)
    known = KnownItem.objects.create(
        audit=audit,
        item=audit.dataset.items.get(position=7),
        use=KnownItem.Use.GOLD,
        verdict="label_correct",
        origin=KnownItem.Origin.BY_HAND,
        marked_by=admin,
    )
    token, _ = make_token(admin, "night run 7", ["read"])
    measurement = Measurement.objects.create(
        audit=audit, kind=Measurement.Kind.CALIBRATORS, number=1, work="failed", error="no scores"
    )
    return Scene(audit, release, known, token, measurement, admin)


def make_caller(kind: str, scene: Scene) -> tuple[Client, Role | None]:
    """Return a client of one of the eight kinds, and the role it has in the scene's project."""
    client = Client()
    if kind == "nobody":
        return client, None
    roles = {"annotator": Role.ANNOTATOR, "maintainer": Role.MAINTAINER}
    role = roles.get(kind.split(maxsplit=1)[0], Role.ADMIN)
    is_foreign = kind.endswith("elsewhere")
    person = make_member(make_project("Elsewhere") if is_foreign else scene.project, role)
    client.force_login(person)
    if kind == "was admin":
        Membership.objects.filter(user=person).delete()
    if kind == "closed account":
        User.objects.filter(pk=person.pk).update(is_active=False)
    has_role = kind in {"annotator", "maintainer", "admin"}
    return client, role if has_role else None


def hash_rows(but: tuple[type, ...] = (Session,)) -> dict[str, str]:
    """All rows of every table, hashed: what a request changed shows by the table's name."""
    return {
        model.__name__: hashlib.sha256(
            repr(list(model._base_manager.order_by("pk").values())).encode()
        ).hexdigest()
        for model in apps.get_models()
        if model not in but
    }


@pytest.mark.row("A02", "G08")
def test_every_address_is_listed_with_who_finds_it_and_none_that_is_not_there():
    assert set(NEEDED) == set(all_patterns())
    assert len(NEEDED) == sum(len(names.split()) for names in ROUTES.values())


KINDS = ["nobody", "annotator elsewhere", "maintainer elsewhere", "admin elsewhere", "annotator",
         "maintainer", "admin", "was admin", "closed account"]  # fmt: skip


@pytest.mark.row("A02", "A03", "A26")
@pytest.mark.parametrize("kind", KINDS)
def test_a_caller_finds_what_is_for_their_role_and_changes_nothing_elsewhere(kind):
    scene = make_scene()
    client, role = make_caller(kind, scene)
    logged_out = kind in {"nobody", "closed account"}
    foreign_maker = kind in {"maintainer elsewhere", "admin elsewhere"}
    # The rarer verbs meet the same decorators whoever asks.
    methods = METHODS if kind in {"nobody", "admin elsewhere", "admin"} else METHODS[:2]
    before = hash_rows()
    allowed = []
    for name, route in all_patterns().items():
        needed, address = NEEDED[name], scene.fill(name, route)
        for method in methods:
            said = f"{method} {address}"
            if needed == "nobody" or (needed == "own" and not logged_out):
                continue
            if not logged_out and isinstance(role, Role) and role >= needed:
                allowed.append((name, method, address))
                continue
            answer = getattr(client, method)(address)
            if logged_out:
                assert answer.status_code == 302, said
                assert answer.url.startswith("/login/?next="), said
            elif foreign_maker and name in FORMS_ALONE:
                assert answer.status_code in {200, 422, 405}, said
            else:
                expected = 404 if method in VERBS[name] else 405
                assert answer.status_code == expected, f"{said}: {answer.status_code}"
    assert hash_rows() == before
    for name, method, address in allowed:
        answer = getattr(client, method)(address)
        if method not in VERBS[name]:
            assert answer.status_code == 405, f"{method} {address}: {answer.status_code}"
        elif method == "post":
            found = {200, 302, 400, 422}
            assert answer.status_code in found, f"{method} {address}: {answer.status_code}"
        else:
            found = {404} if name in NOT_MEASURED else {200, 204}
            assert answer.status_code in found, f"{method} {address}: {answer.status_code}"


@pytest.mark.row("A02", "A03")
def test_what_is_a_persons_own_is_nobody_elses(client):
    scene = make_scene()
    client.force_login(make_member(scene.project, Role.ADMIN))
    assert client.post(f"/tokens/{scene.token.pk}/revoke/").status_code == 404
    scene.token.refresh_from_db()
    assert scene.token.revoked_at is None
    assert "night run 7" not in client.get("/tokens/").content.decode()
    for name, route in all_patterns().items():
        if NEEDED[name] == "own":
            for method in set(METHODS) - set(VERBS[name]):
                answer = getattr(client, method)(scene.fill(name, route))
                assert answer.status_code == 405, f"{method} {route}: {answer.status_code}"


@pytest.mark.row("A07")
def test_reading_every_page_as_an_admin_changes_nothing(client):
    scene = make_scene()
    client.force_login(scene.admin)
    before = hash_rows(but=())
    n_read = 0
    ways = [("get", {}), ("head", {}), ("options", {}), ("get", {"HTTP_HX_REQUEST": "true"}),
            ("get", {"HTTP_X_HTTP_METHOD_OVERRIDE": "POST"})]  # fmt: skip
    for name, route in all_patterns().items():
        address = scene.fill(name, route)
        sign = "&" if "?" in address else "?"
        for method, headers in ways:
            answer = getattr(client, method)(f"{address}{sign}_method=POST&act=plan", **headers)
            n_read += answer.status_code == 200
    assert n_read > 100
    assert hash_rows(but=()) == before


@pytest.mark.row("A07")
@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded", "text/plain", "application/json"]
)
def test_another_site_makes_nobody_change_anything(kind):
    scene = make_scene()
    client = Client(enforce_csrf_checks=True)
    client.force_login(scene.admin)
    client.get("/")  # the cookie is there, as in a real browser
    before = hash_rows()
    for name, route in all_patterns().items():
        if "post" not in VERBS[name]:
            continue
        answer = client.post(
            scene.fill(name, route), '{"act": "take"}', kind,
            headers={"Origin": "https://evil.example", "Referer": "https://evil.example/"},
        )  # fmt: skip
        assert answer.status_code == 403, f"{name}: {answer}"
    assert hash_rows() == before


@pytest.mark.row("A04")
def test_an_object_of_one_audit_is_not_found_by_way_of_another():
    """Both projects are the caller's own: only the mix is refused."""
    scene, other = make_scene(), make_ready_audit()
    sample = make_sample(other, 4)
    person = make_member(scene.project, Role.ADMIN)
    Membership.objects.create(project=other.dataset.project, user=person, role=Role.ADMIN)
    client = Client()
    client.force_login(person)
    (said,) = judge(sample, {0: "label_correct"}, person)
    slot = claim_slots(sample, person)[0]
    lease = client.post(f"/audits/{other.pk}/review/lease/", {}, "application/json").json()
    ticket = lease["items"][0]["ticket"]
    foreign = other.dataset.items.first().pk
    before = hash_rows()
    for name, route in all_patterns().items():
        if "<int:item_pk>" in route:
            address = route.replace("<int:pk>", str(scene.audit.pk))
            address = address.replace("<int:item_pk>", str(foreign))
            for method in VERBS[name]:
                assert getattr(client, method)(address).status_code == 404, f"{method} {address}"
    key, mine = "6f2f6c3e-2a50-4d8e-9b1a-7f3f9f3f0001", str(said.idempotency_key)
    verdict = {"key": key, "ticket": ticket, "verdict": "label_correct", "mode": "quick",
               "milliseconds": 900}  # fmt: skip
    base = f"/audits/{scene.audit.pk}"
    by_json = [
        ("review/judgments/", verdict, {404}),
        ("review/refer/", {"slot": slot.pk, "ticket": ticket, "is_open": True, "note": ""}, {404}),
        ("review/judgments/", {**verdict, "ticket": "", "revises": mine}, {404}),
        ("review/undo/", {"key": key, "undoes": mine, "ui_version": ""}, {404}),
        ("review/reveal/", {"key": mine}, {404}),
        ("review/hand-back/", {"slots": [slot.pk]}, {200}),  # none of them is there to hand back
    ]
    for path, said, expected in by_json:
        answer = client.post(f"{base}/{path}", said, "application/json")
        assert answer.status_code in expected, f"{path}: {answer.content!r}"
    assert answer.json() == {"opened": 0}
    by_form = [
        (f"{base}/gold/", {"act": "hand", "key": "of the other data set",
                           "use": "gold", "verdict": "label_correct"}, 422),
        (f"{base}/cascade/", {"small": other.score_sets.first().pk, "large": 1}, 422),
        ("/audits/new/", {"dataset": scene.audit.dataset.pk, "n_bins": 3, "seed": 0,
                          "score_sets": [each.pk for each in other.score_sets.all()],
                          "bins_over": "disputed", "calibrator": "temperature"}, 422),
        (f"/projects/{scene.project.pk}/members/",
         {"act": "remove", "member": Membership.objects.filter(user=person).last().pk}, 422),
    ]  # fmt: skip
    for path, said, expected in by_form:
        assert client.post(path, said).status_code == expected, path
    assert client.get(f"{base}/releases/diff/?before=1&after=2").status_code == 404
    assert client.get(f"{base}/releases/diff/?before=1&after={10**12}").status_code == 404
    assert hash_rows() == before


def test_every_operation_of_the_api_is_listed_with_its_scope_and_none_that_is_not():
    """By that list tests/api/test_access.py tries them all, for every role and scope."""
    listed = {(name, call.method, call.path, call.scope) for name, call in OPERATIONS.items()}
    assert set(registered()) == listed
