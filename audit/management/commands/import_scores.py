"""Brings in scores that an expert computed elsewhere."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from audit.loaders.base import ImportRefused
from audit.loaders.generations import VERIFIERS
from audit.management.base import AuditCommand, find_dataset
from audit.services.score_imports import SCORE_KINDS, import_scores
from audit.services.scores import ScoresRefusedError


class Command(AuditCommand):
    help = (
        "Import an expert's saved scores: npy, npz, csv, parquet, a sample log (jsonl), or the "
        "folder of shards that a batch job wrote."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("dataset")
        parser.add_argument("expert", help="The name the expert gets.")
        parser.add_argument("path", type=Path)
        parser.add_argument("--kind", choices=SCORE_KINDS, default="logits")
        parser.add_argument(
            "--verifier",
            choices=VERIFIERS,
            default=VERIFIERS[0],
            help="Of generations: how an answer is found right; imported = as the file says.",
        )

        parser.add_argument(
            "--references",
            type=Path,
            metavar="FILE",
            help="Of generations: the right answers (key,reference), where the lines bring none.",
        )

    def handle(self, **options: Any) -> None:
        dataset = find_dataset(options["dataset"])
        started = time.perf_counter()
        try:
            score_set, notices = import_scores(
                dataset,
                options["expert"],
                options["path"],
                options["kind"],
                verifier=options["verifier"],
                references=options["references"],
            )
        except (ImportRefused, ScoresRefusedError) as refusal:
            raise CommandError(str(refusal)) from refusal
        n_columns = 1 if score_set.has_outcomes_only else dataset.n_classes
        document = {
            "dataset": dataset.slug,
            "expert": score_set.expert,
            "items": dataset.n_items,
            "classes": None if score_set.has_outcomes_only else dataset.n_classes,
            "notices": notices,
            "sha256": score_set.sha256,
            "seconds": round(time.perf_counter() - started, 3),
        }
        lines = [
            f"{score_set.expert}: {dataset.n_items:,} x {n_columns:,} scores",
            *(f"  note: {notice}" for notice in notices),
        ]
        self.emit(options, document, "\n".join(lines))
