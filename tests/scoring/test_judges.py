"""A judge model corrected by people: by hand, at its limits, and by coverage."""

import numpy as np
import pytest

from scoring.domain_estimates import precision
from scoring.intervals import wilson_effective
from scoring.judged_sample import JudgedSample
from scoring.judges import gold_rates, judged_detection_rate, judged_rate

EVERYTHING = np.ones(20, dtype=bool)


def sample_of_20():
    """Two strata of ten, four judged in each: errors 1 1 0 1 and 0 0 1 0."""
    return JudgedSample.build(
        np.repeat([0, 1], 10),
        [True, True],
        [0, 1, 2, 3, 10, 11, 12, 13],
        np.array([1, 1, 0, 1, 0, 0, 1, 0], dtype=bool),
    )


def judge_of_20():
    judge = np.repeat([0.8, 0.3], 10)
    judge[[1, 12]] = 0.2, 0.9
    return judge


def test_the_corrected_rate_by_hand():
    # Judge's mean: (9 * .8 + .2 + 9 * .3 + .9) / 20 = .55. Gaps, power 1: stratum one
    # .2 .8 -.8 .2 with mean .1, stratum two -.3 -.3 .1 -.3 with mean -.2: correction -.05.
    # Variances: s^2 = .44 and .04; 100 (1 - .4) s^2 / 4 / 400 each: .0165 + .0015 = .018.
    found = judged_rate(sample_of_20(), judge_of_20(), EVERYTHING, power=1.0)
    limits = wilson_effective(0.5, 0.25 / 0.018)
    assert found.judge_only == pytest.approx(0.55)
    assert found.corrected.estimate == pytest.approx(0.5)
    np.testing.assert_allclose(
        (found.corrected.low, found.corrected.high), (limits.low, limits.high)
    )
    assert found.people_only == precision(sample_of_20(), EVERYTHING)


def test_without_power_people_alone_decide():
    found = judged_rate(sample_of_20(), judge_of_20(), EVERYTHING, power=0.0)
    assert found.corrected.estimate == pytest.approx(found.people_only.estimate)
    np.testing.assert_allclose(found.corrected.width, found.people_only.width)
    # Too few judged items to fit a power: the judge is not followed.
    assert judged_rate(sample_of_20(), judge_of_20(), EVERYTHING).power == 0.0


def test_a_judge_that_says_the_same_of_every_item_changes_nothing():
    sample, errors = draw(np.random.default_rng(0), n_judged=10)
    found = judged_rate(sample, np.full(errors.size, 0.4), np.ones(errors.size, dtype=bool))
    assert found.power == 0.0
    assert found.corrected.estimate == pytest.approx(found.people_only.estimate)


def test_a_census_needs_no_judge():
    sample = JudgedSample.build([0, 0], [True], [0, 1], np.array([True, False]))
    found = judged_rate(sample, [0.1, 0.1], np.ones(2, dtype=bool))
    assert found.corrected == found.people_only
    assert found.corrected.census


def test_where_people_say_nothing_the_judge_is_not_believed():
    sample = JudgedSample.build([0, 0, 0], [True], [], np.empty(0, dtype=bool))
    found = judged_rate(sample, [0.1, 0.1, 0.4], np.ones(3, dtype=bool))
    assert found.judge_only == pytest.approx(0.2)
    assert found.corrected.estimate is None


@pytest.mark.parametrize(
    ("judge", "members", "power", "message"),
    [
        ([0.5] * 19, [True] * 19, None, "do not fit"),
        ([1.5] * 20, [True] * 20, None, "must lie in"),
        ([0.5] * 20, [False] * 20, None, "no items"),
        ([0.5] * 20, [True] * 20, 2.0, "power must"),
    ],
)
def test_what_does_not_fit_is_refused(judge, members, power, message):
    with pytest.raises(ValueError, match=message):
        judged_rate(sample_of_20(), judge, np.array(members), power=power)


def population(rng):
    stratum = np.repeat(np.arange(15), 152)
    return stratum, rng.random(stratum.size) < np.linspace(0.95, 0.35, 15)[stratum]


def draw(rng, n_judged, errors=None):
    stratum, made = population(rng)
    errors = made if errors is None else errors
    judged = np.concatenate([152 * h + rng.choice(152, n_judged, replace=False) for h in range(15)])
    return JudgedSample.build(stratum, np.ones(15, dtype=bool), judged, errors[judged]), errors


@pytest.mark.parametrize(("mistakes", "saving"), [(0.05, 0.55), (0.15, 0.85), (0.5, 1.02)])
def test_intervals_cover_the_truth_and_a_good_judge_makes_them_narrower(mistakes, saving):
    rng = np.random.default_rng(11)
    errors = population(rng)[1]
    judge = np.where(rng.random(errors.size) < mistakes, ~errors, errors).astype(float)
    everything = np.ones(errors.size, dtype=bool)
    found = [judged_rate(draw(rng, 10, errors)[0], judge, everything) for _ in range(600)]
    truth = errors.mean()
    covered = np.mean([each.corrected.low <= truth <= each.corrected.high for each in found])
    assert 0.925 <= covered <= 0.975
    widths = np.mean([[each.corrected.width, each.people_only.width] for each in found], axis=0)
    assert widths[0] < saving * widths[1]
    bias = np.mean([each.corrected.estimate for each in found]) - truth
    assert abs(bias) < 0.004


def test_the_rate_of_a_part_that_cuts_through_strata_is_unbiased():
    rng = np.random.default_rng(12)
    errors = population(rng)[1]
    judge = np.where(rng.random(errors.size) < 0.1, 0.3, errors * 0.7)
    part = rng.random(errors.size) < 0.3
    found = [judged_rate(draw(rng, 20, errors)[0], judge, part) for _ in range(400)]
    truth = errors[part].mean()
    assert abs(np.mean([each.corrected.estimate for each in found]) - truth) < 0.01
    covered = np.mean([each.corrected.low <= truth <= each.corrected.high for each in found])
    assert 0.92 <= covered <= 0.98


def test_gold_items_give_sensitivity_and_specificity():
    says = np.array([True, True, False, False, False, True])
    truth = np.array([True, True, True, False, False, False])
    sensitivity, specificity = gold_rates(says, truth)
    assert sensitivity == wilson_effective(2 / 3, 3)
    assert specificity == wilson_effective(2 / 3, 3)
    assert gold_rates(says[:3], truth[:3])[1].estimate is None


def population_with_rest(rng, n_unflagged=3000):
    """The fifteen bins of above and a large unflagged stratum with few errors."""
    stratum, errors = population(rng)
    rest = rng.random(n_unflagged) < 0.02
    return np.append(stratum, np.full(rest.size, 15)), np.append(errors, rest)


def draw_with_rest(rng, stratum, errors, n_judged=10, n_unflagged=300):
    flagged = [152 * h + rng.choice(152, n_judged, replace=False) for h in range(15)]
    rest = 15 * 152 + rng.choice(errors.size - 15 * 152, n_unflagged, replace=False)
    judged = np.concatenate([*flagged, rest])
    return JudgedSample.build(stratum, np.arange(16) < 15, judged, errors[judged])


def test_the_corrected_detection_rate_by_hand():
    # Inside the set, a census: 4 errors in 4. Outside 2 of 8 judged: no power below ten judged,
    # so 8 * 1/2 = 4 errors; the judge alone calls 3 of 4 inside and 2 of 8 outside.
    sample = JudgedSample.build(
        np.repeat([0, 1], [4, 8]), [True, False], range(6), np.arange(6) < 5
    )
    judge = np.zeros(12)
    judge[[0, 1, 2, 4, 5]] = 1
    found = judged_detection_rate(sample, judge, np.arange(12) < 4)
    assert found.judge_only == pytest.approx(3 / 5)
    assert found.corrected.estimate == pytest.approx(0.5)
    assert found.people_only.estimate == pytest.approx(0.5)


def test_a_judge_that_finds_no_error_has_no_detection_rate():
    sample = JudgedSample.build([0, 0, 1, 1], [True, False], range(4), np.arange(4) < 1)
    found = judged_detection_rate(sample, np.zeros(4), np.arange(4) < 2)
    assert found.judge_only is None
    assert found.corrected == found.people_only


@pytest.mark.parametrize(("mistakes", "cut", "saving"), [(0.05, 1.0, 0.75), (0.2, 0.4, 0.8)])
def test_detection_rates_cover_the_truth_and_a_judge_makes_them_narrower(mistakes, cut, saving):
    rng = np.random.default_rng(13)
    stratum, errors = population_with_rest(rng)
    judge = np.where(rng.random(errors.size) < mistakes, ~errors, errors).astype(float)
    members = (stratum < 8) & (rng.random(errors.size) < cut)
    found = [
        judged_detection_rate(draw_with_rest(rng, stratum, errors), judge, members)
        for _ in range(300)
    ]
    truth = errors[members].sum() / errors.sum()
    covered = np.mean([each.corrected.low <= truth <= each.corrected.high for each in found])
    assert covered >= 0.92
    widths = np.mean([[each.corrected.width, each.people_only.width] for each in found], axis=0)
    assert widths[0] < saving * widths[1]
    assert abs(np.mean([each.corrected.estimate for each in found]) - truth) < 0.01
