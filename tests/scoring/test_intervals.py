"""Intervals: textbook values, scipy, and limits that never lie."""

from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, hypergeom

from scoring.intervals import (
    Interval,
    korn_graubard,
    modified_wilson,
    mover_difference,
    mover_ratio,
    mover_sum,
    widen,
    wilson,
    wilson_effective,
)


def test_worked_example():
    # 1 of 10: (0.1 + z^2/20 -+ z sqrt(0.009 + z^2/400)) / (1 + z^2/10) with z = 1.96.
    interval = wilson(1, 10)
    assert interval.estimate == 0.1
    assert (interval.low, interval.high) == pytest.approx((0.01788, 0.40415), abs=1e-5)


@given(n=st.integers(1, 200), share=st.floats(0, 1), confidence=st.floats(0.5, 0.99))
def test_wilson_equals_scipys(n, share, confidence):
    successes = round(n * share)
    expected = binomtest(successes, n).proportion_ci(confidence, method="wilson")
    interval = wilson(successes, n, confidence=confidence)
    assert interval.low == pytest.approx(expected.low, abs=1e-12)
    assert interval.high == pytest.approx(expected.high, abs=1e-12)


def test_modified_wilsons_worked_example():
    # 9 of 10: one failure. P(X = 0) = .95 where Poisson's mean is .0513: the limit is 1 - .00513.
    interval = modified_wilson(0.9, 10)
    assert interval.low == wilson(9, 10).low
    assert interval.high == pytest.approx(1 + np.log(0.95) / 10)
    # 2 of 10: chi-square(4) has its 5 % quantile at .7107.
    interval = modified_wilson(0.2, 10)
    assert interval.low == pytest.approx(0.7107 / 20, abs=1e-5)
    assert interval.high == wilson(2, 10).high
    for found in (0, 4, 6, 10):
        assert modified_wilson(found / 10, 10) == wilson(found, 10)
    assert modified_wilson(0.9, inf).census


def coverage_of(intervals, shares, probabilities):
    """How often the limits of k found hold each share, all k counted by their probability."""
    low, high = (np.array([getattr(each, side) for each in intervals]) for side in ("low", "high"))
    shares = np.asarray(shares)[:, None]
    held = (low - 1e-12 <= shares) & (shares <= high + 1e-12)
    return (probabilities * held).sum(axis=1)


@pytest.mark.parametrize("n", [10, 20, 40])
def test_wilsons_limits_fail_next_to_purity_and_the_modified_ones_do_not(n):
    # Brown, Cai and DasGupta's dips, exactly: every thousandth of a share.
    shares, found = np.arange(1, 1000) / 1000, np.arange(n + 1)
    probabilities = binom.pmf(found, n, shares[:, None])
    plain, modified = (
        coverage_of([limits(k) for k in range(n + 1)], shares, probabilities)
        for limits in (lambda k: wilson(k, n), lambda k: modified_wilson(k / n, n))
    )
    assert plain.min() < 0.86
    assert modified.min() > 0.91
    assert modified.mean() == pytest.approx(0.957, abs=0.01)


def test_ten_of_a_bin_of_152_hold_every_share_as_often_as_they_say():
    n, size = 10, 152
    errors = np.arange(2, size - 1)
    probabilities = hypergeom.pmf(np.arange(n + 1), size, errors[:, None], n)
    draws = [(n if k in {0, n} else n - 1) / (1 - n / size) for k in range(n + 1)]
    plain, modified = (
        coverage_of(
            [limits(k / n, worth) for k, worth in enumerate(draws)], errors / size, probabilities
        )
        for limits in (wilson_effective, modified_wilson)
    )
    assert plain.min() < 0.88
    assert modified.min() > 0.93


def test_korn_graubards_worked_example():
    # 4 strata of 5, share .5, design effect 1: t(19) = 2.0930 and t(16) = 2.1199 leave
    # 20 * (2.0930 / 2.1199)^2 = 19.496 draws, 9.748 of them errors. Beta(9.748, 10.748) has its
    # 2.5 % quantile at .2693.
    interval = korn_graubard(0.5, 20, n_judged=20, n_strata=4)
    assert (interval.low, interval.high) == pytest.approx((0.2693, 0.7307), abs=2e-4)


@given(n=st.integers(1, 200), share=st.floats(0, 1), confidence=st.floats(0.5, 0.99))
def test_korn_graubard_in_a_simple_sample_is_scipys_exact_interval(n, share, confidence):
    successes = round(n * share)
    expected = binomtest(successes, n).proportion_ci(confidence, method="exact")
    interval = korn_graubard(successes / n, n, n_judged=n, confidence=confidence)
    assert interval.low == pytest.approx(expected.low, abs=1e-9)
    assert interval.high == pytest.approx(expected.high, abs=1e-9)


@given(st.floats(0, 1), st.floats(1, 500), st.integers(2, 100), st.integers(0, 300))
def test_korn_graubard_encloses_its_estimate_and_promises_no_more_than_simple_draws(
    share, n_effective, n_judged, extra
):
    interval = korn_graubard(
        share, n_effective, n_judged=n_judged, n_strata=2, population=n_judged + extra
    )
    assert 0 <= interval.low <= share <= interval.high <= 1
    assert interval.census == (extra == 0)
    if extra:
        simple = wilson_effective(share, n_judged / (1 - n_judged / (n_judged + extra)))
        assert interval.width >= simple.width * 0.9


def test_nothing_observed_is_no_estimate_not_zero():
    assert wilson(0, 0) == Interval(None, 0.0, 1.0)


def test_a_census_has_no_width_and_says_so():
    assert wilson(3, 12, population=12) == Interval(0.25, 0.25, 0.25, census=True)
    assert wilson_effective(0.25, inf).census
    assert not wilson(3, 12).census


def test_a_finite_population_narrows_and_respects_what_was_seen():
    wide, narrow = wilson(9, 10), wilson(9, 10, population=12)
    assert narrow.width < wide.width
    # Half of the population drawn: as good as twice the draws with replacement.
    assert wilson(40, 100, population=200).low == pytest.approx(wilson(80, 200).low)
    assert narrow.low >= 9 / 12
    assert narrow.high <= 11 / 12


@given(n=st.integers(0, 60), extra=st.integers(0, 60), share=st.floats(0, 1))
def test_limits_enclose_the_estimate_inside_the_unit_interval(n, extra, share):
    interval = wilson(round(n * share), n, population=n + extra)
    assert 0 <= interval.low <= interval.high <= 1
    if n:
        assert interval.low <= interval.estimate <= interval.high


@pytest.mark.parametrize(
    "call",
    [
        lambda: wilson(3, 2),
        lambda: wilson(-1, 2),
        lambda: wilson(1, 3, population=2),
        lambda: wilson(1, 2, confidence=1.0),
        lambda: wilson_effective(1.1, 5),
        lambda: wilson_effective(0.5, 0),
        lambda: korn_graubard(1.1, 5, n_judged=5),
        lambda: korn_graubard(0.5, 0, n_judged=5),
        lambda: korn_graubard(0.5, 5, n_judged=5, population=4),
    ],
)
def test_impossible_counts_are_refused(call):
    with pytest.raises(ValueError, match=r"must|fit"):
        call()


def test_the_ratio_of_totals_by_hand():
    # ln odds = ln 4; gaps ln 2 and ln 2 below, ln 1.25 and ln 2 above.
    ratio = mover_ratio(Interval(80, 40, 100), Interval(20, 10, 40))
    assert ratio.estimate == 0.8
    below = 4 / np.exp(np.hypot(np.log(2), np.log(2)))
    above = 4 * np.exp(np.hypot(np.log(1.25), np.log(2)))
    assert ratio.low == pytest.approx(below / (1 + below))
    assert ratio.high == pytest.approx(above / (1 + above))


def test_a_ratio_without_errors_on_one_side_reaches_the_end_but_stays_honest():
    nothing = Interval(0, 0, 30)
    full = mover_ratio(Interval(80, 60, 100), nothing)
    assert full == Interval(1.0, pytest.approx(60 / 90), 1.0)
    none = mover_ratio(nothing, Interval(80, 60, 100))
    assert none == Interval(0.0, 0.0, pytest.approx(30 / 90))
    assert mover_ratio(nothing, nothing) == Interval(None, 0.0, 1.0)
    assert mover_ratio(Interval(None, 0, inf), Interval(80, 60, 100)).estimate is None


positive = st.floats(0.01, 1000)


@given(positive, positive, st.floats(0, 1), st.floats(1, 5), st.floats(0, 1), st.floats(1, 5))
def test_the_ratio_of_the_rest_mirrors_the_ratio_of_the_part(part, rest, a, b, c, d):
    first, second = Interval(part, part * a, part * b), Interval(rest, rest * c, rest * d)
    ratio, mirrored = mover_ratio(first, second), mover_ratio(second, first)
    assert 0 <= ratio.low <= ratio.estimate <= ratio.high <= 1
    assert ratio.low == pytest.approx(1 - mirrored.high, abs=1e-9)
    assert ratio.high == pytest.approx(1 - mirrored.low, abs=1e-9)


def test_sums_and_differences_add_squared_gaps():
    first, second = Interval(0.5, 0.2, 0.6), Interval(0.3, 0.26, 0.6)
    total = mover_sum([first, second])
    assert total.estimate == pytest.approx(0.8)
    assert total.low == pytest.approx(0.8 - np.hypot(0.3, 0.04))
    assert total.high == pytest.approx(0.8 + np.hypot(0.1, 0.3))
    gap = mover_difference(first, second)
    assert gap.low == pytest.approx(0.2 - np.hypot(0.3, 0.3))
    assert gap.high == pytest.approx(0.2 + np.hypot(0.1, 0.04))
    # Two readings of one and the same quantity do not differ at all.
    same = mover_difference(Interval(0.5, 0.4, 0.6), Interval(0.5, 0.4, 0.6), correlation=1.0)
    assert same.width == pytest.approx(0, abs=1e-7)


def test_limits_for_several_differences_at_once_are_bonferronis():
    alone = Interval(0.1, 0.0, 0.2)
    assert (widen(alone, 1).low, widen(alone, 1).high) == pytest.approx((0.0, 0.2))
    ten = widen(alone, 10)
    # z(.995) / z(.95) = 2.807 / 1.960
    assert (ten.low, ten.high) == pytest.approx((0.1 - 0.14322, 0.1 + 0.14322), abs=1e-4)
    assert widen(Interval(0.9, 0.0, 1.0), 1000).high == 1.0
    assert widen(Interval(None, -1.0, 1.0), 5) == Interval(None, -1.0, 1.0)
