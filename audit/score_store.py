"""Scores on disk: `.npy` shards of logits per score set, with checksums and a manifest.

A reader sees a whole shard or none. `ShardedLogits` reads them as one (n_items, n_classes) array.
"""

from __future__ import annotations

import errno
import hashlib
import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from audit.score_files import DamagedFileError, score_files

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

MANIFEST = "manifest.json"
ROWS_PER_READ = 4096
BYTES_PER_READ = 1 << 20
SHARDS_MAPPED = 256


class ScoreStoreError(RuntimeError):
    """Scores can't be read or written, or aren't what was written."""


class ScoresMissingError(ScoreStoreError):
    """Finished scores have lost their manifest."""


@dataclass(frozen=True, slots=True)
class Shard:
    """Rows [start, stop) of a score set, in one file."""

    start: int
    stop: int
    name: str
    sha256: str


def file_key(score_set_id: int, name: str) -> str:
    """Return how a file of a score set is called in the store."""
    return f"{score_set_id}/{name}"


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
    digest = score_files().put(
        file_key(score_set_id, name), _npy_bytes(rows, shape, np.dtype(dtype))
    )
    return Shard(start, stop, name, digest)


def remove_shard(score_set_id: int, shard: Shard) -> None:
    """Remove a shard that lost its claim before it was committed."""
    score_files().remove(file_key(score_set_id, shard.name))


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

    Rows are memory-mapped: a slice inside one shard costs no copy. Only the shards read last stay
    mapped, for the system allows some 65,000 maps and a large set has more shards.
    """

    def __init__(self, score_set_id: int, shards: Sequence[Shard]) -> None:
        self._score_set_id = score_set_id
        self.shards = sorted(shards, key=lambda shard: shard.start)
        expected = 0
        for shard in self.shards:
            if shard.start != expected:
                raise ScoreStoreError(
                    f"score set {score_set_id}: rows {expected} to {shard.start} are missing"
                )
            expected = shard.stop
        if not self.shards:
            raise ScoreStoreError(f"score set {score_set_id}: no shards")
        self._starts = [shard.start for shard in self.shards]
        self._part = lru_cache(maxsize=SHARDS_MAPPED)(self._map)
        first = self._part(0)
        self.shape = (expected, int(first.shape[1]))
        self.dtype: np.dtype[Any] = first.dtype
        self.ndim = 2

    def _map(self, index: int) -> NDArray[Any]:
        shard = self.shards[index]
        try:
            path = score_files().locate(file_key(self._score_set_id, shard.name), shard.sha256)
            part: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise ScoreStoreError(
                f"score set {self._score_set_id}: {shard.name} can't be read: {error}"
            ) from error
        return part

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
            piece = self._part(index)[offset : offset + stop - start]
            pieces.append(piece)
            start += len(piece)
            index += 1
        if len(pieces) == 1:
            return pieces[0]
        return np.concatenate(pieces) if pieces else np.empty((0, self.shape[1]), self.dtype)


def check_shards(score_set_id: int, shards: Sequence[Shard]) -> tuple[list[Shard], str]:
    """Return the shards that are missing or aren't what was written, and the hash of all rows.

    One pass over the bytes. The hash, over the rows as little-endian numbers in item order, is
    the same for any cut into shards; it is empty where shards are damaged.
    """
    damaged = []
    digest = hashlib.sha256()
    ordered = sorted(shards, key=lambda shard: shard.start)
    for place, shard in enumerate(ordered):
        key = file_key(score_set_id, shard.name)
        try:
            path = score_files().locate(key, shard.sha256)
            with path.open("rb") as file:
                _, n_columns, dtype = _read_npy_header(file)
                if place == 0:
                    digest.update(repr(((ordered[-1].stop, n_columns), dtype)).encode())
                whole = _hash_file(file, digest)
        except (FileNotFoundError, DamagedFileError, ValueError):
            whole = ""
        except OSError as error:
            # A store that is away for a moment has lost nothing; a sector that can't be read has.
            if error.errno != errno.EIO:
                raise
            whole = ""
        if whole != shard.sha256:
            score_files().forget(shard.sha256)
            damaged.append(shard)
    return damaged, "" if damaged else digest.hexdigest()


def _read_npy_header(file: BinaryIO) -> tuple[int, int, str]:
    """Return rows, columns and number format; the file then stands at the first row."""
    np.lib.format.read_magic(file)
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    return shape[0], shape[1], dtype.str


def _hash_file(file: BinaryIO, of_rows: Hash) -> str:
    """Add the rows from here on to `of_rows`; return the sha256 of the whole file."""
    data_starts = file.tell()
    file.seek(0)
    of_file = hashlib.sha256(file.read(data_starts))
    while block := file.read(BYTES_PER_READ):
        of_file.update(block)
        of_rows.update(block)
    return of_file.hexdigest()


def write_manifest(score_set_id: int, shards: Sequence[Shard], facts: dict[str, Any]) -> None:
    """Write what a score set consists of and how it was made; from here on it lasts.

    A shard needs no waiting for the disk before: one that a power cut takes away is noticed when
    the shards are checked, and scored again.
    """
    document = {**facts, "format": 1, "shards": [asdict(shard) for shard in shards]}
    text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False)
    score_files().put(file_key(score_set_id, MANIFEST), [text.encode()])
    score_files().settle(score_set_id)


def read_manifest(score_set_id: int) -> list[Shard]:
    """Return what a finished score set consists of."""
    try:
        path = score_files().locate(file_key(score_set_id, MANIFEST))
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ScoresMissingError(f"score set {score_set_id} has no manifest: {error}") from error
    except OSError as error:
        raise ScoreStoreError(f"score set {score_set_id}: {error}") from error
    return [Shard(**shard) for shard in document["shards"]]


def open_scores(score_set_id: int) -> ShardedLogits:
    """Return a finished score set's logits."""
    return ShardedLogits(score_set_id, read_manifest(score_set_id))


def remove_orphans(score_set_id: int, keep: set[str]) -> int:
    """Remove shards of lost epochs and leftovers of killed writers; return how many.

    Only once the score set is closed: before, a shard that looks lost may be about to be committed.
    """
    orphans = set(score_files().names(score_set_id)) - keep - {MANIFEST}
    for name in orphans:
        score_files().remove(file_key(score_set_id, name))
    return len(orphans)


def remove_scores(score_set_id: int) -> None:
    """Remove everything of a score set that no row speaks of any more."""
    for name in score_files().names(score_set_id):
        score_files().remove(file_key(score_set_id, name))
