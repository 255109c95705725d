"""API tokens: told once, kept as a hash, good for their scopes, their project, their time."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from audit.models import ApiToken, LogEntry, Membership, Role, Scope
from audit.redaction import clean_error
from audit.services.api_tokens import (
    MOST_ACTIVE,
    TokenRefusedError,
    find_token,
    hash_secret,
    make_token,
    revoke_token,
)
from tests.api.callers import START, caller, secret_of, send
from tests.factories import PASSWORD, make_member, make_project

pytestmark = pytest.mark.django_db


@pytest.fixture
def member():
    return make_member(make_project(), Role.MAINTAINER)


def ask(client: Client, form: dict | None = None, **changes):
    wanted = {"name": "nightly", "scopes": ["read", "judge"], "days": "30", "password": PASSWORD}
    return client.post(reverse("audit:api_tokens"), {**wanted, **(form or {}), **changes})


@pytest.mark.row("A34")
def test_a_secret_is_shown_once_and_kept_as_a_hash(member, client):
    client.force_login(member)
    page = ask(client)
    token = ApiToken.objects.get()
    secret = page.context["secret"]
    assert secret in page.content.decode()
    assert "no-store" in page.headers["Cache-Control"]
    assert (token.sha256, token.scopes) == (hash_secret(secret), ["read", "judge"])
    stored = json.dumps(list(ApiToken.objects.values()), default=str)
    assert secret not in stored
    assert secret.startswith(token.prefix)
    again = client.get(reverse("audit:api_tokens")).content.decode()
    assert token.prefix in again
    assert secret not in again
    assert find_token(secret) == token


@pytest.mark.parametrize(
    "changes",
    [
        {"password": "not it"},
        {"password": ""},
        {"scopes": ["read", "everything"]},
        {"scopes": []},
        {"days": "0"},
        {"days": "10000"},
        {"name": ""},
    ],
)
def test_no_token_without_the_password_and_with_sensible_words(member, client, changes):
    client.force_login(member)
    assert ask(client, **changes).status_code == 422
    assert not ApiToken.objects.exists()


def test_no_token_for_a_project_of_others(member, client):
    client.force_login(member)
    assert ask(client, project=str(make_project().pk)).status_code == 422
    with pytest.raises(TokenRefusedError, match="no member"):
        make_token(member, "x", ["read"], project=make_project())


@pytest.mark.row("A34")
def test_a_token_opens_until_it_is_revoked_and_not_afterwards(member, client):
    calls = caller(member)
    assert send(calls, "GET", "/me").json()["username"] == member.username
    client.force_login(member)
    token = ApiToken.objects.get()
    assert client.post(reverse("audit:revoke_api_token", args=[token.pk])).status_code == 302
    assert send(calls, "GET", "/me").status_code == 401
    assert not revoke_token(token)
    # Another window still shows the button.
    again = client.post(reverse("audit:revoke_api_token", args=[token.pk]), follow=True)
    assert "was revoked before." in again.content.decode()


def test_nobody_revokes_or_sees_the_token_of_another_person(member, client):
    token, _ = make_token(member, "my nightly run", ["read"])
    client.force_login(make_member(member.memberships.get().project, Role.ADMIN))
    assert client.post(reverse("audit:revoke_api_token", args=[token.pk])).status_code == 404
    assert b"my nightly run" not in client.get(reverse("audit:api_tokens")).content
    token.refresh_from_db()
    assert token.is_active


def end_by_expiry(user):
    ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))


def end_by_deactivation(user):
    user.is_active = False
    user.save()


@pytest.mark.row("A34")
@pytest.mark.parametrize("end", [end_by_expiry, end_by_deactivation])
def test_an_expired_token_and_one_of_an_inactive_person_open_nothing(member, end):
    calls = caller(member)
    assert send(calls, "GET", "/me").status_code == 200
    end(member)
    answer = send(calls, "GET", "/me")
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_member_who_is_removed_finds_nothing_at_the_next_request(member):
    project = member.memberships.get().project
    calls = caller(member)
    assert send(calls, "GET", f"/projects/{project.pk}").json()["role"] == "maintainer"
    Membership.objects.filter(user=member).delete()
    assert send(calls, "GET", f"/projects/{project.pk}").status_code == 404
    assert send(calls, "GET", "/projects").json() == {"items": [], "next": None}


def test_a_role_that_is_lowered_counts_at_the_next_request():
    project = make_project()
    admin = make_member(project, Role.ADMIN)
    calls = caller(admin)
    assert send(calls, "GET", f"/projects/{project.pk}/members").status_code == 200
    Membership.objects.filter(user=admin).update(role=Role.MAINTAINER)
    assert send(calls, "GET", f"/projects/{project.pk}/members").status_code == 404


@pytest.mark.row("A34")
def test_a_token_is_good_for_its_scopes_alone(member):
    refused = send(caller(member, Scope.JUDGE), "GET", "/me")
    assert (refused.status_code, refused.json()["code"]) == (403, "scope")


def test_a_token_for_one_project_knows_no_other(member):
    own = member.memberships.get().project
    other = make_project()
    Membership.objects.create(project=other, user=member, role=Role.ADMIN)
    calls = caller(member, project=own)
    assert [each["id"] for each in send(calls, "GET", "/projects").json()["items"]] == [own.pk]
    assert send(calls, "GET", f"/projects/{other.pk}").status_code == 404
    assert send(caller(member), "GET", f"/projects/{other.pk}").status_code == 200


@pytest.mark.row("A34")
def test_a_token_counts_in_the_header_alone(member):
    secret = secret_of(member)
    address = f"{START}/me"
    assert Client().get(address, {"token": secret}).status_code == 401
    assert Client().get(address, {"access_token": secret}).status_code == 401
    with_cookie = Client()
    with_cookie.cookies["token"] = with_cookie.cookies["Authorization"] = secret
    assert with_cookie.get(address).status_code == 401
    for header in (f"Basic {secret}", secret, f"Bearer {secret} ", f"Bearer  {secret}", "Bearer"):
        refused = Client().get(address, headers={"Authorization": header})
        assert refused.status_code == 401, header
    assert Client().get(address, headers={"Authorization": f"bearer {secret}"}).status_code == 200


def test_a_log_in_opens_no_address_of_the_api(member, client):
    client.force_login(member)
    assert client.get(f"{START}/me").status_code == 401
    assert client.post(f"{START}/me").status_code == 405


@pytest.mark.row("A34")
def test_secrets_are_masked_in_logs_and_errors(member):
    secret = secret_of(member)
    for text in (f"Authorization: Bearer {secret}", f"GET /?token={secret}", f"got {secret}!"):
        assert secret not in clean_error(text)
        assert secret[12:] not in clean_error(text)


def test_use_is_noted_once_a_minute(member, django_assert_num_queries):
    secret = secret_of(member)
    with django_assert_num_queries(2):
        token = find_token(secret)
    with django_assert_num_queries(1):
        assert find_token(secret) == token
    token.refresh_from_db()
    assert timezone.now() - token.last_used_at < timedelta(minutes=1)
    ApiToken.objects.update(last_used_at=timezone.now() - timedelta(hours=1))
    with django_assert_num_queries(2):
        find_token(secret)


def test_what_is_no_secret_asks_the_database_nothing(django_assert_num_queries):
    with django_assert_num_queries(0):
        for text in ("", "x", "laudit_", "laudit_" + "a" * 44, "laudit_" + "\0" * 43, "é" * 50):
            assert find_token(text) is None


def test_one_person_has_so_many_tokens_and_no_more(member):
    for _ in range(MOST_ACTIVE):
        token, _ = make_token(member, "x", ["read"])
    with pytest.raises(TokenRefusedError, match="revoke one"):
        make_token(member, "x", ["read"])
    revoke_token(token)
    make_token(member, "x", ["read"])


@pytest.mark.parametrize(("days", "is_taken"), [(0, False), (1, True), (366, True), (367, False)])
def test_a_token_lasts_from_a_day_to_a_leap_year(member, days, is_taken):
    if not is_taken:
        with pytest.raises(TokenRefusedError, match=f"from 1 to 366 days, got {days}"):
            make_token(member, "x", ["read"], days=days)
        return
    token, secret = make_token(member, " x ", ["read"], days=days)
    assert (len(secret), token.name, token.prefix) == (50, "x", secret[:13])
    left = token.expires_at - timezone.now()
    assert timedelta(days=days) - timedelta(minutes=1) < left <= timedelta(days=days)


@pytest.mark.parametrize("scopes", [[], ["read", "everything"]])
def test_a_token_needs_scopes_that_there_are(member, scopes):
    with pytest.raises(TokenRefusedError, match="needs scopes, each one of: read"):
        make_token(member, "x", scopes)


def test_the_log_tells_of_tokens_without_their_secrets(member):
    project = member.memberships.get().project
    token, secret = make_token(member, "x", ["judge", "read"], project=project)
    assert revoke_token(token) is True
    assert revoke_token(token) is False
    rows = LogEntry.objects.order_by("number")
    facts = {"prefix": secret[:13], "scopes": ["read", "judge"]}
    assert list(rows.values_list("act", "subject", "person_number", "project", "detail")) == [
        (act, f"token {token.pk}", member.pk, project.slug, facts)
        for act in ("token_made", "token_revoked")
    ]


def test_the_command_prints_a_token_that_works(member, capsys):
    project = member.memberships.get().project
    wanted = ["--name", "ci", "--scopes", "read", "release", "--project", project.slug]
    call_command("make_token", member.username, *wanted, "--days", "7", "--json")
    document = json.loads(capsys.readouterr().out)
    assert (document["scopes"], document["project"]) == (["read", "release"], project.slug)
    assert find_token(document["token"]).name == "ci"


@pytest.mark.parametrize(
    "wanted",
    [["nobody", "--name", "x"], ["{}", "--name", "x", "--project", "none-such"],
     ["{}", "--name", " "], ["{}", "--name", "x", "--days", "0"]],
)  # fmt: skip
def test_the_command_refuses_with_a_reason(member, wanted):
    with pytest.raises(CommandError):
        call_command("make_token", *(each.format(member.username) for each in wanted))
