"""A database that is away is the site's trouble for a moment, not an error of the page."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest

from audit.views import errors
from tests.factories import make_member, make_project


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
