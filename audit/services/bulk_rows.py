"""Very many rows of one table at once: a model object each would take ten times as long."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, models

BATCH = 5000


def insert_rows(
    model: type[models.Model],
    columns: Sequence[str],
    rows: Iterable[tuple[Any, ...]],
    using: str = DEFAULT_DB_ALIAS,
) -> None:
    """Insert rows as they are: the values of all columns without a default of the database's.

    JSON is given as text. PostgreSQL takes them by COPY.
    """
    connection = connections[using]
    quote = connection.ops.quote_name
    table, names = quote(model._meta.db_table), ", ".join(map(quote, columns))
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            return
        values = ", ".join(["%s"] * len(columns))
        # Only names of our own models are put into the statement.
        statement = f"INSERT INTO {table} ({names}) VALUES ({values})"  # noqa: S608  # nosec B608
        for batch in batched(rows, BATCH):
            cursor.executemany(statement, batch)


def batched(rows: Iterable[tuple[Any, ...]], size: int) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the rows in lists of at most `size` (itertools.batched, which 3.11 lacks)."""
    iterator = iter(rows)
    while batch := list(islice(iterator, size)):
        yield batch
