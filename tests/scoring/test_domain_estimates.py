"""Precision and detection rate from stratified judgments: by hand, by enumeration, by coverage."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.differences import detection_difference, precision_difference
from scoring.domain_estimates import (
    detection_rate,
    largest_k,
    precision,
    worst_detection_shares,
)
from scoring.estimates import auto_k, detection_rate_curve, precision_curve, top_k_members
from scoring.intervals import Interval, korn_graubard, modified_wilson, wilson_effective
from scoring.judged_sample import JudgedSample, merge_thin_strata
from scoring.strata import Strata


def in_strata(*sizes):
    """Return the stratum of each item when strata of these sizes follow each other."""
    return np.repeat(np.arange(len(sizes)), sizes)


def wilson_limits(share, n):
    interval = wilson_effective(share, n)
    return interval.low, interval.high


def precision_limits(share, n):
    interval = modified_wilson(share, n)
    return interval.low, interval.high


def close(estimate, expected):
    np.testing.assert_allclose(
        (estimate.estimate, estimate.low, estimate.high), expected, atol=5e-4
    )


def test_precision_of_a_union_of_strata_by_hand():
    # N = 60, 40; n = 4, 4; p = 3/4, 1/2. P = .6 * .75 + .4 * .5 = .65.
    # Var = .36 (1 - 4/60) .1875/3 + .16 (1 - 4/40) .25/3 = .021 + .012 = .033.
    # n_eff = .2275 / .033 = 6.894, 2.4 of them no errors: Poisson's limit above, Wilson's below.
    sample = JudgedSample.build(
        in_strata(60, 40),
        [True, True],
        [0, 1, 2, 3, 60, 61, 62, 63],
        np.array([1, 1, 1, 0, 1, 1, 0, 0], dtype=bool),
    )
    estimate = precision(sample, np.ones(100, dtype=bool))
    n_eff = 0.65 * 0.35 / 0.033
    close(estimate, (0.65, *precision_limits(0.65, n_eff)))
    assert not estimate.census


def test_the_conservative_precision_by_hand():
    # As above: P = .65, n_eff = 6.894; 8 judged in 2 strata of 100 are worth 8.696 at the most.
    sample = JudgedSample.build(
        in_strata(60, 40),
        [True, True],
        [0, 1, 2, 3, 60, 61, 62, 63],
        np.array([1, 1, 1, 0, 1, 1, 0, 0], dtype=bool),
    )
    everything = np.ones(100, dtype=bool)
    wide = precision(sample, everything, method="korn_graubard")
    expected = korn_graubard(0.65, 0.2275 / 0.033, n_judged=8, n_strata=2, population=100)
    close(wide, (0.65, expected.low, expected.high))
    assert wide.width > precision(sample, everything).width
    strata = Strata.of([60, 40], [4, 4], [3, 2])
    (point,) = precision_curve(strata, np.ones((1, 2), dtype=bool), method="korn_graubard")
    close(wide, (point.precision.estimate, point.precision.low, point.precision.high))


def test_precision_of_a_set_that_cuts_through_a_stratum_by_hand():
    # One stratum, N = 10, n = 4: errors 1, 0, 1, 0; the first three lie in the set of 6.
    # P = 2/3. Residuals 1/3, -2/3, 1/3, 0: mean 0, s^2 = (6/9)/3 = 2/9.
    # Var = N^2 (1 - .4) s^2 / n / Nhat^2 = 100 * .6 * (2/9) / 4 / 7.5^2 = .059259.
    sample = JudgedSample.build(
        in_strata(10), [True], [0, 1, 2, 9], np.array([1, 0, 1, 0], dtype=bool)
    )
    estimate = precision(sample, np.arange(10) < 6)
    close(estimate, (2 / 3, *precision_limits(2 / 3, (2 / 9) / 0.0592593)))


def test_detection_rate_of_a_union_of_strata_by_hand():
    # E = 60 * .75 = 45, R = 40 * .25 = 10: D = .8182. Wilson limits of both shares at
    # n_eff = (n - 1) / (1 - f): 3 / (14/15) = 3.2143 and 3 / .9 = 3.3333.
    sample = JudgedSample.build(
        in_strata(60, 40),
        [True, False],
        [0, 1, 2, 3, 60, 61, 62, 63],
        np.array([1, 1, 1, 0, 1, 0, 0, 0], dtype=bool),
    )
    e_low, e_high = (60 * limit for limit in wilson_limits(0.75, 3 / (14 / 15)))
    r_low, r_high = (40 * limit for limit in wilson_limits(0.25, 3 / 0.9))
    theta = np.log(45 / 10)
    low = theta - np.hypot(np.log(45 / e_low), np.log(r_high / 10))
    high = theta + np.hypot(np.log(e_high / 45), np.log(10 / r_low))
    estimate = detection_rate(sample, np.arange(100) < 60)
    close(estimate, (45 / 55, 1 / (1 + np.exp(-low)), 1 / (1 + np.exp(-high))))
    assert sample.kind == "absolute"


def test_the_difference_of_detection_rates_by_hand():
    # Flagged strata A, B of 40 with 3 and 1 errors among 4; nothing unflagged: C = 1 and
    # g = (30 - 10) / 40 = .5. Residuals (e - .5 e) in A: 3 of .5 and a 0, s^2 = .0625; in B
    # (-e - .5 e): a -1.5 and 3 of 0, s^2 = .5625. Var = 40^2 .9 (.0625 + .5625) / 4 / 40^2.
    sample = JudgedSample.build(
        in_strata(40, 40),
        [True, True],
        [0, 1, 2, 3, 40, 41, 42, 43],
        np.array([1, 1, 1, 0, 1, 0, 0, 0], dtype=bool),
    )
    estimate = detection_difference(sample, np.arange(80) < 40, np.arange(80) >= 40)
    spread = 1.96 * np.sqrt(0.9 * 0.625 / 4)
    close(estimate, (0.5, 0.5 - spread, 1.0))


def test_without_a_judged_unflagged_item_the_detection_rate_is_relative():
    sample = JudgedSample.build(
        in_strata(4, 4, 50),
        [True, True, False],
        [0, 1, 4, 5],
        np.array([1, 1, 1, 0], dtype=bool),
    )
    assert sample.kind == "relative"
    estimate = detection_rate(sample, np.arange(58) < 4)
    assert estimate.estimate == pytest.approx(4 / 6)
    # A set with unflagged items in it can't be told anything about.
    assert detection_rate(sample, np.arange(58) < 20) == Interval(None, 0.0, 1.0)
    assert precision(sample, np.arange(58) < 20) == Interval(None, 0.0, 1.0)


def test_no_error_outside_the_set_leaves_an_upper_limit_of_one_and_a_lower_below():
    sample = JudgedSample.build(
        in_strata(20, 200),
        [True, False],
        [*range(10), *range(20, 60)],
        np.arange(50) < 8,
    )
    estimate = detection_rate(sample, np.arange(220) < 20)
    assert (estimate.estimate, estimate.high) == (1.0, 1.0)
    missed = 200 * wilson_limits(0.0, 40 / (1 - 40 / 200))[1]
    found = 20 * wilson_limits(0.8, 9 / 0.5)[0]
    assert estimate.low == pytest.approx(found / (found + missed))


def test_a_census_has_no_sampling_width():
    errors = np.array([1, 1, 0, 0, 1, 0], dtype=bool)
    sample = JudgedSample.build(in_strata(3, 3), [True, False], np.arange(6), errors)
    first = np.arange(6) < 3
    assert sample.is_census
    assert precision(sample, first) == Interval(2 / 3, 2 / 3, 2 / 3, census=True)
    rate = detection_rate(sample, first)
    assert rate.census
    assert (rate.estimate, rate.low) == (pytest.approx(2 / 3), pytest.approx(2 / 3))


def test_judgments_all_alike_keep_an_honest_width():
    sample = JudgedSample.build(in_strata(100), [True], np.arange(10), np.ones(10, dtype=bool))
    estimate = precision(sample, np.ones(100, dtype=bool))
    assert (estimate.estimate, estimate.high) == (1.0, 1.0)
    assert estimate.low == pytest.approx(wilson_limits(1.0, 10 / 0.9)[0])


def test_pure_strata_that_differ_keep_an_honest_width():
    sample = JudgedSample.build(
        in_strata(30, 30), [True, True], [0, 1, 30, 31], [True] * 2 + [False] * 2
    )
    estimate = precision(sample, np.ones(60, dtype=bool))
    close(estimate, (0.5, *precision_limits(0.5, 4 / (1 - 4 / 60))))


@pytest.mark.parametrize("is_error", [True, False])
def test_no_judgment_or_no_error_is_no_number(is_error):
    nothing = JudgedSample.build(in_strata(5, 5), [True, False], [], np.zeros(0, dtype=bool))
    members = np.arange(10) < 5
    assert precision(nothing, members).estimate is None
    assert detection_rate(nothing, members).estimate is None
    some = JudgedSample.build(in_strata(5, 5), [True, False], [0, 1, 5, 6], [is_error] * 4)
    assert (detection_rate(some, members).estimate is None) == (not is_error)


def test_thin_strata_are_merged_with_a_neighbour_of_their_kind():
    merged = merge_thin_strata(
        np.array([10, 10, 10, 1, 40, 40]),
        np.array([1, 1, 5, 1, 0, 3]),
        np.array([True, True, True, True, False, False]),
    )
    assert merged.tolist() == [0, 0, 1, 2, 3, 3]
    # The last one falls to the stratum before it; alone in its kind it stays, unrepresented.
    merged = merge_thin_strata(
        np.array([10, 10, 40]), np.array([5, 1, 1]), np.array([True, True, False])
    )
    assert merged.tolist() == [0, 0, 1]


def every_sample(sizes, draws):
    """Yield every stratified simple random sample as positions, all equally likely."""
    starts = np.cumsum([0, *sizes[:-1]])
    parts = [
        itertools.combinations(range(start, start + size), n)
        for start, size, n in zip(starts, sizes, draws, strict=True)
    ]
    for choice in itertools.product(*parts):
        yield np.concatenate(choice).astype(int)


def test_over_all_samples_totals_and_their_covariance_are_unbiased():
    sizes, draws = (6, 5, 4), (3, 2, 2)
    rng = np.random.default_rng(0)
    errors = rng.random(15) < 0.5
    members = rng.random(15) < 0.6
    found, missed, covariances, variances = [], [], [], []
    for judged in every_sample(sizes, draws):
        sample = JudgedSample.build(in_strata(*sizes), [True] * 3, judged, errors[judged])
        inside = sample.is_error * members[judged]
        outside = sample.is_error * ~members[judged]
        found.append(sample.total(inside))
        missed.append(sample.total(outside))
        variances.append(sample.covariance(inside, inside))
        covariances.append(sample.covariance(inside, outside))
    assert np.mean(found) == pytest.approx((errors & members).sum())
    assert np.mean(variances) == pytest.approx(np.var(found))
    assert np.mean(covariances) == pytest.approx(np.cov(found, missed, ddof=0)[0, 1])


def test_sets_made_of_whole_strata_agree_with_the_textbook_estimators():
    rng = np.random.default_rng(3)
    stratum, errors, _ = make_population(rng)
    judged = np.concatenate(
        [rng.choice(np.flatnonzero(stratum == number), 12, replace=False) for number in range(16)]
    )
    sample = JudgedSample.build(stratum, [True] * 15 + [False], judged, errors[judged])
    strata = Strata.of(
        np.bincount(stratum), np.full(16, 12), np.bincount(stratum[judged], errors[judged])
    )
    members = top_k_members(np.append(np.arange(1, 16), 0), 15)
    flagged = np.arange(16) < 15
    rates = detection_rate_curve(strata, members, flagged)
    for k, point in enumerate(precision_curve(strata, members), start=1):
        top = stratum < k
        for ours, theirs in (
            (precision(sample, top), point.precision),
            (detection_rate(sample, top), rates[k - 1].detection_rate),
        ):
            np.testing.assert_allclose(
                (ours.estimate, ours.low, ours.high),
                (theirs.estimate, theirs.low, theirs.high),
                atol=0.02,
            )
            assert ours.estimate == pytest.approx(theirs.estimate)
    assert largest_k(sample, np.where(stratum < 15, stratum + 1, 0), 15, 0.7) == auto_k(
        strata, members, 0.7
    )


def make_population(rng, n_bins=15, per_bin=152, n_unflagged=4000):
    """15 bins whose precision falls from .95 to .35, and unflagged items with 2 % errors."""
    rates = np.linspace(0.95, 0.35, n_bins)
    stratum = in_strata(*[per_bin] * n_bins, n_unflagged)
    errors = rng.random(stratum.size) < np.append(rates, 0.02)[stratum]
    # A competing method: it flags errors more often, across all strata.
    members = rng.random(stratum.size) < np.where(errors, 0.6, 0.1) * (stratum < n_bins)
    return stratum, errors, members


@pytest.mark.parametrize("draws", [10, 40])
def test_nominal_95_percent_intervals_cover_in_93_to_97_percent_of_samples(draws):
    rng = np.random.default_rng(20)
    n_runs, n_bins = 1000, 15
    stratum, errors, method = make_population(rng)
    top = stratum < 5
    everything = stratum < n_bins
    truth = {
        "P top 5": (errors & top).sum() / top.sum(),
        "P all": (errors & everything).sum() / everything.sum(),
        "P cut": (errors & method).sum() / method.sum(),
        "D all": (errors & everything).sum() / errors.sum(),
        "D cut": (errors & method).sum() / errors.sum(),
        "P difference": errors[top].mean() - errors[method].mean(),
        "D difference": ((errors & top).sum() - (errors & method).sum()) / errors.sum(),
    }
    covered = dict.fromkeys(truth, 0)
    places = [np.flatnonzero(stratum == number) for number in range(n_bins + 1)]
    for _ in range(n_runs):
        judged = np.concatenate(
            [rng.choice(p, 400 if len(p) > 1000 else draws, replace=False) for p in places]
        )
        sample = JudgedSample.build(stratum, [True] * n_bins + [False], judged, errors[judged])
        estimates = {
            "P top 5": precision(sample, top),
            "P all": precision(sample, everything),
            "P cut": precision(sample, method),
            "D all": detection_rate(sample, everything),
            "D cut": detection_rate(sample, method),
            "P difference": precision_difference(sample, top, method),
            "D difference": detection_difference(sample, top, method),
        }
        for name, estimate in estimates.items():
            covered[name] += estimate.low <= truth[name] <= estimate.high
    coverage = {name: count / n_runs for name, count in covered.items()}
    assert all(0.93 <= share <= 0.97 for share in coverage.values()), coverage


@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(0, 6))
def test_intervals_hold_their_estimate_and_stay_in_range(seed, n_strata, draws):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 12, n_strata)
    stratum = in_strata(*sizes)
    flagged = rng.random(n_strata) < 0.6
    judged = np.concatenate(
        [
            rng.choice(np.flatnonzero(stratum == number), min(draws, size), replace=False)
            for number, size in enumerate(sizes)
        ]
    ).astype(int)
    sample = JudgedSample.build(stratum, flagged, judged, rng.random(judged.size) < rng.random())
    members, others = (rng.random(stratum.size) < 0.5 for _ in range(2))
    share = detection_rate(sample, members).estimate
    expected = None if share is None else pytest.approx(share)
    assert worst_detection_shares(sample, sample, members) == (expected, expected)
    for estimate in (precision(sample, members), detection_rate(sample, members)):
        assert 0 <= estimate.low <= estimate.high <= 1
        if estimate.estimate is not None:
            assert 0 <= estimate.low <= estimate.estimate + 1e-12
            assert estimate.estimate - 1e-12 <= estimate.high <= 1
    for difference in (
        precision_difference(sample, members, others),
        detection_difference(sample, members, others),
    ):
        if difference.estimate is not None:
            assert difference.low - 1e-12 <= difference.estimate <= difference.high + 1e-12


def test_a_set_has_no_difference_from_itself():
    rng = np.random.default_rng(1)
    stratum, errors, method = make_population(rng, n_unflagged=100)
    judged = np.concatenate(
        [rng.choice(np.flatnonzero(stratum == number), 10, replace=False) for number in range(16)]
    )
    sample = JudgedSample.build(stratum, [True] * 15 + [False], judged, errors[judged])
    for compare in (precision_difference, detection_difference):
        difference = compare(sample, method, method)
        assert (difference.low, difference.estimate, difference.high) == (0, 0, 0)


def test_items_outside_the_population_change_nothing():
    errors = np.array([1, 0, 1, 1], dtype=bool)
    plain = JudgedSample.build(in_strata(6, 6), [True, False], [0, 1, 6, 7], errors)
    stratum = np.append(in_strata(6, 6), [-1, -1])
    wider = JudgedSample.build(stratum, [True, False], [0, 1, 6, 7, 12], np.append(errors, [True]))
    members = np.arange(12) < 6
    with_outsiders = np.append(members, [True, True])
    assert precision(plain, members) == precision(wider, with_outsiders)
    assert detection_rate(plain, members) == detection_rate(wider, with_outsiders)


def test_an_item_judged_twice_is_refused():
    with pytest.raises(ValueError, match="judged once"):
        JudgedSample.build(in_strata(4), [True], [1, 1], [True, False])


def test_the_largest_k_stops_at_the_first_bin_that_fails():
    # Bins of 50 with 25 judged: all errors, all errors, none. One-sided limits at k = 1 and 2
    # lie near .95 and .97; at k = 3 the estimate itself is 2/3.
    stratum = in_strata(50, 50, 50)
    judged = np.concatenate([np.arange(start, start + 25) for start in (0, 50, 100)])
    sample = JudgedSample.build(stratum, [True] * 3, judged, judged < 100)
    bin_rank = stratum + 1
    assert largest_k(sample, bin_rank, 3, 0.9) == 2
    assert largest_k(sample, bin_rank, 3, 0.3) == 3
    assert largest_k(sample, bin_rank, 3, 0.999) == 0


def test_the_worst_that_unsure_items_could_mean_is_the_rate_had_they_been_it():
    rng = np.random.default_rng(0)
    stratum, judged = in_strata(30, 40, 50), np.arange(0, 120, 2)
    unsure = rng.random(60) < 0.2
    is_error = (rng.random(60) < 0.4) & ~unsure
    none, every = (
        JudgedSample.build(stratum, [True, True, False], judged, errors)
        for errors in (is_error, is_error | unsure)
    )
    members = rng.random(120) < 0.5
    inside = members[judged]
    expected = [
        detection_rate(
            JudgedSample.build(stratum, [True, True, False], judged, is_error | (unsure & where)),
            members,
        ).estimate
        for where in (~inside, inside)
    ]
    assert worst_detection_shares(none, every, members) == pytest.approx(expected)
