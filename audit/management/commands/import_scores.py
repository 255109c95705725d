"""Brings in scores that an expert computed elsewhere."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from django.core.management.base import CommandError, CommandParser

from audit.loaders.base import ImportRefused, refuse
from audit.loaders.scores import KINDS, LoadedScores, read_scores
from audit.management.base import AuditCommand, find_dataset
from audit.models import Dataset, ScoreSet
from audit.services.scores import ScoresRefusedError, store_scores


class Command(AuditCommand):
    help = "Import an expert's saved scores: npy, npz, csv, parquet, or a sample log (jsonl)."

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
            notices = [*loaded.notices, *compare_targets(dataset, loaded)]
            score_set = store_scores(
                dataset,
                options["expert"],
                loaded.iter_rows(),
                source=ScoreSet.Source.IMPORTED,
                dtype=loaded.dtype,
                parameters=describe_import(loaded),
            )
        except (ImportRefused, ScoresRefusedError) as refusal:
            raise CommandError(str(refusal)) from refusal
        document = {
            "dataset": dataset.slug,
            "expert": score_set.expert,
            "items": loaded.n_items,
            "classes": loaded.n_classes,
            "notices": notices,
            "sha256": score_set.sha256,
            "seconds": round(time.perf_counter() - started, 3),
        }
        lines = [
            f"{score_set.expert}: {loaded.n_items:,} x {loaded.n_classes:,} scores",
            *(f"  note: {notice}" for notice in notices),
        ]
        self.emit(options, document, "\n".join(lines))


def describe_import(loaded: LoadedScores) -> dict[str, Any]:
    """Return what is stored with the scores; ``notice`` is what every page has to say."""
    facts: dict[str, Any] = {"kind": loaded.kind}
    if loaded.listed is not None:
        facts |= {"k": loaded.listed.k, "notice": loaded.caveat}
    return facts


def compare_targets(dataset: Dataset, loaded: LoadedScores) -> list[str]:
    """Say how far the file's right answers are the given labels; refuse where most are not.

    A log is joined by position, so this is what shows that its documents are the items.
    """
    if loaded.targets is None:
        return []
    given = np.array(dataset.items.order_by("position").values_list("given_label", flat=True))
    n_same = int((loaded.targets == given).sum())
    found = f"the log's target is the given label of {n_same:,} of {len(given):,} items"
    if 2 * n_same < len(given):
        raise refuse("labels", f"{found}: is it a log of these items, in this order?")
    return [found] if n_same < len(given) else []
