"""Candidate classes, clean exemplars and look-alikes: worked by hand, then what always holds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from scoring.comparisons import candidate_classes, clean_exemplars, confusable_pairs


def test_candidates_are_the_label_the_tops_and_the_best_of_the_rest():
    # Expert 0 ranks 1 3 0 2 4, expert 1 ranks 2 0 4 3 1. Rank two: 3 and 0, rank three: 0 and 4.
    logits = [[[3.0, 9.0, 1.0, 5.0, 0.0]], [[6.0, 0.5, 8.0, 1.0, 2.0]]]
    found = candidate_classes([4], [[1], [2]], logits, n_candidates=5)
    # Of rank two the second expert's 0 has the larger share (.12 against .02).
    assert found.tolist() == [[4, 1, 2, 0, 3]]
    assert candidate_classes([4], [[1], [2]], logits, n_candidates=3).tolist() == [[4, 1, 2]]


def test_an_expert_that_confirms_the_label_adds_no_candidate():
    assert candidate_classes([1], [[1], [0]], [], 4).tolist() == [[1, 0, -1, -1]]


def test_an_expert_without_a_score_adds_nothing():
    nothing = [[np.nan, np.nan, np.nan]]
    known = [[0.0, 1.0, 2.0]]
    assert candidate_classes([0], [[-1], [2]], [nothing, known], 3).tolist() == [[0, 2, 1]]


def test_classes_that_a_top_k_list_says_nothing_of_are_no_candidates():
    top2 = np.log([[0.6, 0.1, 0.1, 0.1, 0.1], [0.05, 0.05, 0.05, 0.6, 0.25]])
    found = candidate_classes([1, 0], [[0, 3]], [top2], 4)
    assert found.tolist() == [[1, 0, -1, -1], [0, 3, 4, -1]]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), n_classes=st.integers(2, 9))
def test_candidates_never_repeat_and_always_hold_the_label_and_every_top(seed, n_classes):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(2, 5, n_classes))
    labels, tops = rng.integers(0, n_classes, 5), logits.argmax(axis=2)
    for row, label, top in zip(
        candidate_classes(labels, tops, logits), labels, tops.T, strict=True
    ):
        chosen = row[row >= 0].tolist()
        assert len(set(chosen)) == len(chosen) == min(6, n_classes)
        assert chosen[0] == label
        assert set(top) <= set(chosen)


def test_the_order_of_the_rest_is_by_rank_then_softmax_share():
    rng = np.random.default_rng(3)
    logits = rng.normal(scale=4, size=(2, 1, 30))
    shares = softmax(logits, axis=2)
    order = np.argsort(-logits, axis=2)
    tops = order[:, :, 0]
    second = sorted(order[:, 0, 1], key=lambda one: -max(shares[:, 0, one]))
    expected = dict.fromkeys([0, *tops[:, 0], *second])
    found = candidate_classes([0], tops, logits)[0]
    assert found[: len(expected)].tolist() == [int(one) for one in expected]


def clean(labels, tops, confidences, **changes):
    labels = np.asarray(labels)
    options = {"allowed": np.ones(labels.size, dtype=bool), "n_classes": 2, "n_bins": 3} | changes
    return clean_exemplars(labels, tops, confidences, **options)


def test_exemplars_are_confirmed_by_all_in_the_upper_third_and_allowed():
    labels = [0, 0, 0, 0, 0, 1, 1, 1, 1]
    first = [0.9, 0.8, 0.95, 0.1, 0.2, 0.85, 0.3, 0.4, 0.5]
    second = [0.7, 0.8, 0.85, 0.2, 0.3, 0.1, 0.9, 0.4, 0.5]
    tops = [labels, labels]
    # Upper thirds: 0 2 5 of the first (.9 .95 .85), 1 2 6 of the second (.8 .85 .9).
    found = clean(labels, tops, [first, second], n_exemplars=2)
    assert found.tolist() == [[2, -1], [-1, -1]]
    allowed = np.ones(9, dtype=bool)
    allowed[2] = False
    assert (clean(labels, tops, [first, second], allowed=allowed) == -1).all()


def test_a_disputed_item_is_no_exemplar_and_the_clearest_come_first():
    labels = [0] * 6
    confidence = [0.1, 0.2, 0.9, 0.97, 0.95, 0.95]
    tops = [[0, 0, 0, 1, 0, 0]]
    found = clean(labels, tops, [confidence], n_bins=1, n_exemplars=4)
    assert found.tolist() == [[4, 5, 2, 1], [-1, -1, -1, -1]]


def test_an_item_that_an_expert_has_not_scored_is_no_exemplar():
    found = clean([0, 0], [[0, -1]], [[0.5, np.nan]], n_bins=1, n_exemplars=2)
    assert found.tolist() == [[0, -1], [-1, -1]]


def test_classes_taken_for_one_another_often_are_pairs():
    labels = np.repeat([0, 1, 2], 50)
    tops = np.tile(labels, (2, 1))
    tops[0, :3] = 1  # 0 taken for 1, three times
    tops[1, 50] = 0  # and the other way round once: 4 of 200
    tops[0, 100:103] = 1  # 2 taken for 1: 3 of 200, too few
    assert confusable_pairs(labels, tops, 3).tolist() == [[0, 1]]
    assert confusable_pairs(labels, tops, 3, least_share=0.015).tolist() == [[0, 1], [1, 2]]


def test_planted_noise_spread_over_all_classes_makes_no_pair():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 10, 5000)
    labels = np.where(rng.random(5000) < 0.05, rng.integers(0, 10, 5000), truth)
    assert confusable_pairs(labels, [truth, truth], 10).size == 0


@pytest.mark.parametrize("tops", [[[-1, -1]], [[0, 1]]])
def test_nothing_confused_gives_no_pairs(tops):
    assert confusable_pairs([0, 1], tops, 2).shape == (0, 2)
