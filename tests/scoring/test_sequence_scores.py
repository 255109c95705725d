"""An answer's score is the mean over the tokens it is made of."""

from __future__ import annotations

import numpy as np
import pytest

from scoring.sequence_scores import sequence_scores


def test_worked_example():
    scores = sequence_scores([[1.0, 2.0, 6.0], [-0.5], []])
    np.testing.assert_array_equal(scores, [3.0, -0.5, np.nan])


def test_what_is_no_list_of_numbers_is_refused():
    with pytest.raises(ValueError, match="answer 1 contain"):
        sequence_scores([[1.0], [np.nan]])
    with pytest.raises(ValueError, match="n_tokens"):
        sequence_scores([[[1.0]]])
