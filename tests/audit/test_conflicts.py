"""A request that lost against another one in the database is tried again, and nothing twice."""

from __future__ import annotations

import pytest
from django.db import OperationalError, connection, transaction
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from audit.models import Project
from audit.views import conflicts
from audit.views.conflicts import MOST_RETRIES, RetryConflicts

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    pauses: list[float] = []
    monkeypatch.setattr("audit.views.conflicts.time.sleep", pauses.append)
    return pauses


class LostError(Exception):
    """What psycopg raises, for SQLite, where nobody ever loses."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__("could not serialize access")
        self.sqlstate = sqlstate


def lose(sqlstate: str) -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{sqlstate}'; END $$")
    raise OperationalError from LostError(sqlstate)


def view_that_loses(n_times: int, sqlstate: str):
    """Make a view that writes a project, and loses so often before it may keep it."""
    tries: list[str] = []

    @transaction.atomic
    def view(request: HttpRequest, name: str) -> HttpResponse:
        tries.append(request.POST["word"])
        Project.objects.create(name=name)
        if len(tries) <= n_times:
            lose(sqlstate)
        return HttpResponse(f"try {len(tries)}")

    return view, tries


def ask(view) -> HttpResponse:
    middleware = RetryConflicts(lambda _request: HttpResponse())
    request = RequestFactory().post("/", {"word": "sent"})
    return middleware.process_view(request, view, (), {"name": "won"})


@pytest.mark.parametrize("sqlstate", ["40001", "40P01"])
@pytest.mark.parametrize("n_times", [0, 1, MOST_RETRIES])
def test_f25_a_request_that_lost_is_tried_again_and_its_change_stored_once(
    no_pauses, n_times, sqlstate
):
    view, tries = view_that_loses(n_times, sqlstate)
    assert ask(view).content == f"try {n_times + 1}".encode()
    assert tries == ["sent"] * (n_times + 1)
    assert Project.objects.filter(name="won").count() == 1
    # Each pause is longer than the one before, however they are drawn.
    assert len(no_pauses) == n_times
    assert no_pauses == sorted(no_pauses)


def test_f25_who_loses_four_times_is_told_and_nothing_is_stored():
    view, tries = view_that_loses(MOST_RETRIES + 1, "40001")
    with pytest.raises(OperationalError):
        ask(view)
    assert len(tries) == MOST_RETRIES + 1
    assert not Project.objects.exists()


def test_what_is_no_conflict_is_not_tried_again():
    view, tries = view_that_loses(1, "57014")  # a statement that took too long
    with pytest.raises(OperationalError):
        ask(view)
    assert len(tries) == 1


def test_the_site_uses_it_last_so_that_the_others_see_one_view(settings):
    path = f"{conflicts.__name__}.{RetryConflicts.__name__}"
    assert settings.MIDDLEWARE[-1] == path
