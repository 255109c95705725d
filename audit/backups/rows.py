"""Every row of one database copied into another, which may be of another kind."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from django.apps import apps
from django.core.management.color import no_style
from django.db import connections, models, transaction

from audit.services.bulk_rows import insert_rows

CHUNK = 2000
NOT_COPIED = {"django_session"}  # everybody logs in anew


@contextmanager
def sqlite_alias(path: Path) -> Iterator[str]:
    """Let Django work on a SQLite file for a while; yield the alias that it goes by."""
    alias = f"backup-{uuid4()}"
    connections.databases[alias] = {
        **connections.databases["default"],
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(path),
        "OPTIONS": {},
    }
    try:
        yield alias
    finally:
        connections[alias].close()
        del connections[alias]
        del connections.databases[alias]


def copy_rows(source: str, target: str) -> int:
    """Replace every row of the target by the source's, all at once; return how many there are.

    Both have the same tables. The source is read as it is at one moment, whoever writes meanwhile.
    """
    tables = [
        model
        for model in apps.get_models(include_auto_created=True)
        if model._meta.managed and not model._meta.proxy
    ]
    with _one_moment(source), transaction.atomic(using=target):
        _empty(target, [model._meta.db_table for model in tables])
        return sum(
            _copy_table(model, source, target)
            for model in tables
            if model._meta.db_table not in NOT_COPIED
        )


@contextmanager
def _one_moment(alias: str) -> Iterator[None]:
    connection = connections[alias]
    with transaction.atomic(using=alias):
        # Where a transaction is under way already, whoever began it has chosen.
        if connection.vendor == "postgresql" and len(connection.savepoint_ids) == 0:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield


def _empty(alias: str, tables: list[str]) -> None:
    operations = connections[alias].ops
    with connections[alias].cursor() as cursor:
        for statement in operations.sql_flush(no_style(), tables, reset_sequences=True):
            cursor.execute(statement)


def _copy_table(model: type[models.Model], source: str, target: str) -> int:
    fields = model._meta.concrete_fields
    prepare = [_spell_for(field, target) for field in fields]
    stored = model._base_manager.using(source).order_by("pk")
    n_rows = 0

    def rows() -> Iterator[tuple[Any, ...]]:
        nonlocal n_rows
        for row in stored.values_list(*(field.attname for field in fields)).iterator(CHUNK):
            n_rows += 1
            yield tuple(spell(value) for spell, value in zip(prepare, row, strict=True))

    insert_rows(model, [str(field.column) for field in fields], rows(), using=target)
    connection = connections[target]
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), [model]):
            cursor.execute(statement)
    return n_rows


def _spell_for(field: models.Field[Any, Any], alias: str) -> Callable[[Any], Any]:
    """Return what makes of a field's value what the database is given."""
    if isinstance(field, models.JSONField):
        return lambda value: (
            None if value is None and field.null else json.dumps(value, cls=field.encoder)
        )
    connection = connections[alias]
    return lambda value: field.get_db_prep_save(value, connection)
