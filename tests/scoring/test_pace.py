"""Verdicts an hour and time per verdict, by hand-worked cases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.pace import describe_pace


def test_two_sittings_with_a_break_between_them():
    # 2 s for the first, gaps of 10 and 20 s; an hour later 4 s for the next, then 30 s.
    pace = describe_pace([100, 110, 130, 3730, 3760], [2, 5, 0.5, 4, 0.9])
    assert pace.active == 2 + 10 + 20 + 4 + 30
    assert pace.per_hour == pytest.approx(5 * 3600 / 66)
    assert (pace.n, pace.median, pace.n_under_a_second) == (5, 2, 2)
    assert pace.share_under_a_second == 0.4


def test_nothing_judged_has_no_pace():
    pace = describe_pace([], [])
    assert (pace.n, pace.median, pace.per_hour, pace.share_under_a_second) == (0, None, None, None)


def test_times_and_durations_belong_together():
    with pytest.raises(ValueError, match="as many times as durations"):
        describe_pace([1, 2], [1])


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0.1, 100)), min_size=1, max_size=30))
def test_the_order_of_rows_changes_nothing(rows):
    one = describe_pace(*np.array(rows).T)
    other = describe_pace(*np.array(rows[::-1]).T)
    assert (one.n, one.median) == (other.n, other.median)
    assert one.active <= 300 * one.n
