"""Paired differences: Newcombe's own example, coverage by simulation, and what must hold."""

import numpy as np
import pytest

from scoring.intervals import wilson
from scoring.paired import mean_interval, paired_difference


def pairs(both, only_first, only_second, neither):
    table = [(True, True), (True, False), (False, True), (False, False)]
    return np.repeat(table, [both, only_first, only_second, neither], axis=0).T


def test_newcombes_first_example_by_method_10():
    found = paired_difference(*pairs(36, 12, 2, 0))
    assert found.estimate == pytest.approx(0.2)
    assert (found.low, found.high) == (
        pytest.approx(0.0569, abs=1e-4),
        pytest.approx(0.3404, abs=1e-4),
    )


def test_a_positive_correlation_is_corrected_by_half_the_items():
    found = paired_difference(*pairs(30, 7, 3, 20))
    phi = (30 * 20 - 7 * 3 - 60 / 2) / np.sqrt(37 * 23 * 33 * 27)
    first, second = wilson(37, 60), wilson(33, 60)
    down, up = first.estimate - first.low, second.high - second.estimate
    reach = np.sqrt(down**2 - 2 * phi * down * up + up**2)
    assert found.low == pytest.approx(4 / 60 - reach)


def test_the_other_way_round_is_the_negative():
    first, second = pairs(30, 7, 3, 20)
    ahead, behind = paired_difference(first, second), paired_difference(second, first)
    assert (behind.estimate, behind.low, behind.high) == pytest.approx(
        (-ahead.estimate, -ahead.high, -ahead.low)
    )


def test_answers_alike_on_every_item_still_leave_a_little_room():
    found = paired_difference(*pairs(50, 0, 0, 50))
    limit = wilson(0, 100).high
    assert (found.low, found.estimate, found.high) == (-limit, 0.0, limit)


def test_no_items_no_estimate():
    assert paired_difference([], []).estimate is None
    assert mean_interval([]).estimate is None
    assert mean_interval([3.0]).estimate == 3.0


def test_paired_limits_hold_the_truth_in_93_to_98_of_100_samples():
    rng = np.random.default_rng(7)
    shares, missed, n_runs = (0.72, 0.08, 0.04, 0.16), 0, 1500
    for counts in rng.multinomial(300, shares, size=n_runs):
        found = paired_difference(*pairs(*counts))
        missed += not found.low <= shares[1] - shares[2] <= found.high
    assert 0.02 <= missed / n_runs <= 0.07


def test_a_mean_has_its_normal_limits():
    values = np.random.default_rng(1).exponential(size=400)
    found = mean_interval(values)
    reach = 1.959964 * values.std(ddof=1) / 20
    assert (found.low, found.high) == pytest.approx((values.mean() - reach, values.mean() + reach))
