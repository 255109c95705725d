"""Scoring one expert's items: against a dense softmax, on ties, and where rows are missing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp, softmax

from scoring.confidence import score_items
from scoring.readings import LIKELY, read_items


def losses(logits, labels, *temperatures):
    """The NLL of every item at each temperature."""
    readings = read_items(np.asarray(logits), np.asarray(labels), None, temperatures)
    return [readings.nll(number) for number in range(len(temperatures))]


def test_b112_worked_example_and_ties_go_to_the_lowest_class():
    scored = score_items([[0.0, np.log(3.0)], [5.0, 5.0]], [0, 1], 1.0)
    assert scored.top1.tolist() == [1, 0]  # a tie goes to the lowest class
    np.testing.assert_allclose(scored.confidence, [0.75, 0.5])
    np.testing.assert_allclose(scored.given_probability, [0.25, 0.5])
    (nll,) = losses([[0.0, np.log(3.0)], [5.0, 5.0]], [0, 1], 1.0)
    np.testing.assert_allclose(nll, [np.log(4), np.log(2)])
    # At temperature 1/2 the odds are squared: 9 to 1.
    np.testing.assert_allclose(score_items([[0.0, np.log(3.0)]], [0], 0.5).confidence, [0.9])


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    n_items=st.integers(1, 40),
    n_classes=st.integers(2, 7),
    dtype=st.sampled_from([np.float16, np.float32, np.float64]),
)
def test_scores_equal_a_dense_softmax(seed, n_items, n_classes, dtype):
    rng = np.random.default_rng(seed)
    logits = (rng.normal(size=(n_items, n_classes)) * 3).astype(dtype)
    labels = rng.integers(0, n_classes, n_items)
    temperature = rng.uniform(0.5, 3, n_items)
    scored = score_items(logits, labels, temperature)
    wide = logits.astype(np.float64)
    dense = softmax(wide / temperature[:, None], axis=1)
    rows = np.arange(n_items)
    np.testing.assert_array_equal(scored.top1, wide.argmax(axis=1))
    np.testing.assert_allclose(scored.confidence, dense.max(axis=1), rtol=1e-6)
    np.testing.assert_allclose(scored.given_probability, dense[rows, labels], rtol=1e-5)
    np.testing.assert_allclose(scored.raw_confidence, softmax(wide, axis=1).max(axis=1), rtol=1e-6)
    nll, raw_nll = losses(logits, labels, temperature, 1.0)
    np.testing.assert_allclose(
        raw_nll, logsumexp(wide, axis=1) - wide[rows, labels], rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(nll, -np.log(dense[rows, labels]), rtol=1e-5, atol=1e-6)


def test_b106_items_come_out_in_item_order_whatever_the_chunks():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(700, 1000)).astype(np.float32)  # three chunks
    labels = rng.integers(0, 1000, 700)
    order = rng.permutation(700)
    scored = score_items(logits, labels, 1.3)
    shuffled = score_items(logits[order], labels[order], 1.3)
    np.testing.assert_array_equal(shuffled.top1, scored.top1[order])
    np.testing.assert_array_equal(shuffled.confidence, scored.confidence[order])


def test_b101_rows_without_scores_are_marked_and_touch_no_other_row():
    logits = np.tile([[0.0, 1.0]], (3, 1))
    logits[1, 0] = np.nan
    scored = score_items(logits, [0, -1, 1], 1.0)
    assert scored.top1.tolist() == [1, -1, 1]
    assert scored.valid.tolist() == [True, False, True]
    assert np.isnan(scored.confidence).tolist() == [False, True, False]
    (nll,) = losses(logits, [0, -1, 1], 1.0)
    assert np.isnan(nll).tolist() == [False, True, False]


def test_b126_confidences_next_to_one_stay_apart():
    logits = np.array([[20.0, 0.0], [25.0, 0.0], [30.0, 0.0]], dtype=np.float32)
    confidence = score_items(logits, [0, 0, 0], 1.0).confidence
    assert confidence[0] < confidence[1] < confidence[2] < 1


@pytest.mark.parametrize("temperature", [0.0, -1.0, np.nan, np.inf, [1.0]])
def test_a_temperature_that_is_none_is_refused(temperature):
    with pytest.raises(ValueError, match="temperature"):
        score_items(np.zeros((3, 2)), [0, 0, 0], temperature)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_b102_an_infinite_entry_means_not_scored(dtype):
    logits = np.zeros((5, 3), dtype=dtype)
    logits[1, 2], logits[2, 0], logits[4] = np.inf, -np.inf, -np.inf
    scored = score_items(logits, [0] * 5, 1.0)
    assert scored.valid.tolist() == [True, False, False, True, False]
    assert np.isnan(scored.confidence).tolist() == [False, True, True, False, True]


def test_b104_a_row_of_equal_logits_has_confidence_1_over_k_and_the_lowest_class():
    scored = score_items(np.full((3, 8), 2.5, dtype=np.float32), [0, 3, 7], 0.7)
    assert scored.top1.tolist() == [0, 0, 0]
    np.testing.assert_allclose(scored.confidence, 1 / 8)
    np.testing.assert_allclose(scored.given_probability, 1 / 8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_b111_huge_and_spread_out_logits_stay_finite(dtype):
    logits = (np.random.default_rng(0).normal(size=(50, 4)) * 1e30).astype(dtype)
    scored = score_items(logits, np.arange(50) % 4, 1.3)
    nlls = losses(logits, np.arange(50) % 4, 1.3, 1.0)
    for values in (scored.confidence, scored.given_probability, *nlls):
        assert np.isfinite(values).all()


def test_every_likely_class_is_listed_in_item_order():
    logits = np.random.default_rng(0).normal(size=(900, 400)) * 8
    logits[5, 1] = np.nan
    scored = score_items(logits, np.zeros(900, int), 1.4)
    listed = np.zeros(logits.shape, dtype=bool)
    listed[scored.likely.items, scored.likely.classes] = True
    listed[np.arange(900), scored.top1] = True
    dense = softmax(logits / 1.4, axis=1)
    assert listed[np.nan_to_num(dense) >= LIKELY].all()
    few = listed[scored.valid] & (dense[scored.valid] < 0.99 * LIKELY)
    assert few.sum() == 0
    assert (np.diff(scored.likely.items) >= 0).all()


def test_an_expert_that_finds_many_classes_likely_gets_no_list():
    scored = score_items(np.zeros((100, 20)), np.zeros(100, int), 1.0)
    assert scored.likely is None
