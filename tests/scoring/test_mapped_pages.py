"""Pages of a file that was read through are given back, and the numbers stay what they were."""

import sys
from pathlib import Path

import numpy as np
import pytest

from scoring.arrays import row_chunks
from scoring.mapped_pages import release_pages


def resident_mb():
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Rss")) / 1024


@pytest.fixture
def stored(tmp_path):
    """Forty megabytes on disk, mapped."""
    np.save(tmp_path / "rows.npy", np.arange(10_000_000, dtype=np.float32).reshape(10_000, 1000))
    return np.load(tmp_path / "rows.npy", mmap_mode="r")


@pytest.mark.skipif(sys.platform != "linux", reason="reads resident memory from /proc")
def test_a_file_read_in_chunks_does_not_stay_in_memory(stored):
    before = resident_mb()
    total = sum(float(chunk.sum(dtype=np.float64)) for _, chunk in row_chunks(stored))
    assert total == pytest.approx(10_000_000 * 9_999_999 / 2)
    assert resident_mb() - before < 12
    float(np.asarray(stored).sum())
    assert resident_mb() - before > 30


@pytest.mark.parametrize(("start", "stop"), [(0, 10_000), (0, 1), (3, 777), (9_999, 10_000)])
def test_released_rows_read_the_same_again(stored, start, stop):
    rows = stored[start:stop]
    expected = rows.copy()
    release_pages(rows)
    np.testing.assert_array_equal(rows, expected)


def test_changes_that_only_memory_holds_are_never_given_back(tmp_path):
    np.save(tmp_path / "rows.npy", np.zeros((2000, 10), dtype=np.float32))
    private = np.load(tmp_path / "rows.npy", mmap_mode="c")
    private[:] = 1
    release_pages(private[:])
    assert (private == 1).all()


def test_ordinary_arrays_are_left_alone():
    rows = np.ones((5, 4))
    release_pages(rows[1:3])
    release_pages(rows[:0])
    assert (rows == 1).all()
