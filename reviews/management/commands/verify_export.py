"""Check a release folder against its manifest, byte by byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from audit.hashed_folders import verify_folder
from audit.management.base import AuditCommand


class Command(AuditCommand):
    help = "Verify a release folder: a changed byte, a missing or an extra file is an error."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path)

    def handle(self, **options: Any) -> None:
        folder: Path = options["folder"]
        if not folder.is_dir():
            raise CommandError(f"{folder} is not a folder")
        problems = verify_folder(folder)
        document = {"folder": str(folder), "intact": not problems, "problems": problems}
        if problems:
            if options["json"]:
                self.emit(options, document, "")
            raise CommandError(f"{folder} is not as it was written: {'; '.join(problems)}")
        self.emit(options, document, f"{folder} is intact")
