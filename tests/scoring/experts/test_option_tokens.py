"""Option letters among the tokens a server tells: exact where told, bounded where not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax

from scoring.experts.option_tokens import find_options, largest_left

OPTIONS = [" A", " B", " C"]


def test_worked_example():
    top = {" A": np.log(0.5), "the": np.log(0.3), " B": np.log(0.15)}
    values, is_bound = find_options(top, OPTIONS)
    np.testing.assert_allclose(np.exp(values), [0.5, 0.15, 0.05], atol=1e-5)  # .05 is left over
    assert is_bound.tolist() == [False, False, True]
    values, _ = find_options({" A": np.log(0.5), " B": np.log(0.1)}, OPTIONS)
    np.testing.assert_allclose(np.exp(values), [0.5, 0.1, 0.1])  # no likelier than the least told


def test_tokens_as_vocabularies_write_them_are_understood():
    top = {"\u0120A": -1.0, "\u2581B": -2.0, "C": -0.1}
    values, is_bound = find_options(top, OPTIONS)
    assert values[:2].tolist() == [-1.0, -2.0]
    assert is_bound.tolist() == [False, False, True]
    assert find_options({"\u0120A": -1.0, " A": -3.0}, OPTIONS)[0][0] == -3.0


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([0.0], np.log(1e-5)),
        ([np.log(0.6), np.log(0.4)], np.log(1e-5)),
        ([-0.1, -0.1], -0.1),  # of no distribution: nothing is left to go by
    ],
)
def test_rounded_values_that_leave_nothing_over_still_bound(told, expected):
    assert largest_left(told) == pytest.approx(expected)


def test_nothing_is_as_small_as_imported_scores_can_be():
    values, is_bound = find_options({" A": 0.0, " B": -9999.0, "x": -np.inf}, OPTIONS)
    np.testing.assert_allclose(values, [0.0, np.log(1e-12), np.log(1e-12)])
    assert is_bound.tolist() == [False, False, True]


def test_nothing_told_bounds_nothing():
    values, is_bound = find_options({}, OPTIONS)
    assert values.tolist() == [0.0, 0.0, 0.0]
    assert is_bound.all()


@given(
    st.lists(st.floats(-20, 20), min_size=6, max_size=40),
    st.integers(1, 6),
)
def test_a_bound_is_never_below_what_it_bounds(logits, n_told):
    truth = log_softmax(np.array(logits))
    names = [*OPTIONS, *(f"word{number}" for number in range(3, truth.size))]
    ranked = np.argsort(-truth, kind="stable")[:n_told]
    values, is_bound = find_options({names[place]: truth[place] for place in ranked}, OPTIONS)
    assert (values >= truth[:3] - 1e-9).all()
    known = np.maximum(truth[:3], np.log(1e-12))[~is_bound]
    np.testing.assert_array_equal(values[~is_bound], known)
