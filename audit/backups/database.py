"""The database saved as one SQLite file, whatever it runs on, and brought back from there."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.core.management import call_command
from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder

from audit.backups.rows import copy_rows, sqlite_alias
from audit.config.sqlite.base import Turn
from audit.models import Dataset, Project


class BackupRefusedError(ValueError):
    """There is nothing to save, or nothing that could be brought back; the message says why."""


def save_database(path: Path) -> None:
    """Write the database as it is at one moment to a new file, while others go on writing."""
    if unapplied := _plan(DEFAULT_DB_ALIAS):
        raise BackupRefusedError(f"{unapplied[0]} isn't applied; run `manage.py migrate` first")
    if connection.vendor == "sqlite":
        # Never a copy of the file: what is still in the write-ahead log would be lost.
        connection.ensure_connection()
        with closing(sqlite3.connect(path)) as copy:
            connection.connection.backup(copy)
    else:
        with sqlite_alias(path) as alias:
            call_command("migrate", database=alias, verbosity=0)
            copy_rows(DEFAULT_DB_ALIAS, alias)
    with closing(sqlite3.connect(path)) as copy:
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, nothing beside it
    check_database(path)


def check_database(path: Path) -> None:
    """Refuse a file that isn't a whole database, or one that newer code has made."""
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as copy:
            said = copy.execute("PRAGMA integrity_check").fetchone()[0]
            dangling = copy.execute("PRAGMA foreign_key_check").fetchone()
            applied = set(copy.execute("SELECT app, name FROM django_migrations"))
    except sqlite3.Error as error:
        raise BackupRefusedError(f"the database in it can't be read: {error}") from error
    if said != "ok" or dangling:
        raise BackupRefusedError(f"the database in it is damaged: {dangling or said}")
    known = MigrationExecutor(connection).loader.disk_migrations
    for app, name in sorted(applied):
        if (app, name) not in known:
            raise BackupRefusedError(f"a newer version made it: {app}.{name} isn't known here")


def restore_database(path: Path) -> None:
    """Put the saved rows in the place of all there are now, at once, and migrate them."""
    if connection.vendor == "sqlite":
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as copy, _turn():
            copy.backup(_raw_connection())
        connection.close()  # what it knows of the tables is out of date
        call_command("migrate", verbosity=0)
        return
    call_command("migrate", verbosity=0)
    with TemporaryDirectory() as folder:
        shutil.copyfile(path, copied := Path(folder, "database.sqlite3"))
        with sqlite_alias(copied) as alias:
            call_command("migrate", database=alias, verbosity=0)
            copy_rows(alias, DEFAULT_DB_ALIAS)


def is_database_empty() -> bool:
    """Whether nobody has made anything here yet that a restored backup would replace."""
    tables = set(connection.introspection.table_names())
    return not any(
        model._meta.db_table in tables and model._default_manager.exists()
        for model in (Project, Dataset)
    )


def list_migrations() -> list[str]:
    """Return what is applied, so that a backup says what it needs."""
    applied = MigrationRecorder(connection).applied_migrations()
    return [f"{app}.{name}" for app, name in sorted(applied)]


def _plan(alias: str) -> list[str]:
    executor = MigrationExecutor(connections[alias])
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [str(migration) for migration, _ in plan]


def _raw_connection() -> Any:
    connection.ensure_connection()
    return connection.connection


@contextmanager
def _turn() -> Iterator[None]:
    """Keep other writers waiting while every page is replaced."""
    turn = Turn(f"{connection.settings_dict['NAME']}-turn")
    turn.take()
    try:
        yield
    finally:
        turn.give_back()
