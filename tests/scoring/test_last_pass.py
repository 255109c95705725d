"""The fit's last pass: what it says about a temperature near the one it read at."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring import arrays
from scoring.calibration import TemperatureScaler
from scoring.confidence import score_items
from scoring.expert_calibration import calibrate_expert
from scoring.last_pass import LastPass, move_readings
from scoring.readings import read_items
from scoring.temperature import LabelledRows
from tests.scoring.rows import CountingRows

N_ITEMS = 60_000


def sample(n_items=N_ITEMS, sharper_b=1.0, spread=3.0):
    """Return float32 logits of 20 classes, labels drawn at temperature 1.4, and half A."""
    rng = np.random.default_rng(3)
    logits = (rng.standard_normal((n_items, 20)) * spread).astype(np.float32)
    half_a = rng.random(n_items) < 0.5
    labels = (logits / 1.4 + rng.gumbel(size=logits.shape)).argmax(axis=1)
    logits[~half_a] *= sharper_b
    return logits, labels, half_a


def test_with_two_classes_the_mass_moves_exactly():
    # The other class lies 2 and 6 below; its mass at temperature T is exp(-2 / T), exp(-6 / T).
    logits = np.array([[2.0, 0.0], [1.0, 7.0]], dtype=np.float32)
    at_two = [np.full(2, 2.0), 1.0]
    readings = read_items(logits, np.array([0, 0]), np.ones(2, bool), at_two, with_spread=True)
    np.testing.assert_allclose(readings.spread.mean, [-1, -3], rtol=1e-6)
    np.testing.assert_allclose(readings.spread.variance, 0, atol=1e-6)
    moved = move_readings(readings, [np.array([1.95, 2.05])])
    np.testing.assert_allclose(moved.other_masses[0], np.exp([-2 / 1.95, -6 / 2.05]), rtol=1e-6)
    np.testing.assert_array_equal(moved.other_masses[1], readings.other_masses[1])


@settings(max_examples=30, deadline=None)
@given(st.floats(0.97, 1.03), st.floats(0.3, 4))
def test_moved_readings_are_those_at_the_other_temperature(step, temperature):
    logits, labels, _ = sample(500)
    everything = np.ones(500, bool)
    near = read_items(logits, labels, everything, [temperature, 1.0], with_spread=True)
    target = np.full(500, temperature * step)
    moved = move_readings(near, [target])
    exact = read_items(logits, labels, everything, [target])
    np.testing.assert_allclose(moved.other_masses[0], exact.other_masses[0], rtol=5e-5)


def test_readings_are_not_moved_far():
    logits, labels, _ = sample(500)
    readings = read_items(logits, labels, np.ones(500, bool), [1.0], with_spread=True)
    assert move_readings(readings, [np.full(500, 1.2)]) is None


def test_the_derivatives_off_the_temperature_that_was_read_are_those_of_a_reading_there():
    logits, labels, half_a = sample(4000)
    every = np.ones(4000, bool)
    rows = LabelledRows(logits, labels, np.where(half_a, 0, 1).astype(np.int8))
    moved, exact = (LastPass(rows, every) for _ in range(2))
    moved({0: 0.70, 1: 0.70})
    here, there = moved({0: 0.71, 1: 0.69}), exact({0: 0.71, 1: 0.71})
    assert here[0].first == pytest.approx(there[0].first, abs=1e-6)
    assert here[0].second == pytest.approx(there[0].second, rel=3e-4)
    assert here[0].n_top == there[0].n_top


@pytest.mark.parametrize("sharper_b", [1.0, 2.0])
@pytest.mark.parametrize("chunk", [200, 20_000])
def test_the_shared_pass_gives_the_temperatures_and_scores_of_separate_ones(
    monkeypatch, sharper_b, chunk
):
    # Small chunks make many, of which a few are enough for the first step.
    monkeypatch.setattr(arrays, "CHUNK_ELEMENTS", 20 * chunk)
    logits, labels, half_a = sample(sharper_b=sharper_b)
    fitted = calibrate_expert(logits, labels, half_a)
    for half, found in ((half_a, fitted.calibrator_a), (~half_a, fitted.calibrator_b)):
        alone = TemperatureScaler.fit(logits[half].astype(np.float64), labels[half])
        assert found.temperature == pytest.approx(alone.temperature, abs=2e-6)
    expected = score_items(logits, labels, fitted.temperature)
    for name in ("confidence", "given_probability", "raw_confidence"):
        np.testing.assert_allclose(
            getattr(fitted.scored, name), getattr(expected, name), rtol=1e-5, atol=1e-7
        )
    own = read_items(logits, labels, None, [fitted.calibrator_a.temperature])
    assert fitted.nll["a_after"] == pytest.approx(own.nll(0, half_a).mean(), rel=1e-7)


def test_every_class_that_is_likely_at_the_final_temperature_is_listed():
    logits, labels, half_a = sample(spread=6.0)
    scored = calibrate_expert(logits, labels, half_a).scored
    dense = np.exp(logits.astype(float) / scored.temperature[:, None])
    dense /= dense.sum(axis=1, keepdims=True)
    dense[np.arange(N_ITEMS), scored.top1] = 0
    listed = np.zeros(dense.shape, dtype=bool)
    listed[scored.likely.items, scored.likely.classes] = True
    assert listed[dense >= 0.02].all()
    assert not listed[dense < 0.0199].any()
    gaps = (
        logits[scored.likely.items, scored.likely.classes] - logits.max(axis=1)[scored.likely.items]
    )
    np.testing.assert_array_equal(scored.likely.distances, gaps)


@pytest.mark.parametrize("stored", [np.float16, np.float32])
def test_b101_rows_that_turn_out_broken_on_the_way_count_nowhere(stored):
    logits, labels, half_a = sample()
    logits = logits.astype(stored)
    broken = np.random.default_rng(0).random(N_ITEMS) < 0.02
    logits[broken, 3], logits[broken, 4] = np.nan, -np.inf
    found = calibrate_expert(logits, labels, half_a)
    expected = calibrate_expert(logits, labels, half_a, valid=~broken)
    assert found.n_scored == expected.n_scored == (~broken).sum()
    np.testing.assert_array_equal(found.scored.valid, ~broken)
    assert found.parameters["a"]["temperature"] == pytest.approx(
        expected.parameters["a"]["temperature"], abs=2e-6
    )
    assert found.ece == pytest.approx(expected.ece, abs=1e-6)
    # Labels that only broken rows have don't make a half one that can be fitted.
    same = np.where(broken, labels, 5)
    refusal = calibrate_expert(logits, same, half_a).degenerate
    assert refusal == calibrate_expert(logits, same, half_a, valid=~broken).degenerate
    assert refusal.reason == "single_label"


@pytest.mark.parametrize(
    ("sharper_b", "passes"),
    # Scores by the other half's temperature have to be read where that is far away.
    [(1.0, 1.4), (1.01, 1.4), (2.0, 2.4)],
)
def test_many_rows_are_read_once_and_a_part_of_them_again(sharper_b, passes):
    logits, labels, half_a = sample(200_000, sharper_b=sharper_b)
    rows = CountingRows(np.tile(logits, 3))
    assert calibrate_expert(rows, labels, half_a).degenerate is None
    assert rows.n_read < passes * 200_000
