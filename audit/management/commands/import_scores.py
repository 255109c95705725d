"""Brings in scores that an expert computed elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from django.core.management.base import CommandError, CommandParser
from django.db import transaction
from numpy.typing import NDArray

from audit.loaders.base import ImportRefused, refuse
from audit.loaders.correctness import COLUMNS, CORRECTNESS, read_correctness
from audit.loaders.generations import (
    GENERATIONS,
    VERIFIERS,
    Asked,
    read_generations,
    read_references,
)
from audit.loaders.score_shards import SHARDS, read_shards
from audit.loaders.scores import KINDS, LoadedScores, read_scores
from audit.management.base import AuditCommand, find_dataset
from audit.models import Act, Dataset, ScoreSet, UnscorableItem
from audit.redaction import clean_error
from audit.services.log import write_log
from audit.services.scores import ScoresRefusedError, check_has_classes, store_scores

BATCH = 500


class Command(AuditCommand):
    help = (
        "Import an expert's saved scores: npy, npz, csv, parquet, a sample log (jsonl), or the "
        "folder of shards that a batch job wrote."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("dataset")
        parser.add_argument("expert", help="The name the expert gets.")
        parser.add_argument("path", type=Path)
        parser.add_argument(
            "--kind", choices=(*KINDS, SHARDS, CORRECTNESS, GENERATIONS), default="logits"
        )
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
        expert, path, kind = options["expert"], options["path"], options["kind"]
        try:
            if kind == GENERATIONS:
                score_set, notices = import_generations(
                    dataset, expert, path, options["verifier"], options["references"]
                )
            elif kind == SHARDS:
                score_set, notices = import_shards(dataset, expert, path)
            elif kind == CORRECTNESS:
                score_set, notices = import_outcomes(dataset, expert, path)
            else:
                score_set, notices = import_logits(dataset, expert, path, kind)
        except (ImportRefused, ScoresRefusedError) as refusal:
            raise CommandError(str(refusal)) from refusal
        write_log(
            Act.SCORES_IMPORTED,
            f"scores of {score_set.expert} for {dataset.slug}",
            project=dataset.project,
            sha256=score_set.sha256,
        )
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


def import_logits(
    dataset: Dataset, expert: str, path: Path, kind: str
) -> tuple[ScoreSet, list[str]]:
    """Store scores of every class; return them and what there is to say about the file."""
    check_has_classes(dataset)
    subjects = list(dataset.items.order_by("position").values_list("subject", flat=True))
    loaded = read_scores(path, kind, dataset.n_items, dataset.n_classes, keys_of(dataset), subjects)
    notices = [*loaded.notices, *compare_targets(dataset, loaded)]
    score_set = store_scores(
        dataset,
        expert,
        loaded.iter_rows(),
        source=ScoreSet.Source.IMPORTED,
        dtype=loaded.dtype,
        parameters=describe_import(loaded),
    )
    return score_set, notices


def import_shards(dataset: Dataset, expert: str, folder: Path) -> tuple[ScoreSet, list[str]]:
    """Store what a batch job wrote, with who computed it and why some items have no scores."""
    check_has_classes(dataset)
    loaded = read_shards(
        folder, dataset.n_items, dataset.n_classes, lambda: keys_of(dataset), dataset.sha256
    )
    with transaction.atomic():
        score_set = store_scores(
            dataset,
            expert,
            loaded.scores.iter_rows(),
            source=ScoreSet.Source.IMPORTED,
            dtype=loaded.scores.dtype,
            parameters=describe_import(loaded.scores),
            card=loaded.card,
        )
        UnscorableItem.objects.bulk_create(
            [
                UnscorableItem(
                    score_set=score_set,
                    item=item,
                    code="imported",
                    detail=clean_error(loaded.absent[item.position]),
                )
                for positions in batched(sorted(loaded.absent), BATCH)
                for item in dataset.items.filter(position__in=positions)
            ],
            batch_size=BATCH,
        )
    n_absent = len(loaded.absent)
    notices = list(loaded.scores.notices)
    return score_set, [*notices, *([f"{n_absent:,} items have no scores"] if n_absent else [])]


def batched(values: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    """Yield the values in parts of at most `size`."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


def import_outcomes(dataset: Dataset, expert: str, path: Path) -> tuple[ScoreSet, list[str]]:
    """Store a score and a verdict per item: two columns in place of the classes'."""
    loaded = read_correctness(path, dataset.n_items, keys_of(dataset))
    return store_outcomes(dataset, expert, loaded.rows), []


def import_generations(
    dataset: Dataset, expert: str, path: Path, verifier: str, right_answers: Path | None
) -> tuple[ScoreSet, list[str]]:
    """Store the score and the verdict of answers that a model wrote."""
    references = read_references(right_answers) if right_answers else {}
    columns = dataset.items.order_by("position").values_list("key", "choices", "given_label")
    asked = [Asked(key, tuple(choices), label) for key, choices, label in columns]
    loaded = read_generations(path, asked, verifier, references)
    with transaction.atomic():
        score_set = store_outcomes(
            dataset, expert, loaded.rows, score=loaded.score, verifier=verifier
        )
        UnscorableItem.objects.bulk_create(
            UnscorableItem(score_set=score_set, item=item, code="no_answer", detail="no token")
            for item in dataset.items.filter(position__in=loaded.unanswered)
        )
    n_right = int(np.nansum(loaded.rows[:, 1]))
    return score_set, [f"{n_right:,} answers are right", *loaded.notices]


def store_outcomes(
    dataset: Dataset, expert: str, rows: NDArray[np.float32], **facts: str
) -> ScoreSet:
    """Store ``rows`` (n_items, 2), a score and a verdict each, and what is known of them."""
    return store_scores(
        dataset,
        expert,
        [rows],
        source=ScoreSet.Source.IMPORTED,
        n_columns=len(COLUMNS),
        parameters={"kind": CORRECTNESS, "columns": list(COLUMNS), **facts},
    )


def keys_of(dataset: Dataset) -> list[str]:
    """Return the items' keys in order."""
    return list(dataset.items.order_by("position").values_list("key", flat=True))


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
