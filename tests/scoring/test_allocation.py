"""Allocation of draws to strata and the serving order, by hand and by invariants."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.allocation import allocate, interleave, neyman_weights


def test_neyman_weights_of_a_worked_example():
    np.testing.assert_allclose(neyman_weights([100, 50, 10], [0.5, 0.1, 1.0]), [50, 15, 0])


def test_the_minimum_comes_first_and_the_rest_is_proportional():
    # 30 go to the minima; 20 more in the ratio 3:1:0 are 15, 5, 0.
    counts = allocate([100, 100, 100], [3, 1, 0], total=50, minimum=10)
    assert counts.tolist() == [25, 15, 10]


def test_largest_remainders_are_rounded_up_first():
    # Quotas 1.5, 3.25, 5.25: floors 1, 3, 5; the one item left goes to the remainder of .5.
    assert allocate([100, 100, 100], [6, 13, 21], total=10).tolist() == [2, 3, 5]


def test_a_small_stratum_gives_all_it_has_and_the_others_take_the_rest():
    assert allocate([4, 100, 100], [50, 25, 25], total=40, minimum=10).tolist() == [4, 18, 18]


def test_a_total_below_the_minima_is_shared_out_in_proportion():
    assert allocate([5, 100, 100], [1, 1, 1], total=10, minimum=10).tolist() == [2, 4, 4]


def test_a_total_beyond_the_population_draws_everything():
    assert allocate([3, 0, 7], [1, 1, 0], total=99, minimum=2).tolist() == [3, 0, 7]


@given(
    st.lists(st.tuples(st.integers(0, 60), st.floats(0, 9)), min_size=1, max_size=12),
    st.integers(0, 400),
    st.integers(0, 15),
)
def test_every_allocation_adds_up_and_fits(strata, total, minimum):
    sizes, weights = (np.array(column) for column in zip(*strata, strict=True))
    counts = allocate(sizes, weights, total, minimum)
    assert counts.sum() == min(total, sizes.sum())
    assert ((counts >= 0) & (counts <= sizes)).all()
    if total >= np.minimum(sizes, minimum).sum():
        assert (counts >= np.minimum(sizes, minimum)).all()


@given(st.lists(st.integers(0, 40), min_size=1, max_size=8), st.integers(0, 2**32))
def test_every_prefix_of_the_serving_order_keeps_the_proportions(counts, seed):
    order = interleave(counts, np.random.default_rng(seed))
    assert np.bincount(order, minlength=len(counts)).tolist() == counts
    for length in range(1, len(order) + 1):
        served = np.bincount(order[:length], minlength=len(counts))
        # Each stratum lies within one item of its share of the place reached, and the place
        # reached lies within one item per stratum of the length.
        fair = np.array(counts) * length / len(order)
        assert (np.abs(served - fair) <= 1 + len(counts) * np.array(counts) / len(order)).all()


@pytest.mark.parametrize(
    ("sizes", "weights", "total"),
    [([1], [1, 2], 1), ([-1], [1], 1), ([1], [-1], 1), ([1], [1], -1)],
)
def test_impossible_requests_are_refused(sizes, weights, total):
    with pytest.raises(ValueError, match=r"fit|negative"):
        allocate(sizes, weights, total)
