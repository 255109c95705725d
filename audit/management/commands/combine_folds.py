"""Makes one out-of-sample expert from experts trained on folds of the same data set."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from audit.management.base import AuditCommand, find_dataset
from audit.services.scores import ScoresRefusedError, combine_folds


class Command(AuditCommand):
    help = "Combine cross-fitted folds: every item keeps the scores of the fold that never saw it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("dataset")
        parser.add_argument("expert", help="Name of the combined expert, such as crossfit:resnet.")
        parser.add_argument("--folds", nargs="+", required=True, metavar="EXPERT")
        parser.add_argument(
            "--held-out",
            type=Path,
            required=True,
            help="CSV key,fold: the place (0, 1, ...) of the expert that never saw the item.",
        )

    def handle(self, **options: Any) -> None:
        try:
            with options["held_out"].open(encoding="utf-8", newline="") as file:
                held_out = {row["key"]: int(row["fold"]) for row in csv.DictReader(file)}
        except (OSError, KeyError, ValueError) as error:
            raise CommandError(f"{options['held_out']}: not a CSV of key,fold: {error}") from error
        try:
            score_set = combine_folds(
                find_dataset(options["dataset"]), options["expert"], options["folds"], held_out
            )
        except ScoresRefusedError as refusal:
            raise CommandError(str(refusal)) from refusal
        document = {"expert": score_set.expert, "sha256": score_set.sha256}
        self.emit(options, document, f"{score_set}: {score_set.state}")
