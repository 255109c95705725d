"""Curves from samples: by hand, by simulation of their coverage, and at the awkward edges."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.estimates import (
    auto_k,
    detection_rate_curve,
    method_difference,
    precision_curve,
    top_k_members,
)
from scoring.intervals import Interval, wilson, wilson_effective
from scoring.strata import Strata, estimate_total

RANKS = np.array([1, 2, 0])
STRATA = Strata.of([100, 100, 1000], [20, 20, 50], [18, 10, 1])
MEMBERS = top_k_members(RANKS, 2)


def test_sets_of_the_top_bins_are_nested():
    assert MEMBERS.tolist() == [[True, False, False], [True, True, False]]


def test_precision_by_hand():
    first, second = precision_curve(STRATA, MEMBERS)
    assert first.precision.estimate == 0.9
    # One stratum: n_eff = (n - 1) / (1 - n / N) = 19 / 0.8.
    assert first.precision.low == pytest.approx(wilson_effective(0.9, 19 / 0.8).low)
    assert second.precision.estimate == pytest.approx(0.7)
    variance = 0.25 * 0.8 * (0.9 * 0.1 + 0.5 * 0.5) / 19
    expected = wilson_effective(0.7, 0.7 * 0.3 / variance)
    assert second.precision.low == pytest.approx(expected.low)
    assert second.precision.high == pytest.approx(expected.high)
    assert (second.flagged, second.judged, second.errors) == (200, 40, 28)


def test_detection_rate_by_hand():
    first, second = detection_rate_curve(STRATA, MEMBERS, RANKS > 0)
    # Errors: 90 and 50 in the bins, 1000 / 50 = 20 outside.
    assert first.detection_rate.estimate == pytest.approx(90 / 160)
    assert second.detection_rate.estimate == pytest.approx(140 / 160)
    assert first.kind == second.kind == "absolute"
    assert second.detection_rate.low < 0.6  # one error in 50 of 1,000 leaves much unknown


def test_without_a_judged_unflagged_item_the_rate_is_relative():
    unseen = Strata.of([100, 100, 1000], [20, 20, 0], [18, 10, 0])
    first, second = detection_rate_curve(unseen, MEMBERS, RANKS > 0)
    assert first.kind == second.kind == "relative"
    assert first.detection_rate.estimate == pytest.approx(90 / 140)
    assert second.detection_rate.estimate == 1
    with pytest.raises(ValueError, match="unflagged"):
        detection_rate_curve(unseen, np.ones((1, 3), dtype=bool), RANKS > 0)


def test_no_error_outside_gives_an_upper_limit_of_one_and_an_honest_lower():
    lucky = Strata.of([100, 100, 1000], [20, 20, 50], [18, 10, 0])
    rate = detection_rate_curve(lucky, MEMBERS, RANKS > 0)[1].detection_rate
    assert (rate.estimate, rate.high) == (1, 1)
    assert rate.low < 0.75


def test_a_census_is_exact():
    judged = Strata.of([4, 6, 10], [4, 6, 10], [4, 3, 1])
    assert [p.precision.width for p in precision_curve(judged, MEMBERS)] == [0, 0]
    rates = [p.detection_rate for p in detection_rate_curve(judged, MEMBERS, RANKS > 0)]
    assert [rate.estimate for rate in rates] == pytest.approx([4 / 8, 7 / 8])
    assert all(rate.census for rate in rates)
    assert all(rate.width == pytest.approx(0, abs=1e-12) for rate in rates)


def test_an_unjudged_stratum_borrows_from_its_neighbour_and_is_counted_as_pooled():
    thin = Strata.of([100, 50, 100], [20, 0, 20], [18, 0, 2])
    (point,) = precision_curve(thin, np.ones((1, 3), dtype=bool))
    assert point.precision.estimate == pytest.approx((150 * 0.9 + 100 * 0.1) / 250)
    assert point.pooled == 50


def test_a_set_without_any_judgment_has_no_estimate():
    empty = Strata.of([100, 100, 1000], [0, 20, 50], [0, 10, 1])
    point = precision_curve(empty, MEMBERS)[0]
    assert point.precision.estimate is point.worst_low is point.worst_high is None
    assert (point.precision.low, point.precision.high) == (0, 1)
    assert detection_rate_curve(empty, MEMBERS, RANKS > 0)[0].detection_rate.estimate is None
    assert precision_curve(empty, np.zeros((1, 3), dtype=bool))[0].precision.estimate is None


def test_unsure_verdicts_open_worst_case_bounds():
    open_ = Strata.of([100, 100, 1000], [16, 20, 50], [14, 10, 1], [4, 0, 0])
    point = precision_curve(open_, MEMBERS)[0]
    assert point.precision.estimate == 14 / 16
    assert (point.worst_low, point.worst_high) == (14 / 20, 18 / 20)
    rate = detection_rate_curve(open_, MEMBERS, RANKS > 0)[0]
    # For the set: 90 and 50 and 20; against it: 70 and 50 and 20.
    assert rate.worst_low == pytest.approx(70 / 140)
    assert rate.worst_high == pytest.approx(90 / 160)
    outside = Strata.of([100, 100, 1000], [20, 16, 50], [18, 8, 1], [0, 4, 0])
    rate = detection_rate_curve(outside, MEMBERS, RANKS > 0)[0]
    assert rate.worst_low == pytest.approx(90 / (90 + 60 + 20))
    assert rate.worst_high == pytest.approx(90 / (90 + 40 + 20))


def test_one_stratum_without_mixed_verdicts_is_wilson_with_a_finite_population():
    pure = Strata.of([100], [20], [20])
    (point,) = precision_curve(pure, np.ones((1, 1), dtype=bool))
    assert point.precision.low == pytest.approx(wilson(20, 20, population=100).low)


@pytest.mark.parametrize(
    "columns",
    [
        ([10], [11], [0]),
        ([10], [5], [6]),
        ([10], [5], [-1]),
        ([10], [8], [1], [3]),
        ([10], [5], []),
    ],
)
def test_counts_that_contradict_each_other_are_refused(columns):
    with pytest.raises(ValueError, match=r"judged|must lie|differ"):
        Strata.of(*columns)


def test_auto_k_stops_at_the_first_set_that_cannot_promise_the_target():
    strata = Strata.of([100] * 4, [40] * 4, [40, 38, 20, 40])
    members = top_k_members([1, 2, 3, 4], 4)
    lows = [p.precision.low for p in precision_curve(strata, members, confidence=0.9)]
    assert lows[1] > 0.9 > lows[2]
    assert auto_k(strata, members, 0.9) == 2
    assert auto_k(strata, members, 0.999) == 0
    assert auto_k(strata, members, 0.1) == 4


def test_the_difference_of_methods_counts_shared_strata_once():
    # A only, both, B only: precision .8, .6, .2 on 100 items each.
    strata = Strata.of([100] * 3, [50] * 3, [40, 30, 10])
    in_a, in_b = np.array([True, True, False]), np.array([False, True, True])
    difference = method_difference(strata, in_a, in_b)
    assert difference.estimate == pytest.approx(0.7 - 0.4)
    assert 0 < difference.low < 0.3 < difference.high
    swapped = method_difference(strata, in_b, in_a)
    assert swapped.low == pytest.approx(-difference.high)
    assert method_difference(strata, in_a, in_a) == Interval(0.0, 0.0, 0.0, census=True)
    unjudged = Strata.of([9, 9], [0, 9], [0, 9])
    assert method_difference(unjudged, [True, False], [False, True]).estimate is None


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), n_strata=st.integers(1, 8))
def test_rates_stay_inside_their_limits_and_a_split_of_strata_adds_up(seed, n_strata):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 40, n_strata)
    judged = rng.integers(0, sizes + 1)
    errors = rng.integers(0, judged + 1)
    strata = Strata.of(sizes, judged, errors)
    ranks = np.arange(1, n_strata + 1)
    members = top_k_members(ranks, n_strata)
    for point in precision_curve(strata, members):
        rate = point.precision
        assert 0 <= rate.low <= rate.high <= 1
        if rate.estimate is not None:
            assert rate.low <= rate.estimate <= rate.high
    for point in detection_rate_curve(strata, members, ranks > 0):
        rate = point.detection_rate
        assert 0 <= rate.low <= rate.high <= 1
        if rate.estimate is not None:
            assert rate.low <= rate.estimate <= rate.high
    total = estimate_total(strata)
    assert total is None or total.population == sizes.sum()


@pytest.mark.parametrize("per_bin", [10, 30])
def test_both_intervals_cover_the_truth_as_often_as_they_say(per_bin):
    # 15 bins of 152 items, precision .95 to .35, and 22,641 unflagged items with 2 % errors.
    rng = np.random.default_rng(per_bin)
    sizes = np.r_[np.full(15, 152), 22_641]
    errors = np.r_[np.round(152 * np.linspace(0.95, 0.35, 15)).astype(int), 453]
    judged = np.r_[np.full(15, per_bin), 300]
    ranks = np.r_[np.arange(1, 16), 0]
    members = top_k_members(ranks, 15)[[3, 8, 14]]
    precision = [errors[chosen].sum() / sizes[chosen].sum() for chosen in members]
    detection = [errors[chosen].sum() / errors.sum() for chosen in members]
    n_runs = 800
    covered = np.zeros((2, 3))
    for found in rng.hypergeometric(errors, sizes - errors, judged, (n_runs, 16)):
        strata = Strata.of(sizes, judged, found)
        curves = (
            [point.precision for point in precision_curve(strata, members)],
            [p.detection_rate for p in detection_rate_curve(strata, members, ranks > 0)],
        )
        for row, (curve, truth) in enumerate(zip(curves, (precision, detection), strict=True)):
            covered[row] += [r.low <= t <= r.high for r, t in zip(curve, truth, strict=True)]
    assert (covered / n_runs >= 0.93).all(), covered / n_runs
    assert (covered / n_runs <= 0.97).all(), covered / n_runs


def test_the_difference_of_methods_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(5)
    sizes, errors, judged = np.array([400, 900, 120]), np.array([270, 630, 60]), [60, 120, 40]
    in_a, in_b = np.array([True, True, False]), np.array([False, True, True])
    truth = errors[in_a].sum() / sizes[in_a].sum() - errors[in_b].sum() / sizes[in_b].sum()
    covered = 0
    for found in rng.hypergeometric(errors, sizes - errors, judged, (2000, 3)):
        interval = method_difference(Strata.of(sizes, judged, found), in_a, in_b)
        covered += interval.low <= truth <= interval.high
    assert 0.93 <= covered / 2000 <= 0.97
