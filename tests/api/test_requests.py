"""What holds for every operation: refusals in one shape, limits, nothing passed over in silence."""

from __future__ import annotations

import pytest
from django.db import OperationalError
from django.test import Client

from audit.models import Role
from audit.services import api_tokens
from tests.api.callers import START, caller, secret_of, send
from tests.factories import make_member, make_project, make_ready_audit

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def calls(project):
    return caller(make_member(project, Role.ADMIN))


@pytest.mark.row("B144", "A05")
@pytest.mark.parametrize(
    "query",
    [
        "limit=0", "limit=-1", "limit=1000000", "limit=ten", "cursor=-1", "cursor=9e99",
        "cursor=9223372036854775808", "page=1", "page_size=10", "sort=password",
        "sort=-owner__password", "owner__password__startswith=a", "_connector=OR", "__class__=x",
        "limit=%00", "limit=",
    ],
)  # fmt: skip
def test_a_parameter_that_there_is_not_or_that_cannot_be_is_refused(calls, query):
    answer = send(calls, "GET", f"/projects?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert answer.json()["col"] == query.partition("=")[0]


@pytest.mark.row("B143")
@pytest.mark.parametrize(
    "number",
    ["0", "-1", str(2**63), str(2**64), "abc", "1e3", "\u0661", "1.5", "%00", "9" * 5000,
     "3f2504e0-4f89-11d3-9a0c-0305e82c3301"],
)  # fmt: skip
def test_what_is_no_number_of_anything_is_refused_in_the_one_shape(calls, number):
    answer = send(calls, "GET", f"/projects/{number}")
    assert answer.status_code in {404, 422}
    assert {"code", "message"} <= answer.json().keys()


@pytest.mark.row("B142")
def test_a_wrong_method_and_a_wrong_address_are_refused_in_the_one_shape(calls):
    answer = send(calls, "DELETE", "/me")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["Allow"] == "GET"
    for address in ("/api/v1/nothing", "/api/", "/api/v2/me", f"{START}/me/"):
        answer = calls.get(address)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), address


JSON = "application/json"
NESTED = b"[" * 100_000 + b"]" * 100_000


@pytest.mark.row("B142", "B152")
@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"", JSON, 422, "invalid"),
        (b"{", JSON, 400, "not_json"),
        (b"\xff\xfe{}", JSON, 400, "not_json"),
        (b'{"size": NaN}', JSON, 400, "not_json"),
        (b'{"size": 1, "size": 2}', JSON, 400, "not_json"),
        (NESTED, JSON, 400, "not_json"),
        (b"[]", JSON, 422, "invalid"),
        (b"null", JSON, 422, "invalid"),
        (b'{"size": 1e400}', JSON, 422, "invalid"),
        (b'{"size": 1, "owner": 2}', JSON, 422, "invalid"),
        (b"{}", "text/plain", 415, "media_type"),
        (b"{}", "", 415, "media_type"),
        (b"size=1", "application/x-www-form-urlencoded", 415, "media_type"),
        (b"--x--", "multipart/form-data; boundary=x", 415, "media_type"),
        (b" " * 1_000_001, JSON, 413, "too_large"),
    ],
)
def test_a_body_that_cannot_be_is_refused_in_the_one_shape(body, kind, status, code):
    audit = make_ready_audit()
    calls = caller(make_member(audit.dataset.project, Role.MAINTAINER))
    address = f"{START}/audits/{audit.pk}/sample/plan"
    answer = calls.generic("POST", address, body, content_type=kind)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.content


def test_what_is_refused_is_logged_without_the_token(project, caplog):
    user = make_member(project)
    secret = secret_of(user)
    client = Client(headers={"Authorization": f"Bearer {secret}"})
    for path in ("/nothing", "/projects?sort=x", "/projects/0"):
        assert send(client, "GET", path).status_code in {404, 422}
    assert caplog.records
    assert secret not in caplog.text
    assert secret not in "".join(repr(record.__dict__) for record in caplog.records)


@pytest.mark.row("A12")
def test_answers_are_json_that_no_browser_takes_for_a_page(project, calls):
    project.name = "<script>alert(1)</script>"
    project.save()
    answer = send(calls, "GET", f"/projects/{project.pk}")
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert "Authorization" in answer.headers["Vary"]
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_a_list_comes_in_parts_that_miss_nothing_and_repeat_nothing(project, calls):
    for _ in range(6):
        make_member(project)
    seen, cursor, parts = [], 0, 0
    while cursor is not None:
        part = send(calls, "GET", f"/projects/{project.pk}/members?limit=3&cursor={cursor}").json()
        seen += [each["username"] for each in part["items"]]
        cursor, parts = part["next"], parts + 1
    assert parts == 3
    assert len(seen) == len(set(seen)) == 7


def test_what_breaks_and_a_database_that_is_away_are_told_in_the_one_shape(
    project, calls, monkeypatch
):
    calls.raise_request_exception = False

    def fail(_secret):
        raise error

    monkeypatch.setattr("reviews.api.routes.find_token", fail)
    for error, status, code in (
        (OperationalError("away at postgres://u:p@host"), 503, "unavailable"),
        (ZeroDivisionError("secret"), 500, "internal"),
    ):
        answer = send(calls, "GET", "/me")
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert str(error) not in answer.content.decode()
    assert api_tokens.find_token is not fail


def test_the_description_is_there_for_tools_and_people(client, project):
    document = Client().get(f"{START}/openapi.json").json()
    assert document["openapi"].startswith("3.")
    assert "/api/v1/projects/{project}" in document["paths"]
    assert client.get(f"{START}/docs").status_code == 302
    client.force_login(make_member(project))
    page = client.get(f"{START}/docs")
    shown = page.content.decode()
    for path in document["paths"]:
        assert path in shown, path
    assert "http" not in shown.replace("http-equiv", "").replace("https://", "http://").replace(
        "http://www.w3.org", ""
    )
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
