"""Make this installation what a backup holds, and prove that it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from audit.backups.database import BackupRefusedError
from audit.backups.folders import check_backup, restore_backup
from audit.management.base import AuditCommand
from audit.models import Act
from audit.services.log import write_log
from reviews.management.commands.verify_installation import describe
from reviews.proofs import prove_installation


class Command(AuditCommand):
    help = "Restore a backup into an empty installation, on the same or the other database."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, help="What `backup` made.")
        parser.add_argument("--force", action="store_true", help="Replace what there is.")
        parser.add_argument("--check", action="store_true", help="Only check the backup.")

    def handle(self, **options: Any) -> None:
        folder: Path = options["folder"]
        if not folder.is_dir():
            raise CommandError(f"{folder} is not a folder")
        try:
            if options["check"]:
                manifest = check_backup(folder)
            else:
                manifest = restore_backup(folder, force=options["force"])
        except BackupRefusedError as refusal:
            raise CommandError(str(refusal)) from refusal
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}") from error
        if options["check"]:
            said = f"{folder} is intact, made {manifest['made_at']}"
            self.emit(options, {"folder": str(folder), "intact": True, **manifest}, said)
            return
        write_log(Act.RESTORED, f"the backup of {manifest['made_at']}")
        document, text = describe(prove_installation())
        if document["intact"] or options["json"]:
            self.emit(options, document, text)
        if not document["intact"]:
            raise CommandError(f"restored, but not all is as it was:\n{text}")
