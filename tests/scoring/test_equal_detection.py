"""Precision at a detection rate: by hand, by linearity, and by how often its limits hold."""

import numpy as np
import pytest

from scoring.domain_estimates import precision
from scoring.equal_detection import difference_at_detection, precision_at_detection
from scoring.judged_sample import JudgedSample


def ranks_of(score):
    ranks = np.empty(score.size, dtype=np.int64)
    ranks[np.argsort(-score, kind="stable")] = np.arange(1, score.size + 1)
    return ranks


def test_a_census_by_hand():
    # Errors at places 1, 2, 4, 8 of 10: half of them are found at place 2, three at place 4.
    is_error = np.isin(np.arange(1, 11), (1, 2, 4, 8))
    sample = JudgedSample.build(np.zeros(10, int), [True], np.arange(10), is_error)
    ranks = np.arange(1, 11)
    half, most = (precision_at_detection(sample, ranks, rate) for rate in (0.5, 0.75))
    assert (half.flagged, half.precision.estimate) == (2, 1.0)
    assert (most.flagged, most.precision.estimate) == (4, 0.75)
    assert most.precision.census
    backwards = difference_at_detection(sample, ranks, ranks[::-1], 0.5)
    # Backwards the errors are at places 3, 7, 9, 10: two of seven.
    assert backwards.estimate == pytest.approx(1 - 2 / 7)
    assert difference_at_detection(sample, ranks, ranks, 0.5).width == 0


def test_what_can_not_be_said_is_none():
    is_error = np.arange(10) < 4
    sample = JudgedSample.build(np.zeros(10, int), [True], np.arange(10), is_error)
    short = np.where(np.arange(10) < 2, np.arange(1, 11), 0)
    assert precision_at_detection(sample, short, 0.5).flagged == 2
    assert precision_at_detection(sample, short, 0.6) is None
    assert difference_at_detection(sample, short, short, 0.6).estimate is None
    nothing = JudgedSample.build(np.zeros(10, int), [True], [], np.zeros(0, dtype=bool))
    assert precision_at_detection(nothing, np.arange(1, 11), 0.5) is None
    with pytest.raises(ValueError, match="must lie in"):
        precision_at_detection(sample, short, 1.0)


def test_a_rate_that_the_flags_may_not_reach_is_not_claimed():
    # 40 flagged items with ten errors, 400 others with about as many: .6 is beyond the flags.
    rng = np.random.default_rng(0)
    stratum = np.repeat([0, 1], [40, 400])
    is_error = np.concatenate([np.arange(40) < 10, np.arange(400) < 10])
    judged = np.concatenate([np.arange(40), 40 + rng.choice(400, 200, replace=False)])
    sample = JudgedSample.build(stratum, [True, False], judged, is_error[judged])
    ranks = np.arange(1, 441)
    assert precision_at_detection(sample, ranks, 0.2) is not None
    assert precision_at_detection(sample, ranks, 0.8) is None


def test_the_doubt_about_the_depth_counts():
    # Ten bins of 150 with 90 % to 10 % errors, and 8,000 items that nothing flags, 2 % errors.
    rng = np.random.default_rng(3)
    sizes, rates = np.append(np.full(10, 150), 8000), np.append(np.linspace(0.9, 0.1, 10), 0.02)
    stratum = np.repeat(np.arange(11), sizes)
    within = np.concatenate([np.arange(size) for size in sizes])
    is_error = within < np.round(sizes * rates)[stratum]
    ranks = ranks_of(-stratum + rng.random(stratum.size))
    found = np.cumsum(is_error[np.argsort(ranks)])
    place = int(np.searchsorted(found, 0.6 * is_error.sum()))
    truth = found[place] / (place + 1)
    held, n_told = {"with": 0, "without": 0}, 0
    places = [np.flatnonzero(stratum == number) for number in range(11)]
    for _ in range(300):
        judged = np.concatenate(
            [rng.choice(p, 200 if p.size > 150 else 40, replace=False) for p in places]
        )
        sample = JudgedSample.build(stratum, [True] * 10 + [False], judged, is_error[judged])
        point = precision_at_detection(sample, ranks, 0.6)
        if point is None:
            continue
        n_told += 1
        fixed = precision(sample, ranks <= point.flagged)
        held["with"] += point.precision.low <= truth <= point.precision.high
        held["without"] += fixed.low <= truth <= fixed.high
    assert n_told > 200
    assert held["with"] / n_told >= 0.91
    assert held["without"] / n_told < 0.89
