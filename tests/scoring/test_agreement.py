"""Agreement of annotators: published examples, scikit-learn and crowd-kit, and invariants."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from scoring.agreement import (
    category_confusion,
    cohen_kappa,
    count_votes,
    dawid_skene,
    gwet_ac1,
    krippendorff_alpha,
    pairwise_kappas,
    raw_agreement,
    rogan_gladen,
)

NAN = np.nan
# Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability", section C: four observers,
# twelve units. Gwet (2014) uses the same table for AC1.
PUBLISHED = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
        [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
    ]
).T


def some_votes(seed, n_items=40, n_annotators=4, n_categories=3, missing=0.2):
    rng = np.random.default_rng(seed)
    truth = rng.integers(n_categories, size=n_items)
    votes = np.where(
        rng.random((n_items, n_annotators)) < 0.7,
        truth[:, None],
        rng.integers(n_categories, size=(n_items, n_annotators)),
    )
    votes[rng.random(votes.shape) < missing] = -1
    return votes


def test_the_published_example_of_krippendorffs_alpha_and_of_ac1():
    categories = PUBLISHED - 1
    assert krippendorff_alpha(categories) == pytest.approx(0.743, abs=5e-4)
    assert gwet_ac1(categories) == pytest.approx(0.77544, abs=5e-6)
    assert raw_agreement(categories) == pytest.approx(0.81818, abs=5e-6)


def test_agreement_and_coincidences_by_hand():
    # Item 1: 0 0 1, its pairs agree 1 in 3; item 2: 1 1; item 3 has one vote and counts nowhere.
    votes = [[0, 0, 1], [1, 1, -1], [0, -1, -1]]
    assert raw_agreement(votes) == pytest.approx((1 / 3 + 1) / 2)
    # Pairs of item 1 weigh 1/2: (0,0) 2, (0,1) 2, (1,0) 2; of item 2 weigh 1: (1,1) 2.
    np.testing.assert_allclose(category_confusion(votes), [[1, 1], [1, 2]])
    # Observed 2 of 5; expected (25 - 4 - 9) / 4 = 3.
    assert krippendorff_alpha(votes) == pytest.approx(1 - 2 / 3)


def test_alpha_is_one_less_observed_over_expected_disagreement_pair_by_pair():
    votes = some_votes(4)
    votes = votes[(votes >= 0).sum(axis=1) >= 2]
    values, observed = [], 0.0
    for everyone in votes:
        row = everyone[everyone >= 0]
        values += row.tolist()
        differ = sum(a != b for i, a in enumerate(row) for j, b in enumerate(row) if i != j)
        observed += differ / (len(row) - 1)
    n = len(values)
    expected = sum(a != b for i, a in enumerate(values) for j, b in enumerate(values) if i != j)
    alpha = 1 - (observed / n) / (expected / (n * (n - 1)))
    assert krippendorff_alpha(votes) == pytest.approx(alpha)


def test_ac1_holds_where_one_verdict_dominates_and_alpha_collapses():
    votes = np.zeros((100, 2), dtype=int)
    votes[0, 0] = votes[1, 1] = 1
    assert raw_agreement(votes) == pytest.approx(0.98)
    assert krippendorff_alpha(votes) < 0
    assert gwet_ac1(votes) > 0.97


@pytest.mark.parametrize("seed", range(5))
def test_kappa_agrees_with_scikit_learn(seed):
    votes = some_votes(seed)
    both = (votes[:, 0] >= 0) & (votes[:, 1] >= 0)
    expected = cohen_kappa_score(votes[both, 0], votes[both, 1])
    assert cohen_kappa(votes[:, 0], votes[:, 1]) == pytest.approx(expected)
    table = pairwise_kappas(votes)
    assert table[0, 1] == table[1, 0] == pytest.approx(expected)
    assert np.isnan(np.diag(table)).all()


def test_what_the_votes_leave_undefined_is_none():
    alone, unanimous = [[0, -1], [-1, 1]], [[2, 2], [2, 2]]
    for votes in (alone, np.empty((0, 2), dtype=int), [[-1, -1]]):
        assert raw_agreement(votes) is None
        assert krippendorff_alpha(votes) is None
        assert gwet_ac1(votes) is None
        assert np.isnan(pairwise_kappas(votes)).all()
    assert krippendorff_alpha(unanimous) is None
    assert cohen_kappa([2, 2], [2, 2]) is None
    assert gwet_ac1([[0, 0], [0, 0]]) == 1.0


@pytest.mark.parametrize("votes", [[0, 1], [[0, -2]], [[0.5, 1]], [["a", "b"]]])
def test_votes_that_are_no_categories_are_refused(votes):
    with pytest.raises(ValueError, match="votes must be"):
        raw_agreement(votes)


def test_more_categories_can_be_declared_than_are_used_but_not_fewer():
    assert count_votes([[0, 1]], 3).tolist() == [[1, 1, 0]]
    assert gwet_ac1([[0, 1], [0, 0]], 10) > gwet_ac1([[0, 1], [0, 0]])
    with pytest.raises(ValueError, match="category 1 of 1"):
        count_votes([[0, 1]], 1)


@given(seed=st.integers(0, 500))
def test_neither_order_nor_names_change_agreement(seed):
    votes = some_votes(seed)
    rng = np.random.default_rng(seed)
    moved = votes[rng.permutation(40)][:, rng.permutation(4)]
    names = np.append(rng.permutation(3), -1)
    for measure in (raw_agreement, krippendorff_alpha, gwet_ac1):
        assert measure(moved) == pytest.approx(measure(votes))
        assert measure(names[votes]) == pytest.approx(measure(np.append([0, 1, 2], -1)[votes]))


def test_dawid_skene_takes_the_same_steps_as_crowd_kit():
    votes = np.array(
        [
            [0, 0, 1, -1],
            [1, 1, 1, 0],
            [2, 2, 2, 2],
            [0, 1, 0, 0],
            [2, -1, 2, 1],
            [1, 1, 0, 1],
            [0, 0, 0, 2],
            [2, 2, 1, 2],
        ]
    )
    found = dawid_skene(votes, max_steps=5, tolerance=0)
    # crowdkit 1.4.1, DawidSkene(n_iter=5, tol=0).
    expected = np.eye(3)[[0, 1, 2, 0, 2, 1, 0, 2]]
    expected[0] = [0.999998, 0.000002, 0]
    expected[1] = [0.000039, 0.999961, 0]
    expected[3] = [0.8059, 0.1941, 0]
    np.testing.assert_allclose(found.posterior, expected, atol=6e-7)


def test_dawid_skene_recovers_truth_and_error_rates_of_simulated_annotators():
    rng = np.random.default_rng(7)
    truth = rng.choice(3, size=3000, p=[0.6, 0.3, 0.1])
    tables = np.array(
        [np.full((3, 3), (1 - right) / 2) + np.eye(3) * (1.5 * right - 0.5) for right in (0.9, 0.6)]
        + [np.eye(3)[[1, 1, 2]] * 0.4 + np.eye(3) * 0.6]  # takes 0 for 1 in 4 of 10 cases
    )
    cumulative = tables[:, truth].cumsum(axis=2)
    votes = (rng.random((3, 3000, 1)) > cumulative).sum(axis=2).T
    votes[rng.random(votes.shape) < 0.1] = -1
    found = dawid_skene(votes)
    assert found.converged
    assert (np.diff(found.log_likelihood) > -1e-6).all()
    np.testing.assert_allclose(found.prior, [0.6, 0.3, 0.1], atol=0.05)
    np.testing.assert_allclose(found.confusion, tables, atol=0.1)
    np.testing.assert_allclose(found.confusion.sum(axis=2), 1.0)
    voted = (votes >= 0).any(axis=1)
    assert np.isnan(found.posterior[~voted]).all()
    best = found.posterior[voted].argmax(axis=1) == truth[voted]
    majority = count_votes(votes)[voted].argmax(axis=1) == truth[voted]
    assert best.mean() > majority.mean() + 0.02


def test_a_pseudo_count_keeps_one_vote_from_making_a_perfect_annotator():
    votes = [[0, 0, 1], [1, 1, 1], [0, 0, -1]]
    hard, soft = dawid_skene(votes), dawid_skene(votes, pseudo_count=1.0)
    assert hard.confusion[0].max() == pytest.approx(1.0)
    assert soft.confusion.max() < 0.9
    with pytest.raises(ValueError, match="no vote"):
        dawid_skene([[-1, -1]])


def test_no_warning_escapes_when_an_annotator_never_meets_a_category():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = dawid_skene([[0, -1], [1, 1], [1, 1], [0, -1]])
    np.testing.assert_allclose(found.posterior[:, 1], [0, 1, 1, 0], atol=1e-9)
    assert np.isnan(found.confusion[1, 0]).all()


def test_rogan_gladen_by_hand():
    # (.4 + .95 - 1) / (.8 + .95 - 1) = .35 / .75.
    estimate = rogan_gladen(0.4, 1e9, 0.8, 1e9, 0.95, 1e9)
    assert estimate.estimate == pytest.approx(0.35 / 0.75)
    assert estimate.width < 1e-3
    cut = rogan_gladen(0.01, 100, 0.8, 50, 0.95, 50)
    assert (cut.estimate, cut.low) == (0.0, 0.0)
    assert 0 < cut.high < 0.3


def test_perfect_annotators_need_no_correction():
    # Known perfectly the interval is Agresti and Coull's, that of (300 + z^2 / 2) / (1000 + z^2).
    found = rogan_gladen(0.3, 1000, 1.0, 1e12, 1.0, 1e12)
    middle, n = (300 + 1.9207) / 1003.8415, 1003.8415
    half = 1.95996 * np.sqrt(middle * (1 - middle) / n)
    assert found.estimate == pytest.approx(0.3)
    np.testing.assert_allclose([found.low, found.high], [middle - half, middle + half], atol=1e-5)


def test_annotators_no_better_than_chance_tell_nothing():
    with pytest.raises(ValueError, match="tell nothing"):
        rogan_gladen(0.4, 100, 0.5, 50, 0.5, 50)
    with pytest.raises(ValueError, match="specificity must be a share"):
        rogan_gladen(0.4, 100, 0.5, 50, 0.5, 0)
    # Barely better, from a handful of gold items: anything is possible.
    barely = rogan_gladen(0.4, 100, 1.0, 1, 0.1, 10)
    assert (barely.low, barely.high) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("rate", "sensitivity", "specificity", "sizes"),
    [
        (0.3, 0.8, 0.95, (300, 50, 100)),
        (0.6, 0.7, 0.9, (400, 60, 60)),
        (0.9, 0.7, 0.9, (500, 30, 30)),
    ],
)
def test_corrected_rates_cover_the_truth(rate, sensitivity, specificity, sizes):
    rng = np.random.default_rng(3)
    seen = rate * sensitivity + (1 - rate) * (1 - specificity)
    draws = rng.binomial(sizes, [seen, sensitivity, specificity], size=(2000, 3)) / sizes
    found = [
        rogan_gladen(o, sizes[0], se, sizes[1], sp, sizes[2]) for o, se, sp in draws if se + sp > 1
    ]
    covered = np.mean([each.low <= rate <= each.high for each in found])
    assert 0.945 <= covered <= 0.98
