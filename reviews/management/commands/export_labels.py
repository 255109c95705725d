"""Write an audit's cleaned labels to a folder, with the votes behind them and a manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from audit.management.base import AuditCommand, find_audit
from reviews.decisions import Snapshot
from reviews.models import Policy
from reviews.policies import POLICY_HELP, PolicyError
from reviews.release_files import ReleaseFolderError, export_release
from reviews.release_formats import DEFAULT_FORMATS, FORMATS, FormatRefusedError


class Command(AuditCommand):
    help = "Export the cleaned labels of an audit; the same judgments give the same bytes."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("audit", type=int, help="The audit's number.")
        parser.add_argument("--out", type=Path, required=True, help="A new or empty folder.")
        parser.add_argument("--policy", default=Policy.LENIENT.value, help=POLICY_HELP)
        parser.add_argument(
            "--format",
            dest="formats",
            nargs="+",
            choices=FORMATS,
            default=list(DEFAULT_FORMATS),
            metavar="FORMAT",
            help=f"One or several of: {', '.join(FORMATS)}.",
        )

    def handle(self, **options: Any) -> None:
        audit = find_audit(options["audit"])
        if not audit.is_ready:
            raise CommandError(f"{audit} is {audit.state}; an export needs a ready audit")
        folder: Path = options["out"]
        try:
            manifest = export_release(
                audit, options["policy"], Snapshot.now(audit), folder, options["formats"]
            )
        except (ReleaseFolderError, FormatRefusedError, PolicyError) as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"{folder} can't be written: {error.strerror}") from error
        counts = ", ".join(f"{n:,} {name}" for name, n in manifest["counts"].items())
        document = {"folder": str(folder), **manifest}
        self.emit(options, document, f"{folder}: {counts.replace('_', ' ')}")
