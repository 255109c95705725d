"""Scores that a batch job wrote: a folder of npy shards and a manifest that names and hashes them.

docs/explanation/scale.md describes the format. Everything is checked before anything is stored:
that every item has its row exactly once, that every file is what its job wrote, and who computed
it how.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from audit.loaders.base import ImportRefused, ProblemList, refuse
from audit.loaders.numpy_files import open_npy
from audit.loaders.scores import KINDS, LoadedScores, ScoreKind, check_values, match_keys
from audit.loaders.shard_manifest import Part, ShardManifest, read_shard_manifest

SHARDS = "shards"
MAPPED = 256


@dataclass(frozen=True, slots=True)
class LoadedShards:
    """Checked scores, who made them (``card``), and by position the items that have none, why."""

    scores: LoadedScores
    card: Mapping[str, Any]
    absent: Mapping[int, str]


class ShardRows:
    """The rows of many npy files as one matrix, read by slices or by row numbers.

    Only the files read last stay mapped.
    """

    ndim = 2

    def __init__(self, parts: Sequence[Part], n_classes: int) -> None:
        self._parts = parts
        self._starts = np.cumsum([0, *(part.n_rows for part in parts)])
        self.shape = (int(self._starts[-1]), n_classes)
        self._map = lru_cache(maxsize=MAPPED)(self._open)
        self.dtype: np.dtype[Any] = self._map(0).dtype

    def _open(self, index: int) -> NDArray[Any]:
        part = self._parts[index]
        return open_npy(part.path, (part.n_rows, self.shape[1]))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> NDArray[Any]:
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(len(self)))
        found = np.empty((len(rows), self.shape[1]), dtype=self.dtype)
        places = np.searchsorted(self._starts, rows, side="right") - 1
        for place in np.unique(places).tolist():
            is_here = places == place
            found[is_here] = self._map(place)[rows[is_here] - self._starts[place]]
        return found


class _WithStandIns:
    """Rows as they are checked: those without scores stand for some other one."""

    def __init__(self, rows: ShardRows, absent: NDArray[np.int64]) -> None:
        self._rows, self._absent = rows, absent
        present = np.setdiff1d(np.arange(min(len(rows), len(absent) + 1)), absent)
        if not len(present):
            raise refuse("empty", "no item has scores")
        self._stand_in = rows[present[:1]][0]
        self.shape, self.dtype = rows.shape, rows.dtype

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        start, stop, _ = rows.indices(len(self))
        block = self._rows[rows]
        low, high = np.searchsorted(self._absent, [start, stop])
        block[self._absent[low:high] - start] = self._stand_in
        return block


def read_shards(
    folder: Path,
    n_items: int,
    n_classes: int,
    keys: Callable[[], Sequence[str]],
    dataset_sha256: str = "",
) -> LoadedShards:
    """Return the checked scores in ``folder``; ``keys`` gives the items' keys where they matter.

    Raises ``ImportRefused`` with every shard that is missing, damaged, doubled or overlapping.
    """
    manifest = read_shard_manifest(folder)
    _check_facts(manifest, n_items, n_classes, dataset_sha256)
    problems = ProblemList()
    for part in manifest.parts:
        _check_file(part, n_classes, problems)
    problems.raise_if_any()
    _check_same_type(manifest.parts, n_classes, problems)
    parts, order = manifest.parts, None
    if manifest.has_keys:
        order = match_keys([key for part in parts for key in part.keys], keys())
    else:
        parts = sorted(parts, key=lambda part: part.start)
        _check_ranges(parts, n_items, problems)
    problems.raise_if_any()
    rows = ShardRows(parts, n_classes)
    absent = _absent_rows(parts)
    _check_absent(rows, absent, problems)
    kind = cast("ScoreKind", manifest.kind)
    checked = _WithStandIns(rows, np.array(sorted(absent), dtype=np.int64)) if absent else rows
    notices = check_values(cast("NDArray[Any]", checked), kind)
    scores = LoadedScores(cast("NDArray[Any]", rows), kind, order, tuple(notices))
    return LoadedShards(scores, manifest.expert, _by_position(absent, order))


def _check_facts(
    manifest: ShardManifest, n_items: int, n_classes: int, dataset_sha256: str
) -> None:
    problems = ProblemList()
    if manifest.kind not in KINDS or manifest.kind == "top-k":
        message = f"{manifest.kind!r}: shards hold logits, probabilities or log-probabilities"
        problems.add(None, "kind", "kind", message)
    for name, found, expected in (
        ("n_items", manifest.n_items, n_items),
        ("n_classes", manifest.n_classes, n_classes),
    ):
        if found != expected:
            code = "count_mismatch" if name == "n_items" else "class_count"
            problems.add(None, name, code, f"{found}, the data set has {expected}")
    if manifest.dataset_sha256 not in {"", dataset_sha256}:
        message = "the job scored another data set, or another version of it"
        problems.add(None, "dataset_sha256", "dataset", message)
    problems.raise_if_any()


def _check_file(part: Part, n_classes: int, problems: ProblemList) -> None:
    """Note what is wrong with one file: not there, not what was written, not of its size."""
    try:
        with part.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        problems.add(None, part.file, "missing_shard", str(error.strerror))
        return
    if digest != part.sha256:
        problems.add(None, part.file, "damaged", "not what the manifest's sha256 says")
        return
    try:
        open_npy(part.path, (part.n_rows, n_classes))
    except ImportRefused as refusal:
        for problem in refusal.problems:
            problems.add(None, part.file, problem.code, problem.message)


def _check_same_type(parts: Sequence[Part], n_classes: int, problems: ProblemList) -> None:
    first = open_npy(parts[0].path, (parts[0].n_rows, n_classes)).dtype
    for part in parts:
        found = open_npy(part.path, (part.n_rows, n_classes)).dtype
        if found != first:
            message = f"{found}, where {parts[0].file} is {first}"
            problems.add(None, part.file, "dtype", message)


def _check_ranges(parts: Sequence[Part], n_items: int, problems: ProblemList) -> None:
    """Note items that no shard holds, and those that several do."""
    edges = [(0, 0, "the start"), *((p.start, p.stop, p.file) for p in parts)]
    edges.append((n_items, n_items, "the end"))
    for (_, stop, before), (start, _, after) in pairwise(edges):
        if start > stop:
            message = f"items {stop} to {start - 1} are in no shard, after {before}"
            problems.add(None, after, "missing_rows", message)
        elif start < stop:
            message = f"items {start} to {stop - 1} are in {before} too"
            problems.add(None, after, "overlap", message)


def _absent_rows(parts: Sequence[Part]) -> dict[int, str]:
    """Return the rows of all parts that have no scores, with the reason."""
    starts = np.cumsum([0, *(part.n_rows for part in parts)]).tolist()
    return {
        start + row: reason
        for start, part in zip(starts, parts, strict=False)
        for row, reason in part.absent.items()
    }


def _check_absent(rows: ShardRows, absent: Mapping[int, str], problems: ProblemList) -> None:
    numbers = np.array(sorted(absent), dtype=np.int64)
    for start in range(0, len(numbers), 1024):
        some = numbers[start : start + 1024]
        for row in some[~np.isnan(rows[some]).all(axis=1)].tolist():
            message = "said to have no scores, but isn't all NaN"
            problems.add(row, "absent", "absent", message)
    problems.raise_if_any()


def _by_position(absent: Mapping[int, str], order: NDArray[np.int64] | None) -> dict[int, str]:
    if order is None or not absent:
        return dict(absent)
    position_of = np.argsort(order)
    return {int(position_of[row]): reason for row, reason in absent.items()}
