"""The queues: by hand, by brute force, and the method's invariants."""

import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.cleaning import (
    basic,
    bin_rank,
    calibrated_ensemble,
    calibrated_margin,
    disputed,
    ensemble,
    self_confidence,
)

GIVEN = np.array([0, 0, 0, 0, 0, 0])
TOPS = np.array([[1, 1, 2, 0, 1, -1], [1, 1, 1, 1, 1, 1]])
CONFIDENCE = np.array([[0.9, 0.6, 0.8, 0.7, 0.5, np.nan], [0.5, 0.7, 0.8, 0.9, 0.6, 0.9]])
ON_GIVEN = np.array([[0.1, 0.3, 0.1, 0.7, 0.4, np.nan], [0.4, 0.2, 0.1, 0.3, 0.3, 0.1]])


def test_worked_example_of_flags_and_order():
    assert disputed(TOPS, GIVEN).tolist() == [True, True, True, False, True, False]
    queue = ensemble(TOPS, CONFIDENCE, GIVEN)
    assert queue.positions.tolist() == [2, 1, 0, 4]  # joint .8, .6, then .5 twice: by position
    np.testing.assert_allclose(queue.score, [0.8, 0.6, 0.5, 0.5])
    assert queue.proposed_label.tolist() == [2, 1, 1, 1]
    agreed = ensemble(TOPS, CONFIDENCE, GIVEN, require_agreement=True)
    assert agreed.positions.tolist() == [1, 0, 4]
    assert basic(TOPS[0], CONFIDENCE[0], GIVEN).positions.tolist() == [0, 2, 1, 4]


def test_worked_example_of_bin_rank():
    # Disputed: 0, 1, 2, 4. Two bins each: expert 1's upper half is {0, 2}, expert 2's {1, 2}.
    mask = disputed(TOPS, GIVEN)
    assert bin_rank(CONFIDENCE, mask, 2).tolist() == [2, 2, 1, 0, 2, 0]
    # Thirds over all scored items: {0 | 2, 3 | 1, 4} and {3, 5 | 1, 2 | 0, 4}; item 2 is second.
    assert bin_rank(CONFIDENCE, mask, 3, over="all").tolist() == [3, 3, 2, 0, 3, 0]
    queue = calibrated_ensemble(TOPS, CONFIDENCE, GIVEN, n_bins=2)
    assert queue.positions.tolist() == [2, 1, 0, 4]
    assert queue.bin_rank.tolist() == [1, 2, 2, 2]
    assert queue.sizes_by_k(2).tolist() == [1, 4]
    assert len(calibrated_ensemble(TOPS, CONFIDENCE, GIVEN, n_bins=2, k=1)) == 1


def test_worked_example_of_the_margin_and_the_self_confidence():
    queue = calibrated_margin(TOPS, CONFIDENCE, ON_GIVEN, GIVEN)
    # Means: (.8 + .1) / 2, (.3 + .5) / 2, .7, (0 + .6) / 2, (.1 + .3) / 2; item 5 is not scored.
    assert queue.positions.tolist() == [2, 0, 1, 3, 4]
    np.testing.assert_allclose(queue.score, [0.7, 0.45, 0.4, 0.3, 0.2])
    assert queue.proposed_label.tolist() == [2, 1, 1, 1, 1]
    doubt = self_confidence(TOPS, CONFIDENCE, ON_GIVEN, GIVEN)
    assert doubt.positions.tolist() == [2, 0, 1, 4, 3]
    np.testing.assert_allclose(doubt.score, [0.9, 0.75, 0.75, 0.65, 0.5])


def test_an_expert_that_agrees_adds_no_margin_however_its_numbers_are_rounded():
    queue = calibrated_margin([[0, 1], [0, 0]], [[0.9, 0.8], [0.9, 0.9]], [[0.8, 0.2]] * 2, [0, 0])
    assert queue.positions.tolist() == [1]
    np.testing.assert_allclose(queue.score, [0.3])


def test_an_item_on_which_label_and_top_class_are_even_is_not_ahead():
    queue = calibrated_margin([[1, 1]], [[0.5, 0.6]], [[0.5, 0.4]], [0, 0])
    assert queue.positions.tolist() == [1]


def test_an_expert_without_scores_leaves_the_bins_to_those_after_it():
    mask, nothing = [True, True], [np.nan, np.nan]
    assert bin_rank([nothing, [0.9, 0.8]], mask, 2, over="all").tolist() == [1, 2]
    assert bin_rank([[0.9, 0.8], nothing], mask, 2, over="all").tolist() == [1, 2]


def test_there_are_fifteen_bins_unless_it_is_said_otherwise():
    confidence = [np.linspace(0.2, 0.9, 30)]
    counts = np.bincount(bin_rank(confidence, [1] * 30))
    assert counts.tolist() == [0, *[2] * 15]
    queue = calibrated_ensemble([[1] * 30], confidence, [0] * 30)
    assert queue.sizes_by_k(15).tolist() == list(range(2, 31, 2))


def test_equal_scores_are_ordered_by_key_in_every_queue():
    tops, half = [[1, 1, 1]], [[0.5, 0.5, 0.5]]
    given, keys, by_key = [0, 0, 0], ["c", "a", "b"], [1, 2, 0]
    assert basic(tops[0], half[0], given, keys=keys).positions.tolist() == by_key
    assert ensemble(tops, half, given, keys=keys).positions.tolist() == by_key
    queue = calibrated_ensemble(tops, half, given, n_bins=3, keys=keys)
    assert queue.positions.tolist() == [0, 2, 1]  # the last key is in the most confident bin
    assert queue.bin_rank.tolist() == [1, 2, 3]
    low = [[0.1, 0.1, 0.1]]
    assert calibrated_margin(tops, half, low, given, keys=keys).positions.tolist() == by_key
    assert self_confidence(tops, half, low, given, keys=keys).positions.tolist() == by_key


def test_an_item_without_a_given_label_is_never_flagged():
    assert disputed([[1, 1], [1, 1]], [-1, 0]).tolist() == [False, True]
    sure, unlikely = [[0.9, 0.9]] * 2, [[0.1, 0.1]] * 2
    margin = calibrated_margin([[1, 1]] * 2, sure, unlikely, [-1, 0])
    assert margin.positions.tolist() == [1]
    assert self_confidence([[1, 1]] * 2, sure, unlikely, [-1, 0]).positions.tolist() == [1]
    queue = self_confidence([[1, 1]], [[0.9, 0.9]], [[np.nan, 0.1]], [-1, 0])
    assert queue.positions.tolist() == [1]


def test_b106_b122_wrong_shapes_and_choices_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        disputed([[1, 1]], [0])
    with pytest.raises(ValueError, match="'disputed' or 'all'"):
        bin_rank(CONFIDENCE, GIVEN == 0, 2, over="some")
    with pytest.raises(ValueError, match=r"k must lie in 1\.\.15"):
        calibrated_ensemble(TOPS, CONFIDENCE, GIVEN, k=16)
    with pytest.raises(ValueError, match=r"k must lie in 1\.\.15"):
        calibrated_ensemble(TOPS, CONFIDENCE, GIVEN, k=0)
    with pytest.raises(ValueError, match="has bins"):
        ensemble(TOPS, CONFIDENCE, GIVEN).sizes_by_k(15)


def views(seed, n_items, n_experts=2, n_classes=4):
    """Draw experts' views with many ties and some missing scores."""
    rng = np.random.default_rng(seed)
    given = rng.integers(0, n_classes, n_items)
    tops = rng.integers(0, n_classes, (n_experts, n_items))
    confidence = rng.integers(1, 6, (n_experts, n_items)) / 5
    on_given = np.where(tops == given, confidence, confidence * 0.5)
    missing = rng.random((n_experts, n_items)) < 0.1
    tops[missing], confidence[missing], on_given[missing] = -1, np.nan, np.nan
    keys = np.array([f"key-{number:03d}" for number in rng.permutation(n_items)])
    return tops, confidence, on_given, given, keys


SEEDED = {"seed": st.integers(0, 2**32), "n_items": st.integers(0, 60)}


def brute_force_bin_rank(confidence, scope, keys, n_bins):
    order = sorted(np.flatnonzero(scope), key=lambda i: (confidence[i], keys[i]))
    parts = np.array_split(order, min(n_bins, len(order))) if order else []
    return {i: len(parts) - number for number, part in enumerate(parts) for i in part}


@settings(max_examples=60, deadline=None)
@given(**SEEDED, n_bins=st.integers(1, 20), over=st.sampled_from(["disputed", "all"]))
def test_calibrated_ensemble_equals_brute_force(seed, n_items, n_bins, over):
    tops, confidence, _, given_labels, keys = views(seed, n_items)
    flagged = [
        i for i in range(n_items) if all(top[i] >= 0 and top[i] != given_labels[i] for top in tops)
    ]
    scope = np.isin(np.arange(n_items), flagged)
    ranks = [
        brute_force_bin_rank(
            values, scope if over == "disputed" else ~np.isnan(values), keys, n_bins
        )
        for values in confidence
    ]
    expected = sorted(
        flagged,
        key=lambda i: (max(rank[i] for rank in ranks), -min(c[i] for c in confidence), keys[i]),
    )
    queue = calibrated_ensemble(tops, confidence, given_labels, n_bins=n_bins, over=over, keys=keys)
    assert queue.positions.tolist() == expected
    assert queue.bin_rank.tolist() == [max(rank[i] for rank in ranks) for i in expected]


@settings(max_examples=60, deadline=None)
@given(**SEEDED, n_bins=st.integers(1, 20), over=st.sampled_from(["disputed", "all"]))
def test_flags_are_nested_and_end_at_the_ensemble_inside_every_basic(seed, n_items, n_bins, over):
    tops, confidence, _, given_labels, keys = views(seed, n_items)
    shared = {"keys": keys}
    queues = [
        calibrated_ensemble(
            tops, confidence, given_labels, n_bins=n_bins, k=k, over=over, **shared
        ).positions.tolist()
        for k in range(1, n_bins + 1)
    ]
    for smaller, larger in pairwise(queues):
        assert larger[: len(smaller)] == smaller
    whole = set(ensemble(tops, confidence, given_labels, **shared).positions.tolist())
    assert set(queues[-1]) == whole
    for top, values in zip(tops, confidence, strict=True):
        assert whole <= set(basic(top, values, given_labels, **shared).positions.tolist())


@settings(max_examples=60, deadline=None)
@given(**SEEDED)
def test_b106_permuting_the_items_changes_no_queue(seed, n_items):
    tops, confidence, on_given, given_labels, keys = views(seed, n_items)
    order = np.random.default_rng(seed + 1).permutation(n_items)
    for method in (ensemble, calibrated_ensemble):
        queue = method(tops, confidence, given_labels, keys=keys)
        moved = method(tops[:, order], confidence[:, order], given_labels[order], keys=keys[order])
        assert keys[order][moved.positions].tolist() == keys[queue.positions].tolist()
        np.testing.assert_array_equal(moved.proposed_label, queue.proposed_label)
    for method in (calibrated_margin, self_confidence):
        queue = method(tops, confidence, on_given, given_labels, keys=keys)
        moved = method(
            tops[:, order],
            confidence[:, order],
            on_given[:, order],
            given_labels[order],
            keys=keys[order],
        )
        assert keys[order][moved.positions].tolist() == keys[queue.positions].tolist()


def test_precision_falls_with_depth_on_real_predictions():
    folder = os.environ.get("LABEL_AUDIT_TEST_DATA")
    if not folder:
        pytest.skip("LABEL_AUDIT_TEST_DATA is not set: no real data to test with")
    data = np.load(Path(folder) / "imagenet_val_top5.npz")
    names = ("xception_keras", "resnet101_pytorch")
    tops, confidence = top1_of(data, names)
    assert (tops == data["label"]).mean(axis=1) == pytest.approx([0.7718, 0.7664], abs=1e-4)
    votes = data["mturk_votes_given_guessed_neither_both"]
    asked = (votes >= 0).all(axis=1)
    is_error = votes[:, 0] + votes[:, 3] < 3
    queue = calibrated_ensemble(tops, confidence, data["label"])
    judged = asked[queue.positions]
    shares = [is_error[queue.positions][judged & (queue.bin_rank <= k)].mean() for k in (3, 8, 15)]
    assert shares[0] > shares[1] > shares[2]


def top1_of(data, names):
    """Return the top classes and confidences of two networks, (2, n_items)."""
    tops = [data[f"{name}_top5"][:, 0].astype(np.int64) for name in names]
    return np.stack(tops), np.stack([data[f"{name}_prob"][:, 0] for name in names])
