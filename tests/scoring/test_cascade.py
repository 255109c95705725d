"""Cascades: the routing table and the curve by hand, APGR by hand, its limits by simulation."""

import json
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from scoring.calibration import Degenerate, PlattScaler, TemperatureScaler
from scoring.cascade import Cascade, UndefinedApgr, apgr, cascade_curve, random_curve
from scoring.cascade_measures import (
    apgr_difference,
    choose_k,
    curve_band,
    mcnemar_exact,
    measure_apgr,
    measure_point,
)

SMALL = np.array([0.2, 0.3, 0.5, 0.6, 0.8, 0.9])
LARGE = np.array([0.9, 0.8, 0.55, 0.65, 0.6, 0.9])


def outcomes(text):
    return np.array([letter == "1" for letter in text])


def some_outcomes(seed, n_items=300, n_levels=5):
    rng = np.random.default_rng(seed)
    level = rng.integers(n_levels, size=n_items)
    return level, rng.random(n_items) < 0.9 - 0.1 * level, rng.random(n_items) < 0.9


def test_bins_advantages_and_routes_by_hand():
    # Bins {.2, .3}, {.5, .6}, {.8, .9}: advantages .6, .05, -.1; the last bin goes first.
    cascade = Cascade.fit(SMALL, LARGE, n_bins=3, k=1)
    assert cascade.edges == (0.5, 0.8)
    np.testing.assert_allclose(cascade.advantage, [0.6, 0.05, -0.1])
    new = np.array([0.0, 0.49, 0.5, 0.79, 0.8, 1.0])
    assert cascade.level(new).tolist() == [2, 2, 1, 1, 0, 0]
    assert cascade.route(new).tolist() == [False] * 4 + [True] * 2
    assert cascade.at(2).route(new).tolist() == [False] * 2 + [True] * 4
    assert not cascade.at(0).route(new).any()
    assert cascade.at(3).route(new).all()


def test_by_default_the_small_model_keeps_the_bins_where_it_is_as_confident():
    assert Cascade.fit(SMALL, LARGE, n_bins=3).k == 1


def test_the_least_advantage_need_not_lie_in_the_most_confident_bin():
    cascade = Cascade.fit(SMALL, [0.1, 0.1, 0.9, 0.9, 0.9, 0.9], n_bins=3)
    assert cascade.level(SMALL).tolist() == [0, 0, 2, 2, 1, 1]


def test_equal_confidences_are_never_split_between_bins():
    cascade = Cascade.fit([0.1, 0.5, 0.5, 0.5, 0.5, 1.0], [1.0] * 6, n_bins=3)
    assert cascade.edges == (0.5,)
    assert cascade.advantage == pytest.approx((0.9, 0.4))


def test_of_two_bins_of_equal_advantage_the_more_confident_one_goes_first():
    assert Cascade((0.5,), (0.25, 0.25), 1).route([0.4, 0.6]).tolist() == [False, True]


def test_without_a_confidence_the_large_model_answers():
    cascade = Cascade.fit(SMALL, LARGE, n_bins=3)
    assert not cascade.at(cascade.n_bins).route([np.nan]).any()


def test_a_stored_cascade_routes_alike():
    cascade = Cascade.fit(
        SMALL,
        LARGE,
        n_bins=3,
        k=2,
        small_calibrator=TemperatureScaler(1.3),
        large_calibrator=PlattScaler(0.5, -1.0),
    )
    assert Cascade.from_json(json.loads(json.dumps(cascade.to_json()))) == cascade
    raw = Cascade.fit(SMALL, LARGE, n_bins=3)
    assert Cascade.from_json(raw.to_json()) == raw


@pytest.mark.parametrize(
    ("edges", "advantage", "k"),
    [((0.5,), (0.1,), 0), ((0.5, 0.5), (0, 0, 0), 0), ((0.5,), (0, np.nan), 0), ((), (0.1,), 2)],
)
def test_tables_that_no_fit_gives_are_refused(edges, advantage, k):
    with pytest.raises(ValueError, match=r"fit|rise|finite|must lie"):
        Cascade(edges, advantage, k)
    stored = {"kind": "cascade", "edges": edges, "advantage": advantage, "k": k}
    with pytest.raises(ValueError, match="not a stored cascade"):
        Cascade.from_json(stored)


def test_a_cascade_needs_items():
    with pytest.raises(Degenerate, match="empty_split"):
        Cascade.fit([], [])


def test_the_curve_by_hand():
    # Level 0: two items, the small model gets 1 of 2, the large 2 of 2; level 1: 1 and 0 of 2.
    curve = cascade_curve([0, 0, 1, 1], outcomes("1010"), outcomes("1100"))
    np.testing.assert_allclose(curve.small_ratio, [0, 0.5, 1])
    np.testing.assert_allclose(curve.accuracy, [0.5, 0.25, 0.5])


@given(seed=st.integers(0, 1000))
def test_the_curve_is_what_routing_item_by_item_gives(seed):
    level, small, large = some_outcomes(seed)
    curve = cascade_curve(level, small, large, 6)
    for k in range(7):
        use_small = level < k
        assert curve.small_ratio[k] == pytest.approx(use_small.mean())
        assert curve.accuracy[k] == pytest.approx(np.where(use_small, small, large).mean())


@given(seed=st.integers(0, 1000))
def test_permuting_the_items_changes_neither_table_nor_curve(seed):
    rng = np.random.default_rng(seed)
    small, large = rng.random(200).round(2), rng.random(200)
    order = rng.permutation(200)
    keys = np.arange(200)
    first = Cascade.fit(small, large, keys=keys)
    second = Cascade.fit(small[order], large[order], keys=keys[order])
    assert first.edges == second.edges
    np.testing.assert_allclose(first.advantage, second.advantage)


def test_apgr_by_hand():
    # Weak .6, strong .8; at c = .5 the cascade has .75: (.75 - .6) / .2 = .75.
    # Trapezoids: .5 * (0 + .75) / 2 + .5 * (.75 + 1) / 2 = .1875 + .4375 = .625.
    assert apgr([0, 0.5, 1], [0.6, 0.75, 0.8], 0.6, 0.8) == pytest.approx(0.625)
    assert apgr([1, 0.5, 0], [0.8, 0.75, 0.6], 0.6, 0.8) == pytest.approx(0.625)
    assert apgr([0.5], [0.75], 0.6, 0.8) == pytest.approx(0.625)


def test_random_routing_recovers_one_half():
    small, large = outcomes("1100010011"), outcomes("1101111111")
    curve = random_curve(small, large)
    half = apgr(1 - curve.small_ratio, curve.accuracy, small.mean(), large.mean())
    assert half == pytest.approx(0.5)


def test_equal_models_leave_no_gap_to_recover():
    with pytest.raises(UndefinedApgr, match="no gap"):
        apgr([0, 1], [0.7, 0.7], 0.7, 0.7)


def test_the_measured_apgr_is_the_area_under_the_curve():
    level, small, large = some_outcomes(3)
    curve = cascade_curve(level, small, large)
    found = measure_apgr(level, small, large, rng=np.random.default_rng(0))
    expected = apgr(1 - curve.small_ratio, curve.accuracy, small.mean(), large.mean())
    assert found.estimate == pytest.approx(expected)
    assert found.low < found.estimate < found.high
    assert found == measure_apgr(level, small, large, rng=np.random.default_rng(0))


def test_a_gap_within_noise_and_a_gap_the_wrong_way_have_no_apgr():
    rng = np.random.default_rng(0)
    level, small, large = some_outcomes(3)
    close = small.copy()
    close[:4] = True
    assert "within noise" in measure_apgr(level, small, close, rng=rng).undefined
    assert measure_apgr(level, small, close, rng=rng).estimate is None
    assert "is the worse one" in measure_apgr(level, large, small, rng=rng).undefined


def test_a_gap_that_some_resamples_lose_has_an_apgr_only_while_its_interval_ends():
    both, level = np.arange(400) < 300, np.arange(400) % 4
    for n_more in range(5, 40):
        large = both | ((np.arange(400) >= 300) & (np.arange(400) < 310 + n_more))
        small = both | ((np.arange(400) >= 390) & (np.arange(400) < 400))
        found = measure_apgr(level, small, large, rng=np.random.default_rng(1))
        assert found.undefined or np.isfinite([found.low, found.estimate, found.high]).all()
    assert not found.undefined


def test_95_percent_intervals_of_apgr_cover_the_truth_in_93_to_97_of_100_samples():
    rng = np.random.default_rng(20)
    share = np.array([0.2, 0.3, 0.1, 0.25, 0.15])
    # Per level the probabilities of: both wrong, only large right, only small right, both right.
    of_level = np.array(
        [[5, 5, 5, 85], [8, 10, 7, 75], [10, 20, 10, 60], [10, 35, 10, 45], [15, 50, 5, 30]]
    )
    cell = (share[:, None] * of_level / 100).ravel()
    small, large = (cell.reshape(5, 4)[:, right].sum(axis=1) for right in ([2, 3], [1, 3]))
    ratio = np.append(0, np.cumsum(share))
    accuracy = large.sum() + np.append(0, np.cumsum(small - large))
    truth = apgr(1 - ratio, accuracy, small.sum(), large.sum())
    covered = 0
    for _ in range(400):
        drawn = rng.choice(20, size=500, p=cell)
        level, outcome = np.divmod(drawn, 4)
        found = measure_apgr(level, outcome >= 2, outcome % 2 == 1, 5, rng=rng)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= truth <= found.high
    assert 0.92 <= covered / 400 <= 0.975


def test_mcnemar_by_hand_and_by_scipys_binomial_test():
    # Three items only the first gets right, none only the second: p = 2 / 2^3.
    assert mcnemar_exact(outcomes("11101"), outcomes("00001")) == pytest.approx(0.25)
    assert mcnemar_exact(outcomes("10"), outcomes("10")) == 1.0
    for first, second in product(range(6), range(6)):
        a = np.array([True] * first + [False] * second + [True])
        b = np.array([False] * first + [True] * second + [True])
        expected = binomtest(first, first + second).pvalue if first + second else 1.0
        assert mcnemar_exact(a, b) == pytest.approx(expected)


def test_k_is_the_most_accurate_and_of_equals_the_cheapest():
    # Curve: .5, .75, .75, .25.
    level = [0, 1, 2, 2]
    assert choose_k(level, outcomes("1100"), outcomes("0111")) == 2


def test_two_alike_models_that_fail_apart_are_better_together_and_the_test_says_so():
    small = np.repeat(outcomes("10"), 50)
    large = ~small
    point = measure_point(small, small, large)
    assert (point.small_ratio, point.accuracy) == (0.5, 1.0)
    assert point.p_value == pytest.approx(2 / 2.0**50)
    alone = measure_point(np.zeros(100, dtype=bool), small, large)
    assert alone.p_value == 1.0


def test_a_cascade_is_tested_against_the_better_model_even_if_that_is_the_small_one():
    small, large = np.arange(100) < 90, np.arange(100) < 50
    assert measure_point(np.ones(100, dtype=bool), small, large).p_value == 1.0


@pytest.mark.parametrize(
    ("level", "small", "large", "message"),
    [
        ([], np.empty(0, bool), np.empty(0, bool), "no items"),
        ([0, 1], [True], [True, False], "booleans"),
        ([0, 1], [1, 0], [True, False], "booleans"),
        ([0, -1], [True, True], [True, False], "whole numbers"),
        ([0.0, 1.0], [True, True], [True, False], "whole numbers"),
    ],
)
def test_what_does_not_fit_is_refused(level, small, large, message):
    with pytest.raises(ValueError, match=message):
        cascade_curve(level, small, large)


def test_a_band_holds_a_whole_curve_in_93_to_97_of_100_samples():
    rng = np.random.default_rng(3)
    population = some_outcomes(1, n_items=50_000, n_levels=6)
    true = cascade_curve(*population, 6).accuracy
    n_runs, missed = 300, 0
    for _ in range(n_runs):
        drawn = rng.integers(50_000, size=600)
        low, high = curve_band(*(each[drawn] for each in population), 6, rng=rng)
        missed += not ((low <= true) & (true <= high)).all()
    assert 0.02 <= missed / n_runs <= 0.09


def test_a_band_lies_around_its_curve_and_is_wider_than_one_points_interval():
    level, small, large = some_outcomes(4)
    low, high = curve_band(level, small, large, 5, rng=np.random.default_rng(0))
    accuracy = cascade_curve(level, small, large, 5).accuracy
    assert ((low < accuracy) & (accuracy < high)).all()
    pointwise = 1.96 * np.sqrt(accuracy * (1 - accuracy) / level.size)
    assert ((high - accuracy) > pointwise).all()


def test_the_difference_of_two_apgrs_is_that_of_the_two_measured_alone():
    level, small, large = some_outcomes(2, n_items=2000)
    other = np.random.default_rng(8).integers(4, size=level.size)
    rng = np.random.default_rng(0)
    found = apgr_difference((level, 5), (other, 4), small, large, rng=rng)
    alone = [
        measure_apgr(each, small, large, n, rng=rng).estimate
        for each, n in ((level, 5), (other, 4))
    ]
    assert found.estimate == pytest.approx(alone[0] - alone[1])
    assert found.low < found.estimate < found.high


def test_a_router_is_never_ahead_of_itself():
    level, small, large = some_outcomes(2, n_items=2000)
    rng = np.random.default_rng(0)
    found = apgr_difference((level, 5), (level, 5), small, large, rng=rng)
    assert (found.low, found.estimate, found.high) == (0.0, 0.0, 0.0)


def test_paired_limits_of_two_apgrs_are_those_of_resampling_items_one_by_one():
    level, small, large = some_outcomes(5, n_items=1500)
    other = np.where(np.random.default_rng(8).random(level.size) < 0.7, level, 4 - level)
    rng = np.random.default_rng(0)
    found = apgr_difference((level, 5), (other, 5), small, large, rng=rng)
    gaps = []
    for _ in range(600):
        drawn = rng.integers(level.size, size=level.size)
        weak, strong = small[drawn].mean(), large[drawn].mean()
        curves = [
            cascade_curve(each[drawn], small[drawn], large[drawn], 5) for each in (level, other)
        ]
        first, second = (apgr(1 - each.small_ratio, each.accuracy, weak, strong) for each in curves)
        gaps.append(first - second)
    width = found.high - found.low
    np.testing.assert_allclose(
        (found.low, found.high), np.quantile(gaps, [0.025, 0.975]), atol=0.15 * width
    )
