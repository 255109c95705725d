"""The database: there, of the right shape, set up to lose nothing, and with the right time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models.functions import Now

from audit.checkup.findings import Finding, fine, problem, warn
from audit.checkup.installation import mounted_from
from audit.models import Installation
from audit.services.workers import version_refusal

OLDEST_POSTGRESQL = 14
FEW_CONNECTIONS = 5
NETWORK_DISKS = {"nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p"}
# What each setting of SQLite has to be, so that no acknowledged verdict is lost.
PRAGMAS = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
SOME_SKEW, MUCH_SKEW = 2.0, 30.0


def check_database() -> Iterator[Finding]:
    """Look at the server or file, the migrations, and the settings that keep data safe."""
    try:
        connection.ensure_connection()
    except DatabaseError as error:
        yield problem(
            "database", f"can't be reached: {error}", "start it, or correct LABEL_AUDIT_DATABASE"
        )
        return
    if connection.vendor == "sqlite":
        yield from _check_sqlite()
    else:
        yield from _check_postgresql()
    unapplied = _unapplied_migrations()
    if unapplied:
        yield problem(
            "migrations",
            f"{len(unapplied)} not applied, first {unapplied[0]}",
            "run `manage.py migrate`",
        )
        return
    yield fine("migrations", "all applied")
    refusal = version_refusal()
    if refusal:
        yield problem("version", refusal, "install the same version everywhere, then migrate")
    else:
        yield fine("version", settings.LABEL_AUDIT_VERSION)


def _unapplied_migrations() -> list[str]:
    executor = MigrationExecutor(connection)
    targets = executor.loader.graph.leaf_nodes()
    return [str(migration) for migration, _ in executor.migration_plan(targets)]


def _ask(sql: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


def _check_sqlite() -> Iterator[Finding]:
    path = Path(connection.settings_dict["NAME"])
    if (kind := mounted_from(path)) in NETWORK_DISKS:
        yield problem(
            "database",
            f"SQLite on a {kind} disk: its locks don't hold there",
            "move LABEL_AUDIT_HOME to a local disk, or use PostgreSQL",
        )
    found = {name: _ask(f"PRAGMA {name}") for name in PRAGMAS}
    wrong = [f"{name} is {found[name]}" for name, value in PRAGMAS.items() if found[name] != value]
    if wrong:
        yield problem(
            "database",
            f"SQLite: {', '.join(wrong)}",
            "another program changed it; start the site again, then look again",
        )
    else:
        yield fine("database", f"SQLite {_ask('SELECT sqlite_version()')}, write-ahead log")


def _check_postgresql() -> Iterator[Finding]:
    version = int(_ask("SHOW server_version_num")) // 10_000
    if version < OLDEST_POSTGRESQL:
        yield problem("database", f"PostgreSQL {version}", f"use {OLDEST_POSTGRESQL} or newer")
    else:
        yield fine("database", f"PostgreSQL {_ask('SHOW server_version')}")
    if _ask("SHOW fsync") != "on":
        yield problem(
            "database",
            "PostgreSQL runs with fsync off: a crash loses verdicts",
            "set fsync = on in postgresql.conf",
        )
    free = int(_ask("SHOW max_connections")) - int(_ask("SELECT count(*) FROM pg_stat_activity"))
    if free < FEW_CONNECTIONS:
        yield warn(
            "connections",
            f"{free} of PostgreSQL's are left",
            "raise max_connections, or run fewer web processes",
        )


def check_clock() -> Iterator[Finding]:
    """Compare the database's clock, by which all claims and leases run, with this host's."""
    try:
        now = Installation.objects.annotate(now=Now()).values_list("now", flat=True).first()
    except DatabaseError:
        return  # said before
    if now is None:
        return
    skew = abs((now - datetime.now(UTC)).total_seconds())
    said = f"{skew:.1f} s apart from the database's"
    if skew < SOME_SKEW:
        yield fine("clock", said)
    else:
        level = warn if skew < MUCH_SKEW else problem
        yield level("clock", said, "synchronise both hosts' clocks, by NTP")
