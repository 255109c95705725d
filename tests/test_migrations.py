"""Migrations: there and back with data in the tables, killed at any statement, either database."""

from __future__ import annotations

import os
import signal
import uuid
from contextlib import contextmanager

import environ
import pytest
from django.core.management import call_command
from django.db import connections

from audit.backups.rows import copy_rows, sqlite_alias
from reviews.models import Judgment
from tests.reviews.test_releases import make_judged_audit
from tests.servers import make_database

pytestmark = [
    pytest.mark.service,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("further_databases"),
]
KILLS = 6


@contextmanager
def postgresql_alias(server):
    address = make_database(server, f"migrated-{uuid.uuid4()}")
    alias = address.rpartition("migrated-")[2].partition("?")[0]
    connections.databases[alias] = {
        **connections.databases["default"],
        **environ.Env.db_url_config(address),
        "OPTIONS": environ.Env.db_url_config(address).get("OPTIONS", {}),
    }
    try:
        yield alias
    finally:
        connections[alias].close()
        del connections[alias]
        del connections.databases[alias]


@pytest.fixture(params=["sqlite", "postgresql"])
def new_database(request, tmp_path):
    """Return what opens one more empty database of the kind."""
    if request.param == "sqlite":
        return lambda: sqlite_alias(tmp_path / f"{uuid.uuid4()}.sqlite3")
    server = request.getfixturevalue("postgresql_url")
    return lambda: postgresql_alias(server)


def migrate(alias, *target):
    call_command("migrate", *target, database=alias, verbosity=0)


def schema(alias):
    """Every table, column, constraint, index and trigger, as the database itself tells it."""
    if connections[alias].vendor == "sqlite":
        statements = ["SELECT type, name, sql FROM sqlite_master"]
    else:
        statements = [
            """SELECT table_name, column_name, data_type, is_nullable, column_default
            FROM information_schema.columns WHERE table_schema = 'public'""",
            "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint",
            "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
        ]
    found = []
    with connections[alias].cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
            found += sorted(map(repr, cursor.fetchall()))
    return found


def rows(alias):
    return sorted(Judgment.objects.using(alias).values_list("pk", "hash", "verdict"))


def test_e15_every_migration_goes_back_and_forth_with_data_in_the_tables(new_database):
    make_judged_audit()
    with new_database() as fresh, new_database() as other:
        migrate(fresh)
        migrate(other)
        copy_rows("default", other)
        before = rows(other)
        assert len(before) > 3
        migrate(other, "reviews", "0001")
        assert rows(other) == before
        assert schema(other) != schema(fresh)  # the triggers are gone
        migrate(other)
        assert rows(other) == before
        assert schema(other) == schema(fresh)
        with pytest.raises(Exception, match="append-only"):
            Judgment.objects.using(other).update(verdict="unsure")
        migrate(other, "reviews", "0001")  # without it nothing may be removed
        migrate(other, "reviews", "zero")
        migrate(other, "audit", "zero")
        migrate(other)
        assert rows(other) == []
        assert schema(other) == schema(fresh)


def migrate_and_die(alias, after):
    """Migrate in a process of its own that is killed before one of its statements."""
    connections.close_all()
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        return os.WIFSIGNALED(status)
    told = 0

    def count(execute, *arguments):
        nonlocal told
        told += 1
        if told > after:
            os.kill(os.getpid(), signal.SIGKILL)
        return execute(*arguments)

    try:
        with connections[alias].execute_wrapper(count):
            migrate(alias)
        os._exit(0)
    finally:
        os._exit(1)


def test_e16_migrations_killed_at_any_statement_are_finished_by_the_next_run(new_database):
    statements = 0

    def count(execute, *arguments):
        nonlocal statements
        statements += 1
        return execute(*arguments)

    with new_database() as fresh:
        with connections[fresh].execute_wrapper(count):
            migrate(fresh)
        whole = schema(fresh)
    assert statements > 100
    for number in range(KILLS):
        with new_database() as alias:
            assert migrate_and_die(alias, statements * number // KILLS)
            migrate(alias)
            assert schema(alias) == whole
