"""Bring in scores that an expert computed elsewhere: read and checked whole, then stored whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from django.contrib.auth.models import User
from numpy.typing import NDArray

from audit.loaders.base import refuse
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
from audit.models import Act, Dataset, ScoreSet, UnscorableItem
from audit.redaction import clean_error
from audit.services.log import write_log
from audit.services.scores import check_has_classes, store_scores

BATCH = 500
SCORE_KINDS = (*KINDS, SHARDS, CORRECTNESS, GENERATIONS)
Finish = Callable[[ScoreSet, list[str]], None]


@dataclass(frozen=True, slots=True)
class ReadScores:
    """Checked scores, still on disk, and what is kept with them.

    ``rows`` are blocks of shape (n, columns) in item order; ``absent`` says by position why an
    item has no scores, as a code and in words.
    """

    rows: Iterable[NDArray[Any]]
    parameters: Mapping[str, Any]
    dtype: str = "float32"
    n_columns: int | None = None
    card: Mapping[str, Any] = field(default_factory=dict)
    absent: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    notices: Sequence[str] = ()


def import_scores(
    dataset: Dataset,
    expert: str,
    path: Path,
    kind: str,
    *,
    verifier: str = VERIFIERS[0],
    references: Path | None = None,
    person: User | None = None,
    finish: Finish = lambda _score_set, _notices: None,
) -> tuple[ScoreSet, list[str]]:
    """Store the scores in ``path``; return them and what there is to say about the file.

    ``finish`` is called in the transaction that makes them ready: what it raises undoes it all.
    """
    read = _read(dataset, path, kind, verifier, references)

    def complete(score_set: ScoreSet) -> None:
        _note_absent(score_set, read.absent)
        finish(score_set, list(read.notices))
        write_log(
            Act.SCORES_IMPORTED,
            f"scores of {score_set.expert} for {dataset.slug}",
            person=person,
            project=dataset.project,
            sha256=score_set.sha256,
        )

    score_set = store_scores(
        dataset,
        expert,
        read.rows,
        source=ScoreSet.Source.IMPORTED,
        dtype=read.dtype,
        n_columns=read.n_columns,
        parameters=read.parameters,
        card=read.card,
        complete=complete,
    )
    return score_set, list(read.notices)


def _read(
    dataset: Dataset, path: Path, kind: str, verifier: str, references: Path | None
) -> ReadScores:
    if kind == GENERATIONS:
        return _read_generations(dataset, path, verifier, references)
    if kind == CORRECTNESS:
        rows = read_correctness(path, dataset.n_items, keys_of(dataset)).rows
        return _outcomes(rows, ())
    check_has_classes(dataset)
    if kind == SHARDS:
        return _read_shards(dataset, path)
    subjects = list(dataset.items.order_by("position").values_list("subject", flat=True))
    loaded = read_scores(path, kind, dataset.n_items, dataset.n_classes, keys_of(dataset), subjects)
    notices = [*loaded.notices, *compare_targets(dataset, loaded)]
    return ReadScores(
        loaded.iter_rows(), describe_import(loaded), dtype=loaded.dtype, notices=notices
    )


def _read_shards(dataset: Dataset, folder: Path) -> ReadScores:
    """Read what a batch job wrote, with who computed it and why some items have no scores."""
    loaded = read_shards(
        folder, dataset.n_items, dataset.n_classes, lambda: keys_of(dataset), dataset.sha256
    )
    n_absent = len(loaded.absent)
    return ReadScores(
        loaded.scores.iter_rows(),
        describe_import(loaded.scores),
        dtype=loaded.scores.dtype,
        card=loaded.card,
        absent={
            position: ("imported", clean_error(why)) for position, why in loaded.absent.items()
        },
        notices=[
            *loaded.scores.notices,
            *([f"{n_absent:,} items have no scores"] if n_absent else []),
        ],
    )


def _read_generations(
    dataset: Dataset, path: Path, verifier: str, right_answers: Path | None
) -> ReadScores:
    """Read the score and the verdict of answers that a model wrote."""
    references = read_references(right_answers) if right_answers else {}
    columns = dataset.items.order_by("position").values_list("key", "choices", "given_label")
    asked = [Asked(key, tuple(choices), label) for key, choices, label in columns]
    loaded = read_generations(path, asked, verifier, references)
    n_right = int(np.nansum(loaded.rows[:, 1]))
    return _outcomes(
        loaded.rows,
        [f"{n_right:,} answers are right", *loaded.notices],
        absent=dict.fromkeys(loaded.unanswered, ("no_answer", "no token")),
        score=loaded.score,
        verifier=verifier,
    )


def _outcomes(
    rows: NDArray[np.float32],
    notices: Sequence[str],
    absent: Mapping[int, tuple[str, str]] | None = None,
    **facts: str,
) -> ReadScores:
    """Return ``rows`` (n_items, 2), a score and a verdict each in place of the classes' logits."""
    return ReadScores(
        [rows],
        {"kind": CORRECTNESS, "columns": list(COLUMNS), **facts},
        n_columns=len(COLUMNS),
        absent=absent or {},
        notices=notices,
    )


def _note_absent(score_set: ScoreSet, absent: Mapping[int, tuple[str, str]]) -> None:
    items = score_set.dataset.items
    UnscorableItem.objects.bulk_create(
        [
            UnscorableItem(
                score_set=score_set,
                item=item,
                code=absent[item.position][0],
                detail=absent[item.position][1],
            )
            for positions in batched(sorted(absent), BATCH)
            for item in items.filter(position__in=positions)
        ],
        batch_size=BATCH,
    )


def batched(values: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    """Yield the values in parts of at most `size`."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


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
