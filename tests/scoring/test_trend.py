"""The trend of precision over bins: by hand, against a plain regression, and by its error rates."""

import numpy as np
import pytest
from scipy.stats import linregress, norm

from scoring.judged_sample import JudgedSample
from scoring.trend import precision_trend


def sample_of(rates, judged, rng, size=100):
    """Bins of ``size`` items with exactly these shares of errors, ``judged`` of each."""
    stratum = np.repeat(np.arange(len(rates)), size)
    is_error = np.tile(np.arange(size), len(rates)) < np.round(size * np.array(rates))[stratum]
    places = [
        rng.choice(np.flatnonzero(stratum == number), judged, replace=False)
        for number in range(len(rates))
    ]
    chosen = np.concatenate(places)
    sample = JudgedSample.build(stratum, [True] * len(rates), chosen, is_error[chosen])
    return sample, [stratum == number for number in range(len(rates))]


def test_three_bins_by_hand():
    # Precisions 1, .75, .5 of four judged each, equal sizes: the slope is (.5 - 1) / 2.
    stratum = np.repeat([0, 1, 2], 40)
    verdicts = np.array([1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 0, 0], dtype=bool)
    judged = np.concatenate([np.arange(4) + start for start in (0, 40, 80)])
    sample = JudgedSample.build(stratum, [True] * 3, judged, verdicts)
    bins = [stratum == number for number in range(3)]
    trend = precision_trend(sample, bins)
    assert trend.slope.estimate == pytest.approx(-0.25)
    # Only the outer bins count. Variance of the last: .9 * .25 / 3; and in both, as if one verdict
    # in n + 4 had been different: (40 * 36 / (4 * 3)) * 4 verdicts / 40^2 / 8.
    presence = 40 * 36 / (4 * 3) * 4 / 40**2 / 8
    spread = np.sqrt((0.9 * 0.25 / 3 + 2 * presence) / 4)
    assert trend.slope.low == pytest.approx(-0.25 - 1.959964 * spread)
    assert trend.p_value == pytest.approx(norm.cdf(-0.25 / spread))


def test_a_census_has_the_slope_of_a_plain_regression_and_no_doubt():
    rng = np.random.default_rng(0)
    rates = [0.9, 0.7, 0.75, 0.4]
    sample, bins = sample_of(rates, 100, rng)
    trend = precision_trend(sample, bins)
    assert trend.slope.estimate == pytest.approx(linregress(np.arange(4), rates).slope)
    assert trend.slope.census
    assert trend.p_value == 0
    assert precision_trend(sample, bins[::-1]).p_value == 1


def test_a_flat_curve_is_rarely_called_falling_and_a_falling_one_often():
    rng = np.random.default_rng(1)
    called = {"flat": 0, "falling": 0, "held": 0}
    for _ in range(300):
        flat = precision_trend(*sample_of([0.6] * 6, 20, rng))
        falling = precision_trend(*sample_of(np.linspace(0.8, 0.5, 6), 20, rng))
        called["flat"] += flat.p_value < 0.05
        called["falling"] += falling.p_value < 0.05
        called["held"] += falling.slope.low <= -0.06 <= falling.slope.high
    assert called["flat"] <= 25
    assert called["falling"] >= 240
    assert called["held"] >= 275


def test_too_few_judged_bins_say_nothing():
    rng = np.random.default_rng(2)
    sample, bins = sample_of([0.9, 0.5], 20, rng)
    trend = precision_trend(sample, bins)
    assert (trend.slope.estimate, trend.p_value) == (None, None)
