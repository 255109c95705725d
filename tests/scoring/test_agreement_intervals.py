"""Intervals of agreement coefficients: hand-made cases, the plain bootstrap, and coverage."""

from __future__ import annotations

import numpy as np
import pytest

from scoring.agreement import cohen_kappa, gwet_ac1, krippendorff_alpha, raw_agreement
from scoring.agreement_intervals import agreement_intervals, kappa_interval


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def make_votes(n_items: int, seed: int, error: float = 0.1, prior: float = 0.3) -> np.ndarray:
    """Three annotators who err alike on binary items; a tenth of the votes is missing."""
    draw = rng(seed)
    truth = draw.random(n_items) < prior
    votes = (truth[:, None] ^ (draw.random((n_items, 3)) < error)).astype(int)
    votes[draw.random((n_items, 3)) < 0.1] = -1
    return votes


def test_the_estimates_are_those_of_the_coefficients_and_lie_between_their_limits():
    votes = make_votes(80, 1)
    found = agreement_intervals(votes, 2, rng=rng())
    assert found.raw.estimate == raw_agreement(votes)
    assert found.krippendorff_alpha.estimate == krippendorff_alpha(votes)
    assert found.gwet_ac1.estimate == gwet_ac1(votes, 2)
    for one in (found.raw, found.krippendorff_alpha, found.gwet_ac1):
        assert one.low < one.estimate < one.high <= 1


def test_the_limits_are_those_of_resampling_items_one_by_one():
    votes = make_votes(60, 2)
    draw = rng(5)
    values = []
    for _ in range(600):
        again = votes[draw.integers(0, 60, 60)]
        values.append((krippendorff_alpha(again), gwet_ac1(again, 2)))
    plain = np.quantile(np.array(values), [0.025, 0.975], axis=0)
    found = agreement_intervals(votes, 2, rng=rng())
    for column, one in enumerate((found.krippendorff_alpha, found.gwet_ac1)):
        assert [one.low, one.high] == pytest.approx(plain[:, column], abs=0.03)


@pytest.mark.parametrize("coefficient", ["krippendorff_alpha", "gwet_ac1"])
def test_the_intervals_hold_about_as_often_as_they_say(coefficient):
    truth = getattr(agreement_intervals(make_votes(200_000, 3), 2, rng=rng()), coefficient).estimate
    held = 0
    for seed in range(200):
        found = agreement_intervals(make_votes(100, 1000 + seed), 2, rng=rng(seed))
        one = getattr(found, coefficient)
        held += one.low <= truth <= one.high
    assert held >= 0.89 * 200


def test_votes_that_never_differ_leave_room_for_what_was_not_seen():
    votes = np.array([[0, 0]] * 12 + [[1, 1]] * 4)
    found = agreement_intervals(votes, 2, rng=rng())
    # Wilson's lower limit of 16 of 16 is .8064; chance is .375 (Gwet), 144 of 240 pairs (alpha)...
    assert found.raw.low == pytest.approx(0.8064, abs=1e-4)
    assert found.gwet_ac1.low == pytest.approx((0.8064 - 0.375) / 0.625, abs=1e-3)
    same = (24 * 23 + 8 * 7) / (32 * 31)
    assert found.krippendorff_alpha.low == pytest.approx((0.8064 - same) / (1 - same), abs=1e-3)
    assert kappa_interval(votes[:, 0], votes[:, 1], rng=rng()).low < 0.6


@pytest.mark.parametrize("votes", [np.zeros((0, 2), int), np.array([[0], [1]]), [[0, -1], [-1, 1]]])
def test_without_two_votes_on_an_item_there_is_no_estimate(votes):
    found = agreement_intervals(votes, 2, rng=rng())
    assert found.n_items == 0
    assert (found.raw.estimate, found.krippendorff_alpha.estimate) == (None, None)


def test_of_few_items_nothing_is_promised():
    votes = np.array([[0, 0], [0, 1], [0, 0]])
    assert cohen_kappa(votes[:, 0], votes[:, 1]) == 0
    one = kappa_interval(votes[:, 0], votes[:, 1], rng=rng())
    assert (one.low, one.high) == (-1, 1)
    found = agreement_intervals(votes, 2, rng=rng())
    assert (found.gwet_ac1.low, found.gwet_ac1.high) == (-1, 1)
    assert found.raw.low == pytest.approx(0.2077, abs=1e-3)  # Wilson, two of three


def test_kappa_of_a_pair_with_its_limits():
    votes = make_votes(150, 4)
    one = kappa_interval(votes[:, 0], votes[:, 1], rng=rng())
    assert one.estimate == cohen_kappa(votes[:, 0], votes[:, 1])
    assert one.low < one.estimate < one.high
    assert 0.1 < one.high - one.low < 0.5
    assert kappa_interval([0, 0], [0, 0], rng=rng()).estimate is None
