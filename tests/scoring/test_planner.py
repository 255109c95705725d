"""The planner: by hand, as an invariant, and by drawing the samples that it plans."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.estimates import detection_rate_curve, precision_curve
from scoring.intervals import wilson_effective
from scoring.planner import plan_judgments
from scoring.strata import Strata


def unjudged(sizes):
    return Strata.of(sizes, np.zeros(len(sizes)), np.zeros(len(sizes)))


def test_one_stratum_by_hand():
    # p = .5 of 1,000: n_eff = (n - 1) / (1 - n / 1000). Wilson's width at .5 is z / sqrt(n_eff +
    # z^2) = .2 where n_eff = 96.04 - 3.84 = 92.2: n = 93.2 / 1.0922 = 85.33, so 86.
    plan = plan_judgments(unjudged([1000]), [True], 0.2, guesses=[0.5])
    assert plan.more.tolist() == [86]
    expected = wilson_effective(0.5, 85 / (1 - 86 / 1000))
    assert plan.expected.width == pytest.approx(expected.width)
    assert plan.expected.width <= 0.2 < wilson_effective(0.5, 84 / (1 - 85 / 1000)).width


def test_judgments_already_made_are_not_made_again():
    strata = Strata.of([1000], [60], [30])
    plan = plan_judgments(strata, [True], 0.2, guesses=[0.5])
    assert plan.more.tolist() == [26]
    assert plan_judgments(Strata.of([1000], [200], [100]), [True], 0.2).n_more == 0


def test_strata_get_judgments_in_neymans_proportions_and_none_outside_the_set():
    # Weights 2000 * .5, 1000 * .3, 500 * .5 (outside): 10 to 3.
    plan = plan_judgments(
        unjudged([2000, 1000, 500]), [True, True, False], 0.1, guesses=[0.5, 0.1, 0.5]
    )
    assert plan.more[0] / plan.more[1] == pytest.approx(10 / 3, rel=0.03)
    assert plan.more[2] == 0


def test_a_small_stratum_gives_all_it_has():
    plan = plan_judgments(unjudged([20, 4000]), [True, True], 0.05, guesses=[0.5, 0.01])
    assert (plan.more <= [20, 4000]).all()
    plan = plan_judgments(unjudged([30, 40]), [True, True], 1e-6, guesses=[0.5, 0.5])
    assert plan.more.tolist() == [30, 40]
    assert plan.expected.census


@pytest.mark.parametrize(("n_unflagged", "width"), [(100, 0.42), (300, 0.27), (1000, 0.15)])
def test_the_detection_rate_of_a_published_design(n_unflagged, width):
    # 22,641 unflagged items with 2 % errors: the width of the full queue's detection rate, with
    # the flagged items of 15 bins well judged.
    sizes = np.r_[np.full(15, 152), 22_641]
    rates = np.r_[np.linspace(0.95, 0.35, 15), 0.02]
    strata = Strata.of(sizes, np.r_[np.full(15, 100), 0], np.r_[100 * rates[:15], 0])
    plan = plan_judgments(strata, np.arange(16) < 15, width, goal="detection_rate", guesses=rates)
    assert plan.more[:15].sum() < plan.more[15]
    assert plan.more[15] == pytest.approx(n_unflagged, rel=0.2)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(3, 300), st.floats(0, 1)), min_size=2, max_size=6),
    st.floats(0.02, 0.5),
    st.floats(0.02, 0.5),
    st.sampled_from(["precision", "detection_rate"]),
)
def test_a_narrower_target_never_asks_less_anywhere_nor_promises_more_width(
    columns, one, other, goal
):
    sizes, guesses = (np.array(column) for column in zip(*columns, strict=True))
    members = np.arange(sizes.size) < max(sizes.size // 2, 1)
    wide, narrow = (
        plan_judgments(unjudged(sizes), members, width, goal=goal, guesses=guesses)
        for width in (max(one, other), min(one, other))
    )
    assert (narrow.more >= wide.more).all()
    assert (narrow.more <= sizes).all()
    assert narrow.expected.width <= wide.expected.width + 1e-9
    assert narrow.expected.width <= min(one, other) + 1e-9


@pytest.mark.parametrize(("goal", "target"), [("precision", 0.08), ("detection_rate", 0.2)])
def test_samples_of_the_planned_size_have_the_planned_width(goal, target):
    rng = np.random.default_rng(0)
    sizes = np.r_[np.full(15, 152), 5000]
    errors = np.r_[np.round(152 * np.linspace(0.95, 0.35, 15)).astype(int), 100]
    members = np.arange(16) < 15
    plan = plan_judgments(
        unjudged(sizes), members, target, goal=goal, flagged=members, guesses=errors / sizes
    )
    widths = []
    for found in rng.hypergeometric(errors, sizes - errors, plan.more, (400, 16)):
        strata = Strata.of(sizes, plan.more, found)
        if goal == "precision":
            widths.append(precision_curve(strata, members[None])[0].precision.width)
        else:
            rate = detection_rate_curve(strata, members[None], members)[0]
            widths.append(rate.detection_rate.width)
    assert np.median(widths) == pytest.approx(target, rel=0.05)


@pytest.mark.parametrize(
    ("members", "width", "guesses"),
    [([True], 0.0, None), ([True, True], 0.1, None), ([False], 0.1, None), ([True], 0.1, [0.5, 1])],
)
def test_impossible_plans_are_refused(members, width, guesses):
    with pytest.raises(ValueError, match=r"width|members|holds no|guesses"):
        plan_judgments(unjudged([10]), members, width, guesses=guesses)
