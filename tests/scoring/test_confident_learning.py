"""Confident Learning: by hand, against cleanlab, by brute force, and streamed against dense."""

from dataclasses import replace

import numpy as np
import pytest
from cleanlab.count import compute_confident_joint, get_confident_thresholds
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from scoring.confidence import score_items
from scoring.confident_learning import (
    COLLISIONS,
    confident_learning,
    confident_learning_queues,
    confident_thresholds,
)


def sample(seed, n_items=300, n_classes=5, noise=0.2):
    """Draw logits and labels of which some are wrong; every class has an item."""
    rng = np.random.default_rng(seed)
    truth = np.r_[np.arange(n_classes), rng.integers(0, n_classes, n_items - n_classes)]
    logits = rng.normal(size=(n_items, n_classes)) + 2.5 * np.eye(n_classes)[truth]
    wrong = rng.random(n_items) < noise
    wrong[:n_classes] = False
    labels = np.where(wrong, rng.integers(0, n_classes, n_items), truth)
    return logits, labels


def test_worked_example_where_the_two_rules_differ():
    probabilities = np.array(
        [
            [0.90, 0.10, 0.00],
            [0.88, 0.12, 0.00],
            [0.02, 0.30, 0.68],
            [0.45, 0.25, 0.30],
            [0.10, 0.05, 0.85],
        ]
    )
    labels = np.array([0, 0, 1, 2, 2])
    np.testing.assert_allclose(confident_thresholds(probabilities, labels), [0.89, 0.3, 0.575])
    # Item 2 passes for its own class 1 and for class 2, which is the likelier: flagged by both.
    # Item 3 passes for none (.45 < .89, .25 < .3, .3 < .575); item 1 passes for none either.
    for collision in COLLISIONS:
        assert confident_learning(probabilities, labels, collision).tolist() == [
            False,
            False,
            True,
            False,
            False,
        ]
    # Classes 1 and 2 pass but class 0, which does not, is likeliest: only cleanlab looks at it.
    thresholds = np.array(
        [
            [0.5, 0.3, 0.2],
            [0.9, 0.05, 0.05],
            [0.2, 0.3, 0.5],
            [0.4, 0.4, 0.2],
            [0.6, 0.35, 0.05],
            [0.6, 0.2, 0.2],
        ]
    )
    given_labels = np.array([0, 0, 1, 1, 2, 2])
    assert confident_thresholds(thresholds, given_labels) == pytest.approx([0.7, 0.35, 0.125])
    assert confident_learning(thresholds, given_labels).tolist() == [
        True,
        False,
        True,
        False,
        True,
        False,
    ]


def test_b112_ties_go_to_the_lowest_class():
    # Classes 0 and 1 pass for the last item with the same probability; its given label is 1.
    probabilities = np.array([[0.4, 0.2, 0.4], [0.2, 0.3, 0.5], [0.45, 0.45, 0.1]])
    for collision in COLLISIONS:
        assert confident_learning(probabilities, [0, 1, 1], collision).tolist() == [
            False,
            False,
            True,
        ]


def test_only_the_cleanlab_rule_forgives_a_millionth():
    # Threshold of class 0: 0.6. The last item misses it by half of a millionth.
    probabilities = np.array([[0.6, 0.4], [0.6, 0.4], [0.3, 0.7], [0.5999995, 0.4000005]])
    labels = np.array([0, 0, 1, 1])
    assert confident_learning(probabilities, labels, "candidates").tolist() == [False] * 4
    flagged = confident_learning(probabilities, labels, "cleanlab")
    assert flagged.tolist() == [False, False, False, True]


def test_b065_a_class_without_items_is_never_a_candidate():
    probabilities = np.array([[0.4, 0.6, 0.0], [0.3, 0.7, 0.0]])
    assert confident_thresholds(probabilities, [0, 0]).tolist() == [0.35, np.inf, np.inf]
    assert confident_learning(probabilities, [0, 0]).tolist() == [False, False]
    assert confident_learning(np.empty((0, 3)), np.empty(0, int)).tolist() == []


@pytest.mark.parametrize("never", [0.0, 1e-30])
def test_b066_a_class_that_is_never_given_probability_is_suggested_for_nothing(never):
    # Items 4 and 5 are given class 2, which no item has a probability of; item 1 reaches neither
    # threshold, .85 and .75, and would reach that of class 2 were it 0.
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.2, 0.8], [0.5, 0.5]])
    probabilities = np.c_[probabilities, np.full(5, never)]
    labels = np.array([0, 0, 1, 1, 2])
    thresholds = confident_thresholds(probabilities, labels)
    np.testing.assert_allclose(thresholds, get_confident_thresholds(labels, probabilities))
    for collision in COLLISIONS:
        assert not confident_learning(probabilities, labels, collision).any()
    logits = np.log(np.maximum(probabilities, 1e-300)).astype(np.float32)
    queues = confident_learning_queues([logits], [score_items(logits, labels, 1.0)], labels)
    assert [len(queue) for queue in queues.values()] == [0, 0]


def test_a_row_with_nan_counts_nowhere():
    logits, labels = sample(0)
    probabilities = softmax(logits, axis=1)
    broken = probabilities.copy()
    broken[::7, 1] = np.nan
    kept = np.arange(300) % 7 != 0
    flagged = confident_learning(broken, labels)
    assert not flagged[~kept].any()
    np.testing.assert_array_equal(
        flagged[kept], confident_learning(probabilities[kept], labels[kept])
    )


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), noise=st.floats(0, 0.9))
def test_the_cleanlab_rule_flags_what_cleanlab_counts_off_the_diagonal(seed, noise):
    logits, labels = sample(seed, noise=noise)
    probabilities = softmax(logits, axis=1)
    _, off_diagonal = compute_confident_joint(
        labels, probabilities, return_indices_of_off_diagonals=True
    )
    flagged = confident_learning(probabilities, labels, "cleanlab")
    np.testing.assert_array_equal(np.flatnonzero(flagged), np.sort(off_diagonal))
    np.testing.assert_allclose(
        confident_thresholds(probabilities, labels),
        get_confident_thresholds(labels, probabilities),
        rtol=1e-12,
    )


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), noise=st.floats(0, 0.9))
def test_the_papers_rule_equals_brute_force(seed, noise):
    logits, labels = sample(seed, 120, noise=noise)
    probabilities = softmax(logits, axis=1)
    thresholds = [probabilities[labels == j, j].mean() for j in range(5)]
    expected = []
    for row, label in zip(probabilities, labels, strict=True):
        candidates = [j for j in range(5) if row[j] >= thresholds[j]]
        expected.append(bool(candidates) and max(candidates, key=lambda j: row[j]) != label)
    assert confident_learning(probabilities, labels).tolist() == expected


@pytest.mark.parametrize("seed", range(5))
def test_streamed_queues_equal_the_dense_computation(seed, tmp_path):
    rng = np.random.default_rng(seed)
    logits, labels = sample(seed, 2000, 200)
    experts = [logits, (logits + rng.normal(size=logits.shape)).astype(np.float32)]
    experts[0] = experts[0].copy()
    experts[0][11, 3] = np.nan
    temperatures = [rng.uniform(0.5, 2, 2000) for _ in experts]
    scored = [score_items(z, labels, t) for z, t in zip(experts, temperatures, strict=True)]
    np.save(tmp_path / "second.npy", experts[1])
    stored = [experts[0], np.load(tmp_path / "second.npy", mmap_mode="r")]
    queues = confident_learning_queues(stored, scored, labels)
    dense = np.mean(
        [softmax(z / t[:, None], axis=1) for z, t in zip(experts, temperatures, strict=True)],
        axis=0,
    )
    for collision in COLLISIONS:
        queue = queues[collision]
        flagged = confident_learning(dense, labels, collision)
        np.testing.assert_array_equal(queue.mask(2000), flagged)
        assert len(queue) > 20
        gap = (
            dense[queue.positions, queue.proposed_label]
            - dense[queue.positions, labels[queue.positions]]
        )
        np.testing.assert_allclose(queue.score, gap, atol=1e-6)
        assert (np.diff(queue.score) <= 0).all()


def test_equal_margins_are_ordered_by_key():
    logits = np.log([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8], [0.2, 0.8], [0.2, 0.8]])
    labels = np.array([0, 0, 0, 0, 1])
    scored = [score_items(logits, labels, 1.0)]
    keys = ["e", "d", "c", "b", "a"]
    for queue in confident_learning_queues([logits], scored, labels, keys=keys).values():
        assert queue.positions.tolist() == [3, 2]
    for queue in confident_learning_queues([logits], scored, labels).values():
        assert queue.positions.tolist() == [2, 3]


def test_b106_experts_that_do_not_fit_together_are_refused():
    logits, labels = sample(0)
    scored = score_items(logits, labels, 1.0)
    with pytest.raises(ValueError, match="do not fit"):
        confident_learning_queues([logits], [scored, scored], labels)
    with pytest.raises(ValueError, match="differ in shape"):
        confident_learning_queues([logits, logits[:, :3]], [scored, scored], labels)
    with pytest.raises(ValueError, match="collision must be"):
        confident_learning(softmax(logits, axis=1), labels, "first")


def test_b124_thresholds_that_nothing_reaches_flag_nothing():
    # Class 0 is only ever given with certainty, class 1 has no items: the last item reaches none.
    probabilities = np.array([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.3, 0.3, 0.4], [0.1, 0.1, 0.8]])
    for collision in COLLISIONS:
        flagged = confident_learning(probabilities, [0, 0, 2, 2], collision)
        assert flagged.tolist() == [False] * 4


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("sharpness", [1.0, 3.0])
@pytest.mark.parametrize("n_experts", [1, 2, 3])
def test_looking_at_likely_classes_alone_finds_what_looking_at_all_finds(
    dtype, sharpness, n_experts
):
    rng = np.random.default_rng(0)
    logits, labels = sample(1, 3000, 60)
    experts = [
        ((logits + rng.normal(size=logits.shape)) * sharpness).astype(dtype)
        for _ in range(n_experts)
    ]
    experts[0][17, 2] = np.nan
    experts[-1][100:110] = 0.0
    scored = [score_items(z, labels, rng.uniform(0.8, 1.2, 3000)) for z in experts]
    queues = confident_learning_queues(experts, scored, labels)
    slow = [replace(each, likely=None) for each in scored]
    for collision, queue in confident_learning_queues(experts, slow, labels).items():
        np.testing.assert_array_equal(queues[collision].positions, queue.positions)
        np.testing.assert_array_equal(queues[collision].proposed_label, queue.proposed_label)
        np.testing.assert_array_equal(queues[collision].score, queue.score)
        assert len(queue) > 30
    if sharpness == 3.0:  # else so many classes are likely that there is no list
        assert all(each.likely is not None for each in scored)
