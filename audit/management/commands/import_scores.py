"""Brings in scores that an expert computed elsewhere."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from audit.loaders.base import ImportRefused
from audit.loaders.scores import KINDS, read_scores
from audit.management.base import AuditCommand, find_dataset
from audit.models import ScoreSet
from audit.services.scores import ScoresRefusedError, store_scores


class Command(AuditCommand):
    help = "Import an expert's saved scores: npy (items, classes), or npz with optional keys."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("dataset")
        parser.add_argument("expert", help="The name the expert gets.")
        parser.add_argument("path", type=Path)
        parser.add_argument("--kind", choices=KINDS, default="logits")

    def handle(self, **options: Any) -> None:
        dataset = find_dataset(options["dataset"])
        started = time.perf_counter()
        keys = list(dataset.items.order_by("position").values_list("key", flat=True))
        try:
            loaded = read_scores(
                options["path"], options["kind"], dataset.n_items, dataset.n_classes, keys
            )
            score_set = store_scores(
                dataset,
                options["expert"],
                loaded.iter_rows(),
                source=ScoreSet.Source.IMPORTED,
                dtype=loaded.dtype,
                parameters={"kind": loaded.kind},
            )
        except (ImportRefused, ScoresRefusedError) as refusal:
            raise CommandError(str(refusal)) from refusal
        document = {
            "dataset": dataset.slug,
            "expert": score_set.expert,
            "items": loaded.n_items,
            "classes": loaded.n_classes,
            "notices": list(loaded.notices),
            "sha256": score_set.sha256,
            "seconds": round(time.perf_counter() - started, 3),
        }
        lines = [
            f"{score_set.expert}: {loaded.n_items:,} x {loaded.n_classes:,} scores",
            *(f"  note: {notice}" for notice in loaded.notices),
        ]
        self.emit(options, document, "\n".join(lines))
