"""Bins and the calibration error: by hand, by brute force, and under permutation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.binning import (
    equal_count_bins,
    equal_width_bins,
    expected_calibration_error,
    reliability_table,
)


def test_worked_example():
    confidence = [0.9, 0.1, 0.5, 0.6, 0.8]
    correct = [1, 0, 1, 0, 1]
    assert equal_count_bins(confidence, 2).tolist() == [1, 0, 0, 0, 1]
    table = reliability_table(confidence, correct, n_bins=2)
    assert table.count.tolist() == [3, 2]
    np.testing.assert_allclose(table.confidence, [0.4, 0.85])
    np.testing.assert_allclose(table.accuracy, [1 / 3, 1.0])
    np.testing.assert_allclose(table.lower, [0.1, 0.8])
    np.testing.assert_allclose(table.upper, [0.6, 0.9])
    assert table.ece == pytest.approx(3 / 5 * (0.4 - 1 / 3) + 2 / 5 * 0.15)


def test_equal_width_edges_belong_to_the_upper_bin_and_empty_bins_are_left_out():
    assert equal_width_bins([0.0, 0.25, 0.5, 0.99, 1.0], 4).tolist() == [0, 1, 2, 3, 3]
    table = reliability_table([0.1, 0.9], [0, 1], n_bins=4, strategy="equal_width")
    assert table.lower.tolist() == [0, 0.75]
    assert table.upper.tolist() == [0.25, 1]


def test_b113_ties_are_broken_by_key_not_by_position():
    assert equal_count_bins([0.5] * 4, 2, keys=["d", "a", "c", "b"]).tolist() == [1, 0, 1, 0]


def test_b068_b122_b125_fewer_items_than_bins_give_one_bin_each():
    assert equal_count_bins([0.3, 0.1], 15).tolist() == [1, 0]
    assert equal_count_bins([], 15).tolist() == []
    assert expected_calibration_error([0.25], [1]) == 0.75


@pytest.mark.parametrize("n_bins", [0, -3, 2.0, "15", True, float("nan")])
def test_b122_a_number_of_bins_that_is_no_count_is_refused(n_bins):
    with pytest.raises(ValueError, match="n_bins must be a whole number"):
        equal_count_bins([0.5], n_bins)


@pytest.mark.parametrize(
    ("confidence", "correct"),
    [([0.5], [2]), ([1.5], [1]), ([np.nan], [1]), ([0.5, 0.5], [1]), ([[0.5]], [[1]])],
)
def test_values_outside_their_range_are_refused(confidence, correct):
    with pytest.raises(ValueError, match=r"must|contains|do not fit"):
        reliability_table(confidence, correct)


def test_the_calibration_error_of_nothing_is_not_a_number_but_an_error():
    with pytest.raises(ValueError, match="undefined"):
        expected_calibration_error([], [])


def brute_force_ece(confidence, correct, n_bins):
    order = sorted(range(len(confidence)), key=lambda i: (confidence[i], i))
    parts = [part for part in np.array_split(order, n_bins) if len(part)]
    return sum(
        len(part) / len(order) * abs(np.mean(confidence[part]) - np.mean(correct[part]))
        for part in parts
    )


@given(seed=st.integers(0, 2**32), n_items=st.integers(1, 60), n_bins=st.integers(1, 20))
def test_b125_ece_equals_brute_force_and_lies_in_the_unit_interval(seed, n_items, n_bins):
    rng = np.random.default_rng(seed)
    confidence = rng.integers(0, 8, n_items) / 7  # many ties
    correct = rng.random(n_items) < confidence
    ece = expected_calibration_error(confidence, correct, n_bins)
    assert ece == pytest.approx(brute_force_ece(confidence, correct, n_bins))
    assert 0 <= ece <= 1
    wide = expected_calibration_error(confidence, correct, n_bins, "equal_width")
    assert 0 <= wide <= 1


@given(seed=st.integers(0, 2**32), n_items=st.integers(1, 60), n_bins=st.integers(1, 20))
def test_b113_bins_follow_the_items_under_permutation(seed, n_items, n_bins):
    rng = np.random.default_rng(seed)
    confidence = rng.integers(0, 5, n_items) / 4
    keys = np.array([f"item-{key}" for key in rng.permutation(n_items)])
    order = rng.permutation(n_items)
    bins = equal_count_bins(confidence, n_bins, keys)
    np.testing.assert_array_equal(
        equal_count_bins(confidence[order], n_bins, keys[order]),
        bins[order],
    )
    sizes = np.bincount(bins)
    assert sizes.tolist() == [len(part) for part in np.array_split(range(n_items), sizes.size)]
