"""Routers: the learned one against scikit-learn, the oracle by enumeration, all side by side."""

import json
from itertools import product

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from scoring.calibration import Degenerate
from scoring.cascade import cascade_curve
from scoring.cascade_comparison import PairScores, compare_routers
from scoring.routers import (
    MatrixFactorizationRouter,
    _duels,
    _loss_and_gradient,
    oracle_levels,
    score_levels,
    small_model_features,
)


def rng(seed=0):
    return np.random.default_rng(seed)


def some_duels(n_items=2000, seed=1):
    """Features whose first column decides which of two models is right."""
    features = rng(seed).normal(size=(n_items, 3)) * [1.0, 5.0, 0.1] + 2.0
    draw = rng(seed + 1).random((2, n_items))
    large = draw[0] < expit(1.5 * (features[:, 0] - 2.0))
    return features, np.stack([draw[1] < 0.5, large])


def test_small_model_features_by_hand():
    # Probabilities 1/2, 1/4, 1/4: log odds 0, logs, entropy 1.5 ln 2, largest log less the mean.
    row = np.log([[0.25, 0.5, 0.25]])
    features = small_model_features(row)
    expected = [0, np.log(0.5), np.log(0.25), np.log(0.25), 1.5 * np.log(2), np.log(2) * 2 / 3]
    np.testing.assert_allclose(features, [expected], atol=1e-12)


def test_small_model_features_ignore_a_constant_and_the_order_of_the_classes():
    logits = rng().normal(size=(20, 100))
    features = small_model_features(logits)
    assert features.shape == (20, 8)
    np.testing.assert_allclose(small_model_features(logits + 7.0), features, atol=1e-9)
    np.testing.assert_allclose(small_model_features(logits[:, ::-1]), features, atol=1e-9)
    np.testing.assert_allclose(small_model_features(logits[:, :50]).shape, (20, 8))


def test_a_saturated_item_has_finite_features_and_an_unscored_one_has_none():
    logits = np.array([[1000.0, 0.0, 0.0], [np.nan, 0.0, 0.0]])
    features = small_model_features(logits, valid=np.array([True, False]))
    assert np.isfinite(features[0]).all()
    assert np.isnan(features[1]).all()


def test_between_two_models_the_router_is_a_logistic_regression():
    features, correct = some_duels()
    router = MatrixFactorizationRouter.fit(features, correct, penalty=1e-7, ties="drop", rng=rng())
    differs = correct[0] != correct[1]
    oracle = LogisticRegression(C=np.inf, tol=1e-8).fit(features[differs], correct[1][differs])
    np.testing.assert_allclose(
        router.predict(features), oracle.predict_proba(features)[:, 1], atol=5e-3
    )


def test_ties_as_half_wins_make_the_prediction_follow_the_expected_difference():
    # Where the feature is 1 the large model wins .4 and loses .1 of the items: (1 + .3) / 2.
    feature = np.repeat([0.0, 1.0], 100)[:, None]
    small = np.tile(np.repeat([True, False], 50), 2)
    large = small.copy()
    large[100:110] = False
    large[150:190] = True
    router = MatrixFactorizationRouter.fit(
        feature, np.stack([small, large]), penalty=1e-8, rng=rng()
    )
    np.testing.assert_allclose(router.predict([[0.0], [1.0]]), [0.5, 0.65], atol=2e-3)


def test_three_models_share_their_factors():
    features, correct = some_duels()
    third = rng(9).random(len(features)) < 0.9
    router = MatrixFactorizationRouter.fit(
        features, np.stack([correct[0], third, correct[1]]), rank=2, rng=rng()
    )
    assert router.predict(features, 1, 0).mean() > 0.6
    np.testing.assert_allclose(
        router.predict(features, 1, 0), 1 - router.predict(features, 0, 1), atol=1e-12
    )


@pytest.mark.parametrize("ties", ["half", "drop"])
def test_the_gradient_is_the_slope_of_the_loss(ties):
    features, correct = some_duels(n_items=50)
    correct = np.stack([*correct, correct[0] ^ correct[1]])
    shapes = [(2, 3), (2,), (3, 2)]
    point = rng().normal(size=14)
    arguments = (features, _duels(correct, ties), shapes, 0.1)
    numeric = approx_fprime(point, lambda x: _loss_and_gradient(x, *arguments)[0], 1e-7)
    np.testing.assert_allclose(_loss_and_gradient(point, *arguments)[1], numeric, atol=1e-5)


def test_a_stored_router_predicts_alike_and_the_same_seed_gives_the_same_router():
    features, correct = some_duels(n_items=200)
    router = MatrixFactorizationRouter.fit(features, correct, rng=rng())
    assert router == MatrixFactorizationRouter.fit(features, correct, rng=rng())
    stored = json.loads(json.dumps(router.to_json()))
    assert MatrixFactorizationRouter.from_json(stored) == router
    with pytest.raises(ValueError, match="not a stored"):
        MatrixFactorizationRouter.from_json({"kind": "temperature"})


def test_nothing_can_be_learned_from_models_that_agree_or_from_too_few_items():
    features, correct = some_duels(n_items=100)
    for ties in ("half", "drop"):
        with pytest.raises(Degenerate, match="no_signal"):
            MatrixFactorizationRouter.fit(
                features, np.stack([correct[0]] * 2), ties=ties, rng=rng()
            )
    with pytest.raises(Degenerate, match="too_few"):
        MatrixFactorizationRouter.fit(features[:20], correct[:, :20], rng=rng())


def test_levels_are_cut_on_the_validation_half():
    levels, n_levels = score_levels([0.1, 0.2, 0.3, 0.4], [0.0, 0.25, 0.3, 9.0], 2)
    assert (levels.tolist(), n_levels) == ([0, 0, 1, 1], 2)


def test_no_assignment_of_items_beats_the_oracle():
    small = np.array([True, True, False, False, True])
    large = np.array([True, False, True, False, False])
    curve = cascade_curve(oracle_levels(small, large), small, large, 3)
    for choice in product([False, True], repeat=5):
        ratio, accuracy = np.mean(choice), np.where(choice, small, large).mean()
        best = np.interp(ratio, curve.small_ratio, curve.accuracy)
        assert accuracy <= best + 1e-12


def make_pair(n_items, seed):
    """Two calibrated models; the large one is better, most where the small one is unsure."""
    draw = rng(seed)
    small, large = draw.uniform(0.3, 1.0, n_items), draw.uniform(0.8, 1.0, n_items)
    correct = draw.random(n_items) < small, draw.random(n_items) < large
    return PairScores.of((small, large), (small**0.5, large), correct)


def test_all_routers_are_measured_on_the_test_half_between_the_same_ends():
    validation, test = make_pair(3000, 5), make_pair(3000, 6)
    found = compare_routers(validation, test, rng=rng())
    assert set(found.curves) == set(found.apgr) == {"CC", "UC", "RC", "MF", "oracle"}
    for curve in found.curves.values():
        ends = (curve.accuracy[-1], curve.accuracy[0])
        np.testing.assert_allclose(ends, found.accuracy)
    apgrs = {name: each.estimate for name, each in found.apgr.items()}
    assert apgrs["RC"] == 0.5
    assert 0.6 < apgrs["CC"] < apgrs["oracle"]
    assert apgrs["MF"] > 0.6
    assert found.best.accuracy >= found.accuracy[1] - 0.01
    assert found.cascade.n_bins == 15
    assert not found.skipped


def test_the_routing_table_knows_nothing_of_the_test_half():
    validation, test = make_pair(500, 5), make_pair(500, 6)
    found = compare_routers(validation, test, rng=rng())
    other = compare_routers(
        validation, test.with_outcomes(test.large_correct, test.small_correct), rng=rng()
    )
    assert found.cascade == other.cascade
    assert "worse" in other.apgr["CC"].undefined
    assert other.apgr["RC"].estimate is None


def test_the_order_of_the_items_changes_nothing():
    validation, test = make_pair(400, 5), make_pair(400, 6)
    keys, order = np.arange(400), rng().permutation(400)
    found = compare_routers(validation, test, keys=keys, rng=rng())
    other = compare_routers(validation.select(order), test, keys=keys[order], rng=rng())
    assert found.best == other.best
    np.testing.assert_allclose(found.curves["CC"].accuracy, other.curves["CC"].accuracy)


def test_a_router_that_cannot_be_learned_is_left_out_with_its_reason():
    test = make_pair(400, 6)
    validation = make_pair(400, 5)
    alike = validation.with_outcomes(validation.small_correct, validation.small_correct)
    found = compare_routers(alike, test, rng=rng())
    assert "MF" not in found.curves
    assert "no_signal" in found.skipped["MF"]
