"""Inputs that are not what they are taken for: permuted labels, probabilities for logits."""

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from scoring.sanity import find_score_kind, label_map_suspect, least_agreement


def test_worked_example_of_the_least_agreement():
    assert least_agreement(1000) == 0.005
    assert least_agreement(41) == pytest.approx(5 / 41)
    assert least_agreement(10) == pytest.approx(0.19)
    assert least_agreement(4) == pytest.approx(0.325)
    assert least_agreement(2) == pytest.approx(0.55)
    with pytest.raises(ValueError, match="at least two classes"):
        least_agreement(1)


def experts(accuracies, n_classes, n_items=4000, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_classes, n_items)
    right = rng.random((len(accuracies), n_items)) < np.array(accuracies)[:, None]
    return np.where(right, labels, rng.integers(0, n_classes, right.shape)), labels


@pytest.mark.parametrize("n_classes", [10, 100, 1000])
def test_b056_labels_in_another_order_are_suspect_and_the_right_order_is_not(n_classes):
    tops, labels = experts([0.8, 0.6], n_classes)
    assert label_map_suspect(tops, labels, n_classes) is None
    order = np.roll(np.arange(n_classes), 1)
    reason = label_map_suspect(tops, order[labels], n_classes)
    assert reason.startswith("label_map_suspect: the experts agree with")


def test_one_expert_that_agrees_clears_the_labels():
    tops, labels = experts([0.0, 0.5], 100)
    assert label_map_suspect(tops, labels, 100) is None
    assert label_map_suspect(tops[:1], labels, 100) is not None


def test_a_weak_expert_of_four_options_is_not_suspect():
    tops, labels = experts([0.15], 4)  # right in 36 %
    assert label_map_suspect(tops, labels, 4) is None


def test_b069_no_dispute_is_fine_and_nothing_but_disputes_is_suspect():
    labels = np.arange(100) % 10
    assert label_map_suspect([labels, labels], labels, 10) is None
    reason = label_map_suspect([labels + 1, labels + 2], labels, 12)
    assert reason == "label_map_suspect: every expert disputes all 100 labels"


def test_items_without_scores_or_labels_tell_nothing():
    assert label_map_suspect([[-1, -1], [-1, -1]], [0, 1], 4) is None
    assert label_map_suspect([[0, 1, 3], [0, -1, 2]], [0, 1, -1], 4) is None
    assert label_map_suspect([[], []], [], 4) is None
    with pytest.raises(ValueError, match="do not fit"):
        label_map_suspect([[0]], [0, 1], 4)
    with pytest.raises(ValueError, match=r"must lie in \[0, 4\)"):
        label_map_suspect([[0]], [7], 4)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("n_items", [1, 7, 30_000])
def test_b108_probabilities_and_log_probabilities_given_as_logits_are_recognised(dtype, n_items):
    logits = np.random.default_rng(0).normal(size=(n_items, 5)) * 3
    assert find_score_kind(logits.astype(dtype)) is None
    probabilities = softmax(logits, axis=1)
    assert find_score_kind(probabilities.astype(dtype)) == "probabilities"
    tolerated = log_softmax(logits, axis=1).astype(np.float32 if dtype == np.float16 else dtype)
    assert find_score_kind(tolerated) == "log_probabilities"
    assert find_score_kind(probabilities * 100) is None


def test_rows_without_scores_do_not_hide_what_the_others_are():
    probabilities = np.tile([0.25, 0.75], (40, 1))
    probabilities[::3] = np.nan
    assert find_score_kind(probabilities) == "probabilities"
    assert find_score_kind(np.full((5, 2), np.nan)) is None
    assert find_score_kind(np.empty((0, 2))) is None
