"""A database that is away is the site's trouble for a moment, not an error of the page."""

from __future__ import annotations

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
    assert "away for a moment" in answer.content.decode()


def test_other_errors_are_ours():
    try:
        raise ZeroDivisionError  # noqa: TRY301 - the view looks at what is being handled
    except ZeroDivisionError:
        answer = errors.server_error(HttpRequest())
    assert answer.status_code == 500
    assert "broke on our side" in answer.content.decode()
