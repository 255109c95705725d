"""What all experts share: absent choices, and errors that cross process borders."""

from __future__ import annotations

import pickle

import numpy as np

from scoring.experts import InputProblem, UnscorableInputsError
from scoring.experts.base import ABSENT, fill_absent_choices

NAN = np.nan


def test_absent_choices_are_filled_once_and_rows_without_any_stay_without():
    logits = np.array([[1, 3, NAN], [NAN, NAN, NAN], [5, 4, 6]], dtype=np.float32)
    filled = fill_absent_choices(logits, 4, [2, 3, 3])
    absent = np.float32(1 + ABSENT), np.float32(4 + ABSENT)
    expected = [[1, 3, absent[0], absent[0]], [NAN] * 4, [5, 4, 6, absent[1]]]
    np.testing.assert_array_equal(filled, np.array(expected, dtype=np.float32))
    assert filled.dtype == np.float32


def test_b101_nan_among_the_choices_is_left_to_be_noticed():
    logits = np.array([[1, NAN, 2], [NAN, 1, 2], [1, 2, NAN]], dtype=np.float32)
    filled = fill_absent_choices(logits, 3, [3, 3, 2])
    assert np.isnan(filled).any(axis=1).tolist() == [True, True, False]


def test_infinity_is_left_to_be_noticed():
    logits = np.array([[1, np.inf], [-np.inf, 2]], dtype=np.float32)
    filled = fill_absent_choices(logits, 2, [2, 2])
    assert np.isinf(filled).sum() == 2


def test_a_refusal_of_single_inputs_survives_the_way_between_two_processes():
    error = UnscorableInputsError({1: InputProblem("too_long", "9 tokens")}, np.zeros((2, 3)))
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert copy.problems == {1: InputProblem("too_long", "9 tokens")}
    assert copy.logits.shape == (2, 3)
    assert "9 tokens" in str(copy)
