"""Build a release again from its manifest and compare it with the first to the byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from audit.management.base import AuditCommand
from reviews.rebuilds import RebuildRefusedError, rebuild
from reviews.release_files import ReleaseFolderError


class Command(AuditCommand):
    help = "Build a release again from its manifest; other bytes than before are an error."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("manifest", type=Path, help="manifest.json, or the folder it is in.")
        parser.add_argument("--out", type=Path, required=True, help="A new or empty folder.")

    def handle(self, **options: Any) -> None:
        folder: Path = options["out"]
        try:
            rebuilt = rebuild(options["manifest"], folder)
        except (RebuildRefusedError, ReleaseFolderError) as refusal:
            raise CommandError(str(refusal)) from refusal
        except OSError as error:
            raise CommandError(f"{folder} can't be written: {error.strerror}") from error
        document = {
            "folder": str(folder),
            "identical": not rebuilt.changed,
            "changed": rebuilt.changed,
        }
        if rebuilt.changed:
            if options["json"]:
                self.emit(options, document, "")
            names = ", ".join(rebuilt.changed)
            raise CommandError(f"{folder}: not the same as before: {names}")
        n_files = len(rebuilt.manifest["files"]) + 1
        self.emit(options, document, f"{folder}: {n_files} files, the same to the byte")
