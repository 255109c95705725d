"""Writers on SQLite take turns: nobody starves, and no turn is lost with a process that dies."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.db import OperationalError, connection, transaction

from audit.config.sqlite.base import Turn
from audit.models import Project
from tests.servers import in_threads

pytestmark = pytest.mark.skipif(connection.vendor != "sqlite", reason="about SQLite alone")
HOLD = """
import fcntl, sys, time
file = open(sys.argv[1], "a")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "some.sqlite3-turn")


def take_briefly(path: str, patience: float = 5.0) -> float:
    """Take and give back one turn; return the seconds waited."""
    started = time.monotonic()
    turn = Turn(path)
    turn.take(patience)
    turn.give_back()
    return time.monotonic() - started


def test_a_turn_is_waited_for_in_this_process_and_given_up_in_time(path):
    turn = Turn(path)
    turn.take()
    with pytest.raises(OperationalError, match="locked"):
        take_briefly(path, patience=0.1)
    turn.give_back()
    assert take_briefly(path) < 1


def test_another_process_has_its_turn_until_it_dies(path):
    command = [sys.executable, "-c", HOLD, path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(OperationalError, match="locked"):
            take_briefly(path, patience=0.2)
        other.kill()
        assert take_briefly(path) < 2


def test_a_forked_child_neither_waits_for_its_parents_turn_nor_keeps_it(path):
    turn = Turn(path)
    turn.take()
    child = os.fork()
    if child == 0:  # the child ends at once whatever happens: pytest goes on in the parent only
        code = 1
        try:
            take_briefly(path, patience=3.0)
            code = 0
        finally:
            os._exit(code)
    turn.give_back()
    assert take_briefly(path) < 1
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.django_db(transaction=True)
def test_of_sixteen_busy_writers_none_starves():
    deadline = time.monotonic() + 3

    def write(number: int) -> int:
        n_written = 0
        while time.monotonic() < deadline:
            with transaction.atomic():
                Project.objects.create(slug=f"p-{number}-{n_written}", name="one more")
            n_written += 1
        return n_written

    counts = in_threads(write, range(16))
    assert min(counts) >= sum(counts) / 16 / 3, counts


@pytest.mark.django_db(transaction=True)
def test_a_transaction_that_fails_ends_its_turn():
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        raise ZeroDivisionError
    assert in_threads(lambda _: write_in_turn(), [0]) == [1]


def write_in_turn() -> int:
    with transaction.atomic():
        Project.objects.create(slug="after", name="after")
    return Project.objects.count()


@pytest.mark.django_db
def test_g11_a_connection_is_set_up_so_that_nothing_committed_is_lost():
    found = {}
    with connection.cursor() as cursor:
        for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout"):
            found[name] = cursor.execute(f"PRAGMA {name}").fetchone()[0]
    assert found.pop("busy_timeout") >= 5000
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
