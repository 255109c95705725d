"""The two halves: seeded, balanced, and indifferent to the order of the items."""

import numpy as np
import pytest

from scoring.degenerate import Degenerate
from scoring.splits import check_no_leak, in_half_a

KEYS = [f"ILSVRC2012_val_{number:08d}" for number in range(4000)]


def test_b119_an_item_keeps_its_half_in_any_order_and_any_company():
    half_a = in_half_a(KEYS, seed=7)
    order = np.random.default_rng(0).permutation(len(KEYS))[:1000]
    np.testing.assert_array_equal(in_half_a([KEYS[i] for i in order], seed=7), half_a[order])


def test_halves_are_about_even_and_seeds_are_unrelated():
    first, second = in_half_a(KEYS, seed=0), in_half_a(KEYS, seed=1)
    # Four standard deviations of a fair coin thrown 4,000 times.
    assert abs(first.mean() - 0.5) < 4 * 0.5 / np.sqrt(4000)
    assert abs((first == second).mean() - 0.5) < 4 * 0.5 / np.sqrt(4000)


def test_the_halves_of_known_keys_never_change():
    keys = ["a", "b", "c", "d", "e", "f", "ä", "\udcff"]
    half_a = [False, False, True, False, False, False, True, True]
    assert in_half_a(keys, seed=0).tolist() == half_a


def test_b120_items_both_fitted_and_scored_are_a_leak():
    check_no_leak(["a", "b"], ["c"])
    with pytest.raises(Degenerate) as refusal:
        check_no_leak(["a", "b", "c"], ["d", "c", "b"])
    assert refusal.value.reason == "leak"
    assert refusal.value.detail == "2 items are both fitted and scored, as b, c"


def test_b120_the_halves_of_one_data_set_never_leak():
    half_a = in_half_a(KEYS, seed=0)
    check_no_leak(
        [key for key, inside in zip(KEYS, half_a, strict=True) if inside],
        [key for key, inside in zip(KEYS, half_a, strict=True) if not inside],
    )
