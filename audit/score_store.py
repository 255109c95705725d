"""Scores on disk: `.npy` shards of logits per score set, with checksums and a manifest.

A shard is written under a temporary name, flushed to the disk and renamed, so that a reader
sees a whole shard or none. `ShardedLogits` reads them as one (n_items, n_classes) array.
"""

from __future__ import annotations

import hashlib
import json
import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

MANIFEST = "manifest.json"
ROWS_PER_READ = 4096


class ScoreStoreError(RuntimeError):
    """Scores on disk are missing or aren't what was written."""


@dataclass(frozen=True, slots=True)
class Shard:
    """Rows [start, stop) of a score set, in one file."""

    start: int
    stop: int
    name: str
    sha256: str


def score_folder(score_set_id: int) -> Path:
    """Return where a score set's shards lie."""
    return Path(settings.LABEL_AUDIT_HOME, "scores", str(score_set_id))


def write_durably(path: Path, chunks: Iterable[bytes]) -> str:
    """Write a file so that it is there whole or not at all; return its sha256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    digest = hashlib.sha256()
    with temporary.open("wb") as file:
        for chunk in chunks:
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return digest.hexdigest()


def write_shard(
    score_set_id: int,
    start: int,
    rows: Iterable[NDArray[Any]],
    shape: tuple[int, int],
    *,
    dtype: str = "float32",
    epoch: int = 0,
) -> Shard:
    """Write consecutive blocks of logits as one shard. The epoch keeps rival writers apart."""
    if dtype not in {"float32", "float16"}:
        raise ValueError(f"scores are stored as float32 or float16, not {dtype}")
    stop = start + shape[0]
    name = f"{start:09d}-{stop:09d}.{epoch}.npy"
    digest = write_durably(
        score_folder(score_set_id) / name, _npy_bytes(rows, shape, np.dtype(dtype))
    )
    return Shard(start, stop, name, digest)


def _npy_bytes(
    rows: Iterable[NDArray[Any]], shape: tuple[int, int], dtype: np.dtype[Any]
) -> Iterator[bytes]:
    yield _npy_header(shape, dtype)
    written = 0
    for block in rows:
        if block.ndim != 2 or block.shape[1] != shape[1]:
            raise ValueError(f"expected blocks of {shape[1]} columns, got {block.shape}")
        written += len(block)
        yield np.ascontiguousarray(block, dtype=dtype.newbyteorder("<")).tobytes()
    if written != shape[0]:
        raise ValueError(f"expected {shape[0]} rows, got {written}")


def _npy_header(shape: tuple[int, int], dtype: np.dtype[Any]) -> bytes:
    header = repr({"descr": dtype.newbyteorder("<").str, "fortran_order": False, "shape": shape})
    # Format 1.0: magic, two-byte length, text padded with spaces so that data starts at 64.
    padding = -(10 + len(header) + 1) % 64
    text = (header + " " * padding + "\n").encode("ascii")
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


class ShardedLogits:
    """A score set's shards as one array of shape (n_items, n_classes), sliced by rows.

    Rows are memory-mapped: a slice inside one shard costs no copy.
    """

    def __init__(self, folder: Path, shards: Sequence[Shard]) -> None:
        ordered = sorted(shards, key=lambda shard: shard.start)
        expected = 0
        for shard in ordered:
            if shard.start != expected:
                raise ScoreStoreError(f"{folder}: rows {expected} to {shard.start} are missing")
            expected = shard.stop
        if not ordered:
            raise ScoreStoreError(f"{folder}: no shards")
        try:
            self._parts = [
                np.load(folder / shard.name, mmap_mode="r", allow_pickle=False) for shard in ordered
            ]
        except (OSError, ValueError) as error:
            raise ScoreStoreError(f"{folder}: a shard can't be read: {error}") from error
        self._starts = [shard.start for shard in ordered]
        self.shape = (expected, int(self._parts[0].shape[1]))
        self.dtype: np.dtype[Any] = self._parts[0].dtype
        self.ndim = 2

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        start, stop, step = rows.indices(self.shape[0])
        if step != 1:
            raise ValueError("rows are read in order, one by one")
        pieces: list[NDArray[Any]] = []
        index = bisect_right(self._starts, start) - 1
        while start < stop:
            offset = start - self._starts[index]
            piece = self._parts[index][offset : offset + stop - start]
            pieces.append(piece)
            start += len(piece)
            index += 1
        if len(pieces) == 1:
            return pieces[0]
        return np.concatenate(pieces) if pieces else np.empty((0, self.shape[1]), self.dtype)

    def blocks(self, size: int = ROWS_PER_READ) -> Iterator[NDArray[Any]]:
        """Yield the rows in order, `size` at a time."""
        for start in range(0, self.shape[0], size):
            yield self[start : start + size]

    def sha256(self) -> str:
        """Return the hash of all rows as little-endian numbers: the same for any sharding."""
        digest = hashlib.sha256(repr((self.shape, self.dtype.str)).encode())
        for block in self.blocks():
            digest.update(np.ascontiguousarray(block).tobytes())
        return digest.hexdigest()


def write_manifest(score_set_id: int, shards: Sequence[Shard], facts: dict[str, Any]) -> None:
    """Write what a score set consists of and how it was made."""
    document = {**facts, "format": 1, "shards": [asdict(shard) for shard in shards]}
    text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False)
    write_durably(score_folder(score_set_id) / MANIFEST, [text.encode()])


def open_scores(score_set_id: int) -> ShardedLogits:
    """Return a finished score set's logits."""
    folder = score_folder(score_set_id)
    try:
        document = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except OSError as error:
        raise ScoreStoreError(f"{folder}: no manifest: {error}") from error
    return ShardedLogits(folder, [Shard(**shard) for shard in document["shards"]])


def verify_shard(score_set_id: int, shard: Shard) -> bool:
    """Return whether a shard's bytes are the ones that were written."""
    path = score_folder(score_set_id) / shard.name
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == shard.sha256
    except OSError:
        return False


def remove_orphans(score_set_id: int, keep: set[str]) -> int:
    """Remove shards of lost epochs and leftovers of killed writers; return how many."""
    removed = 0
    for path in score_folder(score_set_id).glob("*"):
        if path.name != MANIFEST and path.name not in keep:
            path.unlink(missing_ok=True)
            removed += 1
    return removed
