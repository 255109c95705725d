"""Django's `migrate`, one at a time: whoever comes second waits, and finds nothing left to do."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.commands.migrate import Command as DjangoCommand
from django.db import connections

# Nobody else's advisory lock in this database has this number.
LOCK_NUMBER = 7_031_864_220


class Command(DjangoCommand):
    help = f"{DjangoCommand.help} Several at once take turns."

    def handle(self, *args: Any, **options: Any) -> str | None:
        connection = connections[options["database"]]
        turn = self._postgresql_turn if connection.vendor == "postgresql" else self._file_turn
        with turn(connection):
            # Django's own result is None, or text that it prints.
            said: str | None = super().handle(*args, **options)
            return said

    @contextmanager
    def _file_turn(self, _connection: Any) -> Iterator[None]:
        """Hold a file of the home folder; it is let go when the process ends, however it ends."""
        with Path(settings.LABEL_AUDIT_HOME, "migrate.lock").open("w", encoding="ascii") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._say_that_it_waits()
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _postgresql_turn(self, connection: Any) -> Iterator[None]:
        """Hold an advisory lock; it is let go when the connection ends, however it ends."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK_NUMBER])
            if not cursor.fetchone()[0]:
                self._say_that_it_waits()
                cursor.execute("SELECT pg_advisory_lock(%s)", [LOCK_NUMBER])
        try:
            yield
        finally:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK_NUMBER])

    def _say_that_it_waits(self) -> None:
        self.stderr.write("another process migrates this database: waiting for it")
