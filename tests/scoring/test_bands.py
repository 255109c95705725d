"""Simultaneous bands: by hand, against enumeration, and by how often they hold a whole curve."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from scoring.bands import precision_band, precision_covariance, simulate_deviations
from scoring.domain_estimates import precision
from scoring.intervals import Interval
from scoring.judged_sample import JudgedSample


def make_sample(rng, sizes, draws, errors):
    stratum = np.repeat(np.arange(len(sizes)), sizes)
    judged = np.concatenate(
        [
            rng.choice(np.flatnonzero(stratum == number), draws, replace=False)
            for number in range(len(sizes))
        ]
    )
    return JudgedSample.build(stratum, [True] * len(sizes), judged, errors[judged])


def test_a_band_of_one_point_is_nearly_its_interval():
    rng = np.random.default_rng(0)
    sample = make_sample(rng, [100], 40, np.arange(100) < 60)
    everything = np.ones(100, dtype=bool)
    (band,) = precision_band(sample, [everything], rng=rng)
    point = precision(sample, everything)
    assert (band.low, band.high) == pytest.approx((point.low, point.high), abs=0.005)


def test_independent_points_are_widened_as_sidak_says():
    # Ten sets without a common stratum: each must hold with probability .95^(1/10), z = 2.80.
    rng = np.random.default_rng(1)
    sample = make_sample(rng, [200] * 10, 50, np.tile(np.arange(200) < 100, 10))
    sets = [sample.stratum == number for number in range(10)]
    for band, members in zip(precision_band(sample, sets, rng=rng), sets, strict=True):
        each = 0.95**0.1
        expected = precision(sample, members, confidence=each)
        assert band.width == pytest.approx(expected.width, rel=0.02)
    deviations = simulate_deviations(precision_covariance(sample, sets), rng)
    multiplier = np.quantile(np.abs(deviations).max(axis=1), 0.95)
    assert multiplier == pytest.approx(norm.ppf((1 + each) / 2), abs=0.05)


def test_over_all_samples_the_covariance_is_nearly_that_of_the_curve():
    # Two strata of 7, 4 drawn of each; the sets are the first stratum and both.
    errors = np.array([1, 1, 1, 0, 1, 0, 1, 0, 1, 0, 0, 1, 0, 0], dtype=bool)
    stratum = np.repeat([0, 1], 7)
    sets = [stratum < 1, stratum < 2]
    curves, covariances = [], []
    for first in itertools.combinations(range(7), 4):
        for second in itertools.combinations(range(7, 14), 4):
            judged = np.array([*first, *second])
            sample = JudgedSample.build(stratum, [True] * 2, judged, errors[judged])
            curves.append([precision(sample, members).estimate for members in sets])
            covariances.append(precision_covariance(sample, sets))
    correlation = np.corrcoef(np.array(curves).T)[0, 1]
    mean = np.mean(covariances, axis=0)
    assert mean[0, 1] / np.sqrt(mean[0, 0] * mean[1, 1]) == pytest.approx(correlation, abs=0.03)


def test_a_census_has_no_band_and_what_is_unknown_stays_unknown():
    rng = np.random.default_rng(2)
    sample = JudgedSample.build(
        np.repeat([0, 1], [4, 30]), [True, False], np.arange(4), [True, True, True, False]
    )
    sets = [np.arange(34) < 4, np.arange(34) < 20]
    assert precision_band(sample, sets, rng=rng) == [
        Interval(0.75, 0.75, 0.75, census=True),
        Interval(None, 0.0, 1.0),
    ]


@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(2, 8), st.floats(0, 1))
def test_a_band_holds_its_intervals_and_stays_in_range(seed, n_strata, draws, rate):
    rng = np.random.default_rng(seed)
    sample = make_sample(rng, [10] * n_strata, draws, rng.random(10 * n_strata) < rate)
    sets = [rng.random(10 * n_strata) < 0.5 for _ in range(4)]
    for band, members in zip(precision_band(sample, sets, rng=rng), sets, strict=True):
        point = precision(sample, members)
        assert 0 <= band.low <= point.low + 1e-12
        assert point.high - 1e-12 <= band.high <= 1


def test_the_same_generator_gives_the_same_band():
    sample = make_sample(np.random.default_rng(3), [50] * 4, 10, np.arange(200) % 3 == 0)
    sets = [sample.stratum < k for k in range(1, 5)]
    first, second = (precision_band(sample, sets, rng=np.random.default_rng(7)) for _ in range(2))
    assert first == second


def test_the_whole_curve_lies_in_the_band_in_93_to_97_percent_of_samples():
    # 15 bins of 152, precision .95 to .35, 20 judged in each: pointwise limits all hold in 7 of
    # 10 samples only.
    rng = np.random.default_rng(4)
    errors = np.concatenate([np.arange(152) < round(152 * p) for p in np.linspace(0.95, 0.35, 15)])
    n_runs, covered = 400, 0
    for _ in range(n_runs):
        sample = make_sample(rng, [152] * 15, 20, errors)
        sets = [sample.stratum < k for k in range(1, 16)]
        bands = precision_band(sample, sets, rng=rng)
        covered += all(
            band.low <= errors[members].mean() <= band.high
            for band, members in zip(bands, sets, strict=True)
        )
    assert 0.93 <= covered / n_runs <= 0.97
