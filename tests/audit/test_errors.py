"""A database that is away is the site's trouble for a moment, not an error of the page."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest
from django.test import Client

from audit.models import Role
from audit.views import errors
from tests.factories import PASSWORD, make_member, make_project, make_ready_audit


@pytest.mark.django_db
@pytest.mark.parametrize("error", [OperationalError("server closed"), InterfaceError("closed")])
@pytest.mark.parametrize("place", ["the log-in", "the page"])
def test_f22_pages_answer_503_and_when_to_come_again(client, monkeypatch, error, place):
    client.raise_request_exception = False
    client.force_login(make_member(make_project()))

    def away(*_args, **_kwargs):
        raise error

    if place == "the page":
        monkeypatch.setattr("reviews.views.home.render", away)
    else:
        monkeypatch.setattr("django.contrib.auth.middleware.get_user", away)
    answer = client.get("/")
    assert answer.status_code == 503
    assert answer["Retry-After"] == "5"
    page = answer.content.decode()
    assert "away for a moment" in page
    # A page comes back by itself; a form isn't sent twice.
    assert '<meta http-equiv="refresh" content="5">' in page
    sent = client.post("/").content.decode()
    assert "refresh" not in sent
    assert place == "the page" or "Go back and send it again" in sent


def test_other_errors_are_ours():
    try:
        raise ZeroDivisionError  # noqa: TRY301 - the view looks at what is being handled
    except ZeroDivisionError:
        answer = errors.server_error(HttpRequest())
    assert answer.status_code == 500
    assert "broke on our side" in answer.content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize("sent", ["a megabyte and a byte", "a field too many"])
def test_b164_a_form_that_is_too_much_is_answered_by_a_page_that_names_the_limits(client, sent):
    client.force_login(make_member(make_project()))
    most, fields = settings.DATA_UPLOAD_MAX_MEMORY_SIZE, settings.DATA_UPLOAD_MAX_NUMBER_FIELDS
    kind = "application/x-www-form-urlencoded"
    body = "name=".ljust(most + 1, "x") if sent.startswith("a mega") else "a=1&" * (fields + 1)
    answer = client.post("/tokens/", body, content_type=kind)
    assert answer.status_code == 413
    assert "A form takes 1 MB and 500 fields. Nothing was changed" in answer.content.decode()


@pytest.mark.django_db
def test_whoever_opens_an_address_that_takes_forms_alone_reads_so(client):
    audit = make_ready_audit()
    client.force_login(make_member(audit.dataset.project, Role.MAINTAINER))
    address = f"/audits/{audit.pk}/cancel/"
    answer = client.get(address, headers={"Accept": "text/html,*/*"})
    assert (answer.status_code, answer["Allow"]) == (405, "POST")
    assert "it shows no page. Nothing was changed." in answer.content.decode()
    assert client.get(address).content == b""
    assert client.delete(address, headers={"Accept": "text/html"}).content == b""


@pytest.mark.django_db
def test_whose_log_in_ended_with_a_form_open_comes_back_to_the_form():
    audit = make_ready_audit()
    user = make_member(audit.dataset.project, Role.MAINTAINER)
    form = f"/audits/{audit.pk}/sample/?size=7"
    client = Client(headers={"Referer": f"http://testserver{form}"})
    asked = client.post(f"/audits/{audit.pk}/sample/draw/", follow=True)
    assert "Your log-in has ended: nothing was done." in asked.content.decode()
    back = asked.context["next"]
    said = {"username": user.username, "password": PASSWORD, "next": back}
    assert client.post("/login/", said).url == form
    # What scripts of an open page send is not a form that somebody sent.
    quiet = Client(headers={"Sec-Fetch-Mode": "cors"}).post("/", follow=True)
    assert "has ended" not in quiet.content.decode()
    # A page of another site is nowhere to come back to.
    foreign = Client(headers={"Referer": "https://evil.example/x"}).post("/", follow=True)
    assert foreign.context["next"] == "/"


WAITS = """
import audit.config.wsgi, threading
from django.db import connections
def show(): print(connections["default"].settings_dict["OPTIONS"]["timeout"])
thread = threading.Thread(target=show)
thread.start()
"""


def test_f26_people_wait_for_a_locked_database_for_five_seconds_only(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", WAITS],
        cwd=Path(__file__).parents[2],
        env={"LABEL_AUDIT_HOME": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "5"
