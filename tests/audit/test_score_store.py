"""Score shards are whole or absent, checksummed, and read as one array."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import score_store
from audit.score_files import score_files
from audit.score_store import ScoreStoreError, ShardedLogits


def write(start: int, rows: np.ndarray, **options) -> score_store.Shard:
    return score_store.write_shard(1, start, [rows], rows.shape, **options)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_numpy_reads_what_was_written(dtype):
    rows = np.arange(12, dtype=dtype).reshape(4, 3)
    shard = write(0, rows, dtype=dtype)
    stored = np.load(score_files().locate(f"1/{shard.name}"), allow_pickle=False)
    assert stored.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(stored, rows)


def test_shards_read_as_one_array_whatever_slice_is_asked_for():
    whole = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    cuts = [0, 7, 8, 31, 50]
    shards = [write(start, whole[start:stop]) for start, stop in pairwise(cuts)]
    matrix = ShardedLogits(1, shards)
    assert matrix.shape == whole.shape

    @given(st.integers(0, 60), st.integers(0, 60))
    def check(start: int, stop: int) -> None:
        np.testing.assert_array_equal(matrix[start:stop], whole[start:stop])

    check()


def test_the_hash_does_not_depend_on_the_sharding():
    whole = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    none, one = score_store.check_shards(1, [write(0, whole)])
    _, two = score_store.check_shards(1, [write(9, whole[9:]), write(0, whole[:9])])
    changed = whole.copy()
    changed[13, 1] += 1
    assert none == []
    assert one == two
    assert score_store.check_shards(1, [write(0, changed, epoch=1)])[1] != one


def test_missing_rows_are_refused():
    first, third = np.zeros((2, 3), np.float32), np.ones((2, 3), np.float32)
    shards = [write(0, first), write(4, third)]
    with pytest.raises(ScoreStoreError, match="rows 2 to 4 are missing"):
        ShardedLogits(1, shards)


def test_one_flipped_bit_is_noticed():
    shard, other = write(0, np.zeros((4, 3), np.float32)), write(4, np.ones((4, 3), np.float32))
    path = score_files().locate(f"1/{shard.name}")
    assert score_store.check_shards(1, [shard, other])[0] == []
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(bytes(damaged))
    assert score_store.check_shards(1, [shard, other]) == ([shard], "")
    path.unlink()
    assert score_store.check_shards(1, [shard, other]) == ([shard], "")


def test_a_writer_that_fails_leaves_no_shard_behind():
    def rows():
        yield np.zeros((2, 3), np.float32)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        score_store.write_shard(1, 0, rows(), (4, 3))
    assert score_files().names(1) == []


def test_too_few_rows_are_refused():
    with pytest.raises(ValueError, match="expected 4 rows, got 2"):
        score_store.write_shard(1, 0, [np.zeros((2, 3), np.float32)], (4, 3))


def test_e17_leftovers_of_lost_epochs_are_removed_and_nothing_that_is_referred_to():
    kept = write(0, np.zeros((2, 3), np.float32), epoch=2)
    write(0, np.zeros((2, 3), np.float32), epoch=1)
    score_store.write_manifest(1, [kept], {})
    others = score_store.write_shard(2, 0, [np.zeros((2, 3), np.float32)], (2, 3), epoch=1)
    assert score_store.remove_orphans(1, {kept.name}) == 1
    assert score_files().names(1) == [kept.name, "manifest.json"]
    assert score_files().names(2) == [others.name]
    assert score_store.open_scores(1).shape == (2, 3)
