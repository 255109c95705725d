"""Generative tasks as an outside harness leaves them: one score and one verdict an item.

The score is the mean logit of the produced tokens (or any confidence), the verdict whether the
answer passed. There are no classes, so these scores serve cascades and no audit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.loaders.base import ProblemList, refuse
from audit.loaders.numpy_files import list_npz, open_npz_columns, read_npz_keys, sniff_container
from audit.loaders.scores import match_keys, read_score_table

CORRECTNESS = "correctness"
COLUMNS = ("score", "correct")


@dataclass(frozen=True, slots=True)
class LoadedOutcomes:
    """``rows`` (n_items, 2), item order: the score, and 1 where the answer is right, else 0."""

    rows: NDArray[np.float32]


def read_correctness(path: Path, n_items: int, keys: Sequence[str]) -> LoadedOutcomes:
    """Return the outcomes in a csv or parquet (key, score, correct) or an npz of such arrays.

    An npz may lack ``key``'s array ``keys``; its rows are then in item order. ``keys`` are the data
    set's. Raises ``ImportRefused``; rows count from 0.
    """
    order: Any = slice(None)
    if path.suffix.lower() in {".csv", ".parquet"}:
        table = read_score_table(path, n_items, COLUMNS)
        rows, order = table.values, match_keys(table.keys, keys)
    elif sniff_container(path) == "npz":
        columns = open_npz_columns(path, {"score": "f", "correct": "biuf"}, n_items)
        if any(column.ndim != 1 for column in columns.values()):
            raise refuse("shape", "score and correct must have one dimension")
        rows = np.column_stack([columns[name] for name in COLUMNS]).astype(np.float32)
        if "keys" in list_npz(path):
            order = match_keys(read_npz_keys(path, n_items), keys)
    else:
        raise refuse("format", f"{path.name}: outcomes come as npz, csv or parquet")
    problems = ProblemList()
    for column, is_bad, message in (
        ("score", ~np.isfinite(rows[:, 0]), "NaN or infinity"),
        ("correct", ~np.isin(rows[:, 1], (0, 1)), "neither 0 nor 1"),
    ):
        for row in np.flatnonzero(is_bad).tolist():
            problems.add(row, column, "nonfinite", f"{message} (rows count from 0)")
    problems.raise_if_any()
    return LoadedOutcomes(np.asarray(rows)[order])
