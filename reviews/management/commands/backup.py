"""Save the database and the home's files into one folder, while the site goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from audit.backups.database import BackupRefusedError
from audit.backups.folders import make_backup
from audit.management.base import AuditCommand


class Command(AuditCommand):
    help = "Back up the installation into a new folder; people and workers may go on meanwhile."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, help="A new folder.")

    def handle(self, **options: Any) -> None:
        folder: Path = options["folder"]
        try:
            manifest = make_backup(folder.absolute())
        except BackupRefusedError as refusal:
            raise CommandError(str(refusal)) from refusal
        except OSError as error:
            raise CommandError(f"{folder} can't be written: {error.strerror}") from error
        files = manifest["files"]
        n_bytes = sum(file["bytes"] for file in files.values())
        document = {"folder": str(folder), "bytes": n_bytes, **manifest}
        self.emit(options, document, f"{folder}: {len(files):,} files, {n_bytes:,} bytes")
