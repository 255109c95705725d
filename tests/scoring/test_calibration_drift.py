"""Drift between halves: the size of the test by simulation, and by resampling; gaps by hand."""

import numpy as np
import pytest

from scoring.calibration import TemperatureScaler
from scoring.calibration_drift import temperature_drift
from scoring.class_calibration import class_gaps
from scoring.intervals import wilson


def draw(rng, n_items, temperatures):
    """Logits whose labels follow their softmax at the temperature of the item's half."""
    half_a = np.arange(n_items) % 2 == 0
    logits = 3 * rng.normal(size=(n_items, 4))
    scaled = logits / np.where(half_a, *temperatures)[:, None]
    noise = rng.gumbel(size=scaled.shape)
    return logits, (scaled + noise).argmax(axis=1), half_a


def fit(logits, labels, half_a):
    both = [
        TemperatureScaler.fit(logits[half], labels[half]).temperature for half in (half_a, ~half_a)
    ]
    return temperature_drift(logits, labels, half_a, tuple(both))


def test_halves_alike_are_told_apart_in_5_of_100_sets_and_others_nearly_always():
    rng = np.random.default_rng(0)
    alike = [fit(*draw(rng, 600, (1.5, 1.5))) for _ in range(300)]
    assert 0.02 <= np.mean([each.p_value < 0.05 for each in alike]) <= 0.09
    holds = [
        each.a.low <= 1.5 <= each.a.high and each.b.low <= 1.5 <= each.b.high for each in alike
    ]
    assert np.mean(holds) >= 0.85
    apart = [fit(*draw(rng, 600, (1.0, 2.0))) for _ in range(30)]
    assert np.mean([each.p_value < 0.05 for each in apart]) > 0.9
    assert all(each.ratio.high < 1 for each in apart if each.p_value < 0.05)


def test_the_error_is_that_of_fitting_resampled_items():
    rng = np.random.default_rng(5)
    logits, labels, half_a = draw(rng, 1000, (1.4, 1.4))
    found = fit(logits, labels, half_a)
    logs = []
    places = np.flatnonzero(half_a)
    for _ in range(300):
        drawn = rng.choice(places, places.size)
        logs.append(np.log(TemperatureScaler.fit(logits[drawn], labels[drawn]).temperature))
    error = np.log(found.a.high / found.a.low) / (2 * 1.96)
    assert error == pytest.approx(np.std(logs), rel=0.2)


def test_rows_without_scores_take_no_part_and_logits_in_other_units_change_nothing():
    logits, labels, half_a = draw(np.random.default_rng(1), 400, (1.2, 1.6))
    found = fit(logits, labels, half_a)
    more = np.vstack([logits, [[np.nan] * 4]])
    temperatures = found.a.estimate, found.b.estimate
    same = temperature_drift(more, np.append(labels, 0), np.append(half_a, True), temperatures)
    assert same == found
    scaled = fit(logits * 2, labels, half_a)
    assert scaled.p_value == pytest.approx(found.p_value, rel=1e-4)
    assert scaled.a.estimate == pytest.approx(2 * found.a.estimate)


def test_class_gaps_by_hand():
    found = class_gaps([0, 0, 2, 2, 2], [0.9, 0.7, 0.5, 0.6, 0.7], np.array([1, 0, 1, 1, 1]) == 1)
    assert found.index.tolist() == [0, 2]
    assert found.count.tolist() == [2, 3]
    np.testing.assert_allclose(found.gap, [0.8 - 0.5, 0.6 - 1.0])
    for row, (right, n, mean) in enumerate([(1, 2, 0.8), (3, 3, 0.6)]):
        limits = wilson(right, n)
        assert found.low[row] == pytest.approx(mean - limits.high)
        assert found.high[row] == pytest.approx(mean - limits.low)
    assert found.sure_gap[0] == 0.0


def test_the_classes_make_up_the_whole_and_order_changes_nothing():
    rng = np.random.default_rng(2)
    groups, sure = rng.integers(20, size=2000), rng.random(2000)
    right = rng.random(2000) < sure
    found = class_gaps(groups, sure, right)
    assert np.average(found.gap, weights=found.count) == pytest.approx(sure.mean() - right.mean())
    order = rng.permutation(2000)
    np.testing.assert_allclose(class_gaps(groups[order], sure[order], right[order]).gap, found.gap)


def test_limits_of_a_calibrated_expert_miss_zero_about_as_often_as_they_say():
    rng = np.random.default_rng(3)
    groups, sure = rng.integers(500, size=30_000), rng.uniform(0.3, 0.95, 30_000)
    found = class_gaps(groups, sure, rng.random(30_000) < sure)
    assert 0.01 <= np.mean(found.sure_gap != 0) <= 0.08
