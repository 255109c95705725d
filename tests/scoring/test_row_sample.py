"""A sample of the rows: which rows it takes, and that slices of it are those rows."""

import numpy as np
import pytest

from scoring.row_sample import RowSample


@pytest.mark.parametrize(("n_items", "n_wanted"), [(1000, 320), (1000, 1), (5, 100), (64, 64)])
def test_the_rows_taken_are_those_at_its_positions(n_items, n_wanted):
    rows = np.arange(n_items * 3, dtype=np.float16).reshape(n_items, 3)
    sample = RowSample(rows, n_wanted)
    assert sample.shape == (sample.positions.size, 3)
    assert sample.dtype == np.float16
    for span in (slice(None), slice(0, 1), slice(7, 77), slice(-3, None)):
        np.testing.assert_array_equal(sample[span], rows[sample.positions][span])


def test_no_row_is_taken_twice_and_both_ends_are_reached():
    sample = RowSample(np.zeros((1000, 2)), 1000)
    assert np.unique(sample.positions).size == sample.positions.size > 950
    assert {0, 999} <= set(sample.positions)
