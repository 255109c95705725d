"""Scores that other people computed: arrays, tables and logs of them, read as a stream.

Nothing is unpickled, nothing is allocated before header and file size agree, and no value reaches
the store before every row was looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from audit.loaders.base import ProblemList, refuse
from audit.loaders.lm_eval_logs import read_sample_log, read_sample_logs
from audit.loaders.numpy_files import (
    list_npz,
    open_npy,
    open_npz_columns,
    open_npz_member,
    read_npz_keys,
    sniff_container,
)
from audit.loaders.score_tables import ScoreTable, read_csv_scores, read_parquet_scores
from audit.loaders.top_k import SMALLEST_PROBABILITY, SUM_TOLERANCE, TopK

ScoreKind = Literal["logits", "probabilities", "log-probabilities", "top-k"]
KINDS: tuple[ScoreKind, ...] = get_args(ScoreKind)

ROWS_PER_READ = 1024

_MEMBERS = {
    "logits": ("logits",),
    "probabilities": ("probabilities",),
    "log-probabilities": ("log_probabilities", "log-probabilities"),
}


@dataclass(frozen=True, slots=True)
class LoadedScores:
    """Checked scores, still on disk; ``iter_rows`` gives them as logits in item order.

    ``values`` is the array as stored, ``order`` the row of each item (None: already in order).
    ``listed`` holds the classes where only the likeliest are known. ``targets`` (n_items,): the
    right answers as the file sees them, where it says so. ``caveat`` belongs on every page.
    """

    values: NDArray[Any]
    kind: ScoreKind
    order: NDArray[np.int64] | None
    notices: tuple[str, ...] = ()
    listed: TopK | None = None
    targets: NDArray[np.int64] | None = None

    @property
    def caveat(self) -> str:
        return self.listed.notice if self.listed else ""

    @property
    def n_items(self) -> int:
        return int(self.values.shape[0])

    @property
    def n_classes(self) -> int:
        return self.listed.n_classes if self.listed else int(self.values.shape[1])

    @property
    def dtype(self) -> str:
        """The narrowest type that keeps the logits: float16 only if they came as such."""
        is_half = self.kind == "logits" and self.values.dtype.itemsize == 2
        return "float16" if is_half else "float32"

    def iter_rows(self, chunk: int = ROWS_PER_READ) -> Iterator[NDArray[np.float32]]:
        """Yield float32 logits of shape (at most ``chunk``, n_classes), all items in order.

        Probabilities become log-probabilities, clipped from below at 1e-12.
        """
        for start in range(0, self.n_items, chunk):
            rows: Any = slice(start, start + chunk)
            if self.order is not None:
                rows = self.order[rows]
            if self.listed is not None:
                yield self.listed.spread(rows).astype(np.float32)
                continue
            block = np.asarray(self.values[rows], dtype=np.float64)
            yield self._as_logits(block).astype(np.float32)

    def _as_logits(self, block: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.kind == "logits":
            return block
        if self.kind == "probabilities":
            return np.log(np.maximum(block, SMALLEST_PROBABILITY))
        return np.maximum(block, np.log(SMALLEST_PROBABILITY))


def read_scores(
    path: Path,
    kind: str,
    n_items: int,
    n_classes: int,
    keys: Sequence[str],
    subjects: Sequence[str] = (),
) -> LoadedScores:
    """Return the checked scores in ``path``: npy, npz, csv, parquet, or logs in jsonl.

    In an npz the array is called ``logits``, ``probabilities`` or ``log_probabilities`` after its
    ``kind``, or there are ``classes`` and ``probabilities`` (both (n_items, k)) for ``top-k``; an
    optional ``keys`` says which item each row is, otherwise rows are in item order. Tables have a
    column ``key``. A folder holds one log per subject. ``keys`` and ``subjects`` are the data
    set's, in item order. Raises ``ImportRefused``; rows of arrays count from 0.
    """
    if kind not in KINDS:
        raise refuse("kind", f"{kind!r} is not a kind of scores; known: {', '.join(KINDS)}")
    declared: ScoreKind = kind
    if declared == "top-k":
        return _read_top_k(path, n_items, n_classes, keys)
    if path.suffix.lower() in {".jsonl", ".json"} or path.is_dir():
        return _read_log(path, declared, n_classes, subjects or [""] * n_items)
    if path.suffix.lower() in {".csv", ".parquet"}:
        table = read_score_table(path, n_items, n_classes)
        joined = match_keys(table.keys, keys)
        found = check_values(table.values, declared)
        return LoadedScores(table.values, declared, joined, tuple(found))
    order, notices = None, []
    expected = (n_items, n_classes)
    if sniff_container(path) == "npz":
        values, others = open_npz_member(path, _MEMBERS[kind], expected)
        if "keys" in others:
            order = match_keys(read_npz_keys(path, n_items), keys)
        notices += _name_ignored(others)
    else:
        values = open_npy(path, expected)
    notices += check_values(values, declared)
    return LoadedScores(values, declared, order, tuple(notices))


def read_score_table(path: Path, n_items: int, names: Sequence[str] | int) -> ScoreTable:
    """Return the numbers of a CSV or Parquet file, told apart by the end of its name."""
    if not path.is_file():
        raise refuse("missing", f"{path}: there is no such file")
    is_csv = path.suffix.lower() == ".csv"
    return (read_csv_scores if is_csv else read_parquet_scores)(path, n_items, names)


def _read_top_k(path: Path, n_items: int, n_classes: int, keys: Sequence[str]) -> LoadedScores:
    if sniff_container(path) != "npz":
        raise refuse("format", f"{path.name}: top-k scores come as npz: classes, probabilities")
    columns = open_npz_columns(path, {"classes": "iu", "probabilities": "f"}, n_items)
    listed = TopK(columns["classes"], columns["probabilities"], n_classes)
    listed.check(ROWS_PER_READ)
    others = [name for name in list_npz(path) if name not in columns]
    order = match_keys(read_npz_keys(path, n_items), keys) if "keys" in others else None
    notices = (listed.notice, *_name_ignored(others))
    return LoadedScores(listed.probabilities, "top-k", order, notices, listed)


def _read_log(path: Path, kind: ScoreKind, n_classes: int, subjects: Sequence[str]) -> LoadedScores:
    if kind != "logits":
        message = f"a sample log holds log likelihoods of choices: --kind logits, not {kind}"
        raise refuse("kind", message)
    log = (
        read_sample_logs(path, subjects, n_classes)
        if path.is_dir()
        else read_sample_log(path, len(subjects), n_classes)
    )
    notices = (*log.notices, *check_values(log.values, "logits"))
    return LoadedScores(log.values, "logits", None, notices, targets=log.targets)


def _name_ignored(others: Sequence[str]) -> list[str]:
    ignored = sorted(set(others) - {"keys"})
    if not ignored:
        return []
    return [f"other arrays in the file were ignored: {', '.join(ignored)[:200]}"]


def match_keys(found: Sequence[str], expected: Sequence[str]) -> NDArray[np.int64]:
    """Return for every item the row that holds it; both sides must name the same items once."""
    problems = ProblemList()
    rows: dict[str, int] = {}
    known = set(expected)
    for row, key in enumerate(found):
        if key in rows:
            problems.add(row, "keys", "dup_id", f"{key[:60]!a} is also in row {rows[key]}")
        elif key not in known:
            problems.add(row, "keys", "unknown_key", f"the data set has no item {key[:60]!a}")
        rows[key] = row
    for key in expected:
        if key not in rows:
            problems.add(None, "keys", "missing_key", f"no scores for item {key[:60]!a}")
    problems.raise_if_any()
    return np.array([rows[key] for key in expected], dtype=np.int64)


def check_values(values: NDArray[Any], kind: ScoreKind) -> list[str]:
    """Look at every row; return what there is to say, raise what can't be stored."""
    problems = ProblemList()
    n_clipped = 0
    resembles = {"probabilities": True, "log-probabilities": True}
    for start in range(0, len(values), ROWS_PER_READ):
        block = np.asarray(values[start : start + ROWS_PER_READ], dtype=np.float64)
        if kind == "logits":
            _note_rows(problems, start, ~_is_storable(block), "nonfinite", "NaN or infinity")
            _rule_out(resembles, block)
        else:
            n_clipped += _check_distribution(problems, start, block, kind)
    problems.raise_if_any()
    if kind == "logits":
        _refuse_resemblance(resembles)
    if n_clipped:
        return [f"{n_clipped} probabilities below {SMALLEST_PROBABILITY} were raised to it"]
    return []


def _is_storable(block: NDArray[np.float64]) -> NDArray[np.bool_]:
    # Also false for what is finite only in float64.
    return np.asarray((np.abs(block) <= np.finfo(np.float32).max).all(axis=1))


def _rule_out(resembles: dict[str, bool], block: NDArray[np.float64]) -> None:
    """Remember whether all rows so far could be probabilities, or their logarithms."""
    if resembles["probabilities"]:
        resembles["probabilities"] = bool((block >= 0).all() and _sum_to_one(block).all())
    if resembles["log-probabilities"]:
        is_negative = (block <= 0).all()
        resembles["log-probabilities"] = bool(is_negative and _sum_to_one(np.exp(block)).all())


def _refuse_resemblance(resembles: dict[str, bool]) -> None:
    for other, is_alike in resembles.items():
        if is_alike:
            message = f"every row looks like {other}; import them with --kind {other}"
            raise refuse("kind", message)


def _check_distribution(
    problems: ProblemList, start: int, block: NDArray[np.float64], kind: ScoreKind
) -> int:
    """Note rows that are no distribution; return how many entries will be clipped."""
    if kind == "log-probabilities":
        # Minus infinity is an honest probability of zero; the sum below finds rows of nothing else.
        is_bad = (np.isnan(block) | (block > SUM_TOLERANCE)).any(axis=1)
        block = np.exp(np.minimum(block, 0))
        range_message = "NaN or a logarithm above 0"
    else:
        is_bad = ~((block >= 0) & (block <= 1 + SUM_TOLERANCE)).all(axis=1)
        range_message = "NaN or a value outside 0 to 1"
    _note_rows(problems, start, np.asarray(is_bad), "probability_range", range_message)
    is_off = ~is_bad & ~_sum_to_one(block)
    _note_rows(problems, start, is_off, "probability_sum", "probabilities do not sum to 1")
    return int((block < SMALLEST_PROBABILITY).sum())


def _sum_to_one(block: NDArray[np.float64]) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore", over="ignore"):  # sums of NaN and infinity are just not 1
        return np.asarray(np.abs(block.sum(axis=1) - 1) <= SUM_TOLERANCE)


def _note_rows(
    problems: ProblemList, start: int, is_bad: NDArray[np.bool_], code: str, message: str
) -> None:
    for row in np.flatnonzero(is_bad):
        problems.add(start + int(row), "", code, f"{message} (rows count from 0)")
