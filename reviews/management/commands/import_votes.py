"""Bring in outside votes on a data set as a truth that curves can be drawn against."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from audit.management.base import AuditCommand, find_dataset
from reviews.services.votes import VoteImportError, import_votes


class Command(AuditCommand):
    help = "Import a CSV of votes: key,annotator,labels or key,annotator,verdict."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("dataset", help="The data set's name.")
        parser.add_argument("path", type=Path)
        parser.add_argument("--source", required=True, help="What to call the votes.")

    def handle(self, **options: Any) -> None:
        dataset = find_dataset(options["dataset"])
        try:
            source = import_votes(dataset, options["path"], options["source"])
        except VoteImportError as error:
            refusal = {"code": error.code, "row": error.row, "reason": error.reason}
            if options["json"]:
                self.emit(options, {"error": refusal}, "")
            raise CommandError(f"nothing imported: {error}") from error
        document = {
            "dataset": dataset.slug,
            "source": source.name,
            "votes": source.n_votes,
            "items": source.n_items,
            "sha256": source.sha256,
        }
        words = f"{source.n_votes} votes on {source.n_items} items of {dataset} from {source.name}"
        self.emit(options, document, words)
