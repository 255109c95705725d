"""Bring in outside votes on a data set as a truth that curves can be drawn against."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from audit.management.base import AuditCommand, find_dataset
from reviews.services.votes import describe_votes, import_votes
from reviews.vote_files import PRESETS, VoteImportError


class Command(AuditCommand):
    help = "Import votes: a CSV key,annotator,labels or key,annotator,verdict, or a public file."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("dataset", help="The data set's name.")
        parser.add_argument(
            "path", type=Path, nargs="?", help="Left out, --preset real reads timm's own copy."
        )
        parser.add_argument("--source", required=True, help="What to call the votes.")
        parser.add_argument(
            "--preset", choices=sorted(PRESETS), default="", help="The public file it is."
        )

    def handle(self, **options: Any) -> None:
        dataset = find_dataset(options["dataset"])
        try:
            source, loaded = import_votes(
                dataset, options["path"], options["source"], options["preset"]
            )
        except VoteImportError as error:
            refusal = {"code": error.code, "row": error.row, "reason": error.reason}
            if options["json"]:
                self.emit(options, {"error": refusal}, "")
            raise CommandError(f"nothing imported: {error}") from error
        document = {"dataset": dataset.slug, **describe_votes(source, loaded)}
        lines = [
            f"{source.n_votes} votes on {source.n_items} items of {dataset} from {source.name}",
            *(f"  note: {notice}" for notice in loaded.notices),
            *(
                f"  {spelling!r} read as {meaning}: {count:,}"
                for spelling, (meaning, count) in loaded.normalised.items()
            ),
            *(f"  left out, {reason}: {count:,}" for reason, count in loaded.left_out.items()),
        ]
        self.emit(options, document, "\n".join(lines))
