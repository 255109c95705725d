"""Calibrators: planted temperatures, scikit-learn's answers, refusals, and JSON."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, softmax
from sklearn.calibration import _TemperatureScaling
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from scoring.calibration import (
    Degenerate,
    HistogramBinner,
    IsotonicCalibrator,
    PlattScaler,
    TemperatureScaler,
    VectorScaler,
    calibrator_from_json,
)
from tests.scoring.rows import CountingRows


def sample(temperature=1.0, n_items=2000, n_classes=5, seed=0):
    """Draw logits and labels for which ``temperature`` is the right one."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n_items, n_classes)) * 2
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    return logits * temperature, labels


def test_worked_example_of_two_classes():
    # Margin 2 in every row and the upper class right in 3 of 4: sigmoid(2 / T) = 3 / 4.
    logits = np.tile([[0.0, 2.0], [2.0, 0.0]], (20, 1))
    labels = np.tile([1, 0, 1, 0, 1, 0, 0, 1], 5)
    fitted = TemperatureScaler.fit(logits, labels)
    assert fitted.temperature == pytest.approx(2 / np.log(3), abs=1e-9)
    np.testing.assert_allclose(fitted.apply([[0.0, 2.0]]), [[0.25, 0.75]], atol=1e-9)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0, 2.5, 12.0])
@pytest.mark.parametrize("n_items", [300, 30_000])
def test_temperature_agrees_with_scikit_learn(temperature, n_items):
    logits, labels = sample(temperature, n_items)
    expected = 1 / _TemperatureScaling().fit(logits, labels.astype(np.float64)).beta_
    single = logits.astype(np.float32)
    assert TemperatureScaler.fit(logits, labels).temperature == pytest.approx(expected, abs=1e-5)
    assert TemperatureScaler.fit(single, labels).temperature == pytest.approx(expected, abs=1e-5)


def test_float16_logits_give_the_fit_of_the_same_numbers_in_float32():
    logits, labels = sample(1.7)
    half = logits.astype(np.float16)
    assert TemperatureScaler.fit(half, labels) == TemperatureScaler.fit(
        half.astype(np.float32), labels
    )


def test_b101_a_row_with_nan_counts_as_absent():
    logits, labels = sample(1.7)
    broken = logits.copy()
    broken[::10, 3] = np.nan
    kept = np.arange(len(logits)) % 10 != 0
    expected = TemperatureScaler.fit(logits[kept], labels[kept])
    assert TemperatureScaler.fit(broken, labels).temperature == pytest.approx(
        expected.temperature, rel=1e-12
    )
    masked = TemperatureScaler.fit(logits, labels, valid=kept)
    assert masked.temperature == pytest.approx(expected.temperature, rel=1e-12)
    with pytest.raises(ValueError, match="rows marked as valid contain NaN"):
        TemperatureScaler.fit(broken, labels, valid=np.ones(len(logits), dtype=bool))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), scale=st.floats(0.5, 4), shift=st.floats(-20, 20))
def test_scaling_logits_scales_the_temperature_and_shifting_changes_nothing(seed, scale, shift):
    logits, labels = sample(1.0, 400, 4, seed)
    fitted = TemperatureScaler.fit(logits, labels)
    scaled = TemperatureScaler.fit(logits * scale + shift, labels)
    assert scaled.temperature == pytest.approx(fitted.temperature * scale, rel=1e-7)
    np.testing.assert_allclose(
        scaled.apply(logits * scale + shift), fitted.apply(logits), atol=1e-7
    )
    np.testing.assert_array_equal(fitted.apply(logits).argmax(axis=1), logits.argmax(axis=1))


@pytest.mark.parametrize(
    ("dtype", "n_classes", "tolerance"),
    [
        (np.float64, 5, 1e-9),
        (np.float32, 5, 1e-9),
        (np.float16, 5, 1e-9),
        (np.float64, 400, 1e-9),
        # Here the first guess comes from a sample, and float32 arithmetic remembers where it began.
        (np.float32, 400, 1e-8),
    ],
)
def test_b119_the_order_of_the_items_does_not_matter(dtype, n_classes, tolerance):
    logits, labels = sample(1.4, 30_000, n_classes)
    logits = logits.astype(dtype)
    order = np.random.default_rng(1).permutation(len(labels))
    shuffled = TemperatureScaler.fit(logits[order], labels[order]).temperature
    fitted = TemperatureScaler.fit(logits, labels).temperature
    assert shuffled == pytest.approx(fitted, abs=tolerance)


def test_a_large_fit_reads_the_logits_twice_and_a_little():
    logits, labels = sample(1.4, 60_000, 200)
    rows = CountingRows(logits.astype(np.float16))
    TemperatureScaler.fit(rows, labels, valid=np.ones(60_000, dtype=bool))
    assert rows.n_read <= 2.1 * 60_000


def one_hot(labels, n_classes):
    return np.eye(n_classes)[labels] * 3.0


LABELS = np.arange(120) % 4
NOISE = np.random.default_rng(0).normal(size=(120, 4))


@pytest.mark.parametrize(
    ("logits", "labels", "reason"),
    [
        (np.empty((0, 4)), LABELS[:0], "empty_split"),
        (np.full((120, 4), np.nan), LABELS, "empty_split"),
        (NOISE[:1], LABELS[:1], "too_few"),
        (NOISE[:29], LABELS[:29], "too_few"),
        (NOISE, LABELS * 0, "single_label"),
        (np.zeros((120, 4)), LABELS, "no_signal"),
        (one_hot(LABELS, 4), LABELS, "separable"),
        (one_hot(LABELS, 4) * 1000, LABELS, "separable"),
        (-one_hot(LABELS, 4) + NOISE, LABELS, "worse_than_chance"),
    ],
)
def test_b103_b104_b114_b115_b116_b117_b118_data_without_a_temperature_is_refused_with_its_reason(
    logits, labels, reason
):
    with pytest.raises(Degenerate) as refusal:
        TemperatureScaler.fit(logits, labels)
    assert refusal.value.reason == reason
    assert refusal.value.detail


@pytest.mark.parametrize("temperature", [0.01, 200.0])
@pytest.mark.parametrize("n_items", [500, 20_000])
def test_b115_a_minimum_outside_the_bounds_is_refused_not_clipped(temperature, n_items):
    with pytest.raises(Degenerate) as refusal:
        TemperatureScaler.fit(*sample(temperature, n_items))
    assert refusal.value.reason == "at_bound"


def test_b111_huge_logits_stay_finite():
    logits, _ = sample(1.0)
    probabilities = TemperatureScaler(1.0).apply(logits * 1e30)
    assert np.isfinite(probabilities).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)


def test_apply_is_softmax_of_the_divided_logits():
    logits, _ = sample()
    np.testing.assert_allclose(
        TemperatureScaler(1.3).apply(logits), softmax(logits / 1.3, axis=1), rtol=1e-12
    )


def test_platt_worked_example():
    # Score 0 is right in 1 of 4, score 1 in 3 of 4: the two log odds give line and intercept.
    scores = np.repeat([0.0, 1.0], 20)
    correct = np.r_[np.arange(20) % 4 == 0, np.arange(20) % 4 != 0]
    fitted = PlattScaler.fit(scores, correct)
    assert fitted.intercept == pytest.approx(-np.log(3))
    assert fitted.slope == pytest.approx(2 * np.log(3))
    np.testing.assert_allclose(fitted.apply([0.0, 1.0]), [0.25, 0.75])


def test_platt_agrees_with_scikit_learn():
    rng = np.random.default_rng(3)
    scores = rng.normal(20, 5, 3000)
    correct = rng.random(3000) < expit((scores - 18) * 0.4)
    model = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000, solver="newton-cholesky")
    model.fit(scores[:, None], correct)
    fitted = PlattScaler.fit(np.append(scores, np.nan), np.append(correct, True))
    assert fitted.slope == pytest.approx(model.coef_[0, 0], rel=1e-6)
    assert fitted.intercept == pytest.approx(model.intercept_[0], rel=1e-6)


def test_b121_a_score_that_all_but_separates_is_refused_not_given_a_huge_slope():
    scores = np.arange(60.0)
    correct = scores >= 30
    correct[[29, 30]] = correct[[30, 29]]
    assert PlattScaler.fit(scores, correct).slope < 5
    scores[29] = scores[30] + 1e-9
    scores[30:] += 1e6
    scores[29] += 1e6
    with pytest.raises(Degenerate, match=r"at_bound|separable"):
        PlattScaler.fit(scores, scores > 1e6 + 30 + 1e-10)


def test_platt_confidences_are_precise_and_finite_however_extreme_the_score():
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        confidence = PlattScaler(1.0, 0.0).apply([-700.0, -40.0, 0.0, 800.0])
    np.testing.assert_allclose(confidence, expit([-700.0, -40.0, 0.0, 800.0]), rtol=1e-14)


@pytest.mark.parametrize(
    ("scores", "correct", "reason"),
    [
        ([], [], "empty_split"),
        (np.arange(29.0), np.arange(29) % 2, "too_few"),
        (np.arange(40.0), np.ones(40), "single_label"),
        (np.arange(40.0), np.zeros(40), "single_label"),
        (np.ones(40), np.arange(40) % 2, "no_signal"),
        (np.arange(40.0), np.arange(40) >= 13, "separable"),
        (np.arange(40.0), np.arange(40) < 13, "separable"),
    ],
)
def test_b121_data_that_supports_no_platt_line_is_refused(scores, correct, reason):
    with pytest.raises(Degenerate) as refusal:
        PlattScaler.fit(scores, correct)
    assert refusal.value.reason == reason


def test_histogram_binning_gives_each_bin_its_accuracy():
    confidence = np.arange(40) / 40
    correct = np.arange(40) % 4 == 0
    correct[20:] = True
    fitted = HistogramBinner.fit(confidence, correct, n_bins=2)
    assert fitted == HistogramBinner(edges=(0.5,), accuracies=(0.25, 1.0))
    assert fitted.apply([0.0, 0.49, 0.5, 1.0]).tolist() == [0.25, 0.25, 1.0, 1.0]


def test_histogram_binning_gives_equal_confidences_one_value():
    confidence = np.r_[np.full(35, 0.5), np.full(5, 1.0)]
    correct = np.r_[np.arange(35) % 5 == 0, np.ones(5)]
    fitted = HistogramBinner.fit(confidence, correct, n_bins=10)
    assert fitted == HistogramBinner(edges=(1.0,), accuracies=(0.2, 1.0))
    with pytest.raises(Degenerate, match="too_few"):
        HistogramBinner.fit(confidence[:29], correct[:29])


@pytest.mark.parametrize(
    "calibrator",
    [
        TemperatureScaler(1.2345678901234567),
        PlattScaler(0.1, -3.25),
        HistogramBinner((0.25, 0.5), (0.1, 0.2, 1.0)),
        IsotonicCalibrator((0.25, 0.5), (0.1, 0.2)),
        VectorScaler((1.0, 0.7), (0.0, -0.1)),
    ],
)
def test_calibrators_survive_json(calibrator):
    stored = json.loads(json.dumps(calibrator.to_json(), allow_nan=False))
    assert calibrator_from_json(stored) == calibrator
    assert {"kind": stored["kind"], **calibrator.parameters} == calibrator.to_json()


@pytest.mark.parametrize(
    "stored",
    [
        {"kind": "temperature", "temperature": 0},
        {"kind": "temperature", "temperature": -1},
        {"kind": "temperature", "temperature": float("nan")},
        {"kind": "temperature", "temperature": float("inf")},
        {"kind": "platt", "slope": float("nan"), "intercept": 0},
        {"kind": "histogram", "edges": [0.5], "accuracies": [0.5]},
        {"kind": "histogram", "edges": [0.5, 0.5], "accuracies": [0.5, 0.5, 0.5]},
        {"kind": "histogram", "edges": [], "accuracies": [1.5]},
        {"kind": "isotonic", "thresholds": [0.5, 0.2], "confidences": [0.1, 0.2]},
        {"kind": "isotonic", "thresholds": [0.2, 0.5], "confidences": [0.3, 0.2]},
        {"kind": "isotonic", "thresholds": [], "confidences": []},
        {"kind": "vector", "scales": [1.0], "offsets": [0.0]},
        {"kind": "vector", "scales": [1.0, float("inf")], "offsets": [0.0, 0.0]},
        {"kind": "oracle"},
        {},
    ],
)
def test_b123_a_tampered_calibrator_is_refused(stored):
    with pytest.raises(ValueError, match=r"must|not a stored|do not fit"):
        calibrator_from_json(stored)


def test_isotonic_worked_example_pools_what_falls():
    confidence = np.repeat([0.2, 0.4, 0.6, 0.8], 10)
    correct = np.concatenate([np.arange(10) < n_right for n_right in (1, 6, 4, 9)])
    fitted = IsotonicCalibrator.fit(confidence, correct)
    np.testing.assert_allclose(
        fitted.apply([0.0, 0.2, 0.4, 0.6, 0.8, 1.0]), [0.1, 0.1, 0.5, 0.5, 0.9, 0.9]
    )
    assert fitted.apply([0.7])[0] == pytest.approx(0.7)


def test_isotonic_agrees_with_scikit_learn_and_survives_ties():
    rng = np.random.default_rng(0)
    confidence = np.round(rng.random(3000), 2)
    correct = rng.random(3000) < confidence**2
    expected = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(confidence, correct)
    fitted = IsotonicCalibrator.fit(confidence, correct)
    points = rng.random(500)
    np.testing.assert_allclose(fitted.apply(points), expected.predict(points), atol=1e-12)
    with pytest.raises(Degenerate, match="single_label"):
        IsotonicCalibrator.fit(confidence, np.ones(3000))
    with pytest.raises(Degenerate, match="too_few"):
        IsotonicCalibrator.fit(confidence[:20], correct[:20])


def test_vector_scaling_finds_the_planted_scales_and_offsets():
    rng = np.random.default_rng(0)
    true = rng.normal(size=(20_000, 4)) * 2
    labels = (true + rng.gumbel(size=true.shape)).argmax(axis=1)
    scales, offsets = np.array([0.5, 1.0, 1.5, 2.0]), np.array([0.5, 0.0, -0.5, 0.0])
    logits = (true - offsets) / scales
    fitted = VectorScaler.fit(logits, labels)
    np.testing.assert_allclose(fitted.scales, scales, rtol=0.08)
    np.testing.assert_allclose(fitted.apply(logits), softmax(true, axis=1), atol=0.05)
    plain = TemperatureScaler.fit(logits, labels).apply(logits)
    nll = [-np.log(p[np.arange(20_000), labels]).mean() for p in (fitted.apply(logits), plain)]
    assert nll[0] < nll[1]


def test_vector_scaling_moves_nothing_where_the_logits_are_right_and_refuses_as_the_others_do():
    logits, labels = sample(1.0, 20_000)
    fitted = VectorScaler.fit(logits.astype(np.float32), labels)
    np.testing.assert_allclose(fitted.scales, 1, atol=0.1)
    np.testing.assert_allclose(fitted.offsets, 0, atol=0.1)
    with pytest.raises(Degenerate, match="single_label"):
        VectorScaler.fit(logits, labels * 0)
    with pytest.raises(Degenerate, match="empty_split"):
        VectorScaler.fit(logits * np.nan, labels)
    with pytest.raises(ValueError, match="3 classes do not fit 5 scales"):
        fitted.apply(np.zeros((2, 3)))


def test_an_item_without_a_score_keeps_none_through_platt():
    calibrated = PlattScaler(slope=1.0, intercept=0.0).apply(np.array([0.0, np.nan]))
    assert calibrated[0] == 0.5
    assert np.isnan(calibrated[1])
