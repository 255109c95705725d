"""One expert end to end: cross-fitting, the report's four figures, refusals, real data."""

import os
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from scoring.binning import expected_calibration_error, reliability_table
from scoring.calibration import (
    HistogramBinner,
    IsotonicCalibrator,
    PlattScaler,
    TemperatureScaler,
)
from scoring.calibration_error import brier_score
from scoring.confidence import PROBABILITY_FLOOR
from scoring.confident_learning import confident_learning, confident_learning_queues
from scoring.expert_calibration import calibrate_expert
from scoring.splits import in_half_a

KEYS = [f"item-{number}" for number in range(4000)]
HALF_A = in_half_a(KEYS, seed=0)


def sample(temperature=1.8, n_items=4000, n_classes=6, seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n_items, n_classes)) * 2
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    return logits * temperature, labels


def test_every_item_is_scored_by_the_calibrator_of_the_other_half():
    logits, labels = sample()
    fitted = calibrate_expert(logits, labels, HALF_A, keys=KEYS)
    assert fitted.calibrator_a == TemperatureScaler.fit(logits[HALF_A], labels[HALF_A])
    assert fitted.calibrator_b == TemperatureScaler.fit(logits[~HALF_A], labels[~HALF_A])
    assert set(fitted.temperature[HALF_A]) == {fitted.calibrator_b.temperature}
    assert set(fitted.temperature[~HALF_A]) == {fitted.calibrator_a.temperature}
    dense = softmax(logits / fitted.temperature[:, None], axis=1)
    np.testing.assert_allclose(fitted.scored.confidence, dense.max(axis=1))
    assert fitted.accuracy == pytest.approx((logits.argmax(axis=1) == labels).mean())
    assert fitted.n_scored == 4000


def test_the_report_measures_both_halves_with_the_calibrator_fitted_on_a():
    logits, labels = sample()
    fitted = calibrate_expert(logits, labels, HALF_A, keys=KEYS)
    correct = logits.argmax(axis=1) == labels
    for half, items in (("a", HALF_A), ("b", ~HALF_A)):
        for moment, temperature in (("before", 1.0), ("after", fitted.calibrator_a.temperature)):
            dense = softmax(logits[items] / temperature, axis=1)
            name = f"{half}_{moment}"
            ece = expected_calibration_error(dense.max(axis=1), correct[items])
            assert fitted.ece[name] == pytest.approx(ece)
            assert fitted.reliability[name].ece == fitted.ece[name]
            nll = -np.log(dense[np.arange(items.sum()), labels[items]]).mean()
            assert fitted.nll[name] == pytest.approx(nll)
    assert fitted.ece["b_after"] < fitted.ece["b_before"] / 2
    assert fitted.histogram.raw.sum() == fitted.histogram.calibrated.sum() == 4000


def test_the_tables_have_the_bins_that_were_asked_for():
    logits, labels = sample(n_items=400)
    fitted = calibrate_expert(logits, labels, HALF_A[:400], n_bins=5)
    for name, table in fitted.reliability.items():
        n_half = int(HALF_A[:400].sum()) if name[0] == "a" else int((~HALF_A[:400]).sum())
        assert len(table.count) == 5
        assert table.count.sum() == n_half
        assert table.count.max() - table.count.min() <= 1
    binned = calibrate_expert(logits, labels, HALF_A[:400], n_bins=5, calibrator="histogram")
    assert len(binned.calibrator_a.accuracies) == 5
    histogram = fitted.histogram
    np.testing.assert_array_equal(histogram.edges, np.linspace(0, 1, 21))
    top = softmax(logits, axis=1).max(axis=1)
    assert histogram.raw.tolist() == np.histogram(top, histogram.edges)[0].tolist()
    scored = np.histogram(fitted.scored.confidence, histogram.edges)[0]
    assert histogram.calibrated.tolist() == scored.tolist()


def test_ties_of_confidence_are_cut_by_key():
    # Half of each half is right; all are as sure. By key, the right ones come first.
    logits = np.tile([2.0, 0.0], (80, 1))
    labels = np.arange(80) % 2
    keys = [f"{label}-{n:02d}" for n, label in enumerate(labels)]
    half_a = np.arange(80) < 40
    fitted = calibrate_expert(logits, labels, half_a, n_bins=2, keys=keys, calibrator="none")
    assert fitted.reliability["a_before"].accuracy.tolist() == [1.0, 0.0]
    mixed = calibrate_expert(logits, labels, half_a, n_bins=2, calibrator="none")
    assert mixed.reliability["a_before"].accuracy.tolist() == [0.5, 0.5]


@pytest.mark.parametrize("calibrator", ["temperature", "platt"])
def test_only_the_items_that_are_named_count_whatever_the_others_labels(calibrator):
    logits, labels = sample(n_items=400)
    labels[::7] = -1
    named = labels >= 0
    fitted = calibrate_expert(logits, labels, HALF_A[:400], valid=named, calibrator=calibrator)
    without = calibrate_expert(
        logits[named], labels[named], HALF_A[:400][named], calibrator=calibrator
    )
    assert fitted.n_scored == named.sum() == without.n_scored
    assert fitted.parameters == without.parameters
    assert fitted.accuracy == without.accuracy
    assert fitted.ece == pytest.approx(without.ece)
    assert (fitted.scored.top1[~named] == -1).all()
    gone = logits.copy()
    gone[~named] = np.nan
    assert calibrate_expert(gone, labels, HALF_A[:400], calibrator=calibrator).n_scored == (
        named.sum()
    )


def test_labels_that_mean_nothing_are_refused_by_name_as_half_marks_are():
    logits, labels = sample(n_items=400)
    labels[3] = 6
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 6\), got 0 to 6"):
        calibrate_expert(logits, labels, HALF_A[:400])
    with pytest.raises(ValueError, match="half_a must be 400 booleans"):
        calibrate_expert(logits, labels % 6, HALF_A[:399])


def test_a_quarantined_item_changes_no_figure_but_the_count():
    logits, labels = sample()
    broken = logits.copy()
    broken[7, 2] = np.nan
    kept = np.arange(4000) != 7
    whole = calibrate_expert(broken, labels, HALF_A, keys=KEYS)
    without = calibrate_expert(logits[kept], labels[kept], HALF_A[kept], keys=np.array(KEYS)[kept])
    assert whole.n_scored == without.n_scored == 3999
    assert whole.scored.top1[7] == -1
    assert whole.ece == pytest.approx(without.ece)
    np.testing.assert_allclose(whole.scored.confidence[kept], without.scored.confidence, rtol=1e-9)


def test_an_expert_that_cannot_be_calibrated_keeps_raw_scores_and_says_why():
    logits, labels = sample()
    labels = np.where(HALF_A, labels, logits.argmax(axis=1))  # half B: always right
    fitted = calibrate_expert(logits, labels, HALF_A)
    assert fitted.calibrator_a is None
    assert fitted.calibrator_b is None
    assert fitted.degenerate.reason == "separable"
    assert fitted.degenerate.detail.startswith("half B")
    assert set(fitted.temperature) == {1.0}
    np.testing.assert_array_equal(fitted.scored.confidence, fitted.scored.raw_confidence)
    assert fitted.ece["a_after"] is None
    assert fitted.ece["a_before"] > 0


def test_without_a_calibrator_nothing_is_fitted_and_nothing_is_degenerate():
    fitted = calibrate_expert(*sample(), HALF_A, calibrator="none")
    assert fitted.calibrator_a is fitted.degenerate is None
    assert fitted.nll["b_after"] is None
    with pytest.raises(ValueError, match="calibrator must be"):
        calibrate_expert(*sample(), HALF_A, calibrator="magic")


def test_b103_an_expert_that_scored_nothing_has_no_figures():
    fitted = calibrate_expert(np.full((60, 3), np.nan), np.zeros(60, int), np.arange(60) < 30)
    assert fitted.n_scored == 0
    assert fitted.accuracy is None
    assert fitted.degenerate.reason == "empty_split"
    assert set(fitted.ece.values()) == set(fitted.nll.values()) == {None}
    assert fitted.reliability == {}


def confidence_of(calibrator, logits, raw, correct, items):
    """Fit on some items' scores, apply to all: what the streamed calibration must amount to."""
    if calibrator == "platt":
        fitted, scores = (
            PlattScaler.fit(logits.max(axis=1)[items], correct[items]),
            logits.max(axis=1),
        )
    elif calibrator == "histogram":
        fitted, scores = HistogramBinner.fit(raw[items], correct[items], 15), raw
    else:
        fitted, scores = IsotonicCalibrator.fit(raw[items], correct[items]), raw
    return fitted, fitted.apply(scores)


CONFIDENCE_CALIBRATORS = ["platt", "histogram", "isotonic"]


@pytest.mark.parametrize("calibrator", CONFIDENCE_CALIBRATORS)
def test_calibrators_of_the_top_class_are_cross_fitted_and_share_out_the_rest(calibrator):
    logits, labels = sample()
    fitted = calibrate_expert(logits, labels, HALF_A, calibrator=calibrator, keys=KEYS)
    raw, correct = fitted.scored.raw_confidence, logits.argmax(axis=1) == labels
    np.testing.assert_allclose(raw, softmax(logits, axis=1).max(axis=1))
    on_a, by_a = confidence_of(calibrator, logits, raw, correct, HALF_A)
    on_b, by_b = confidence_of(calibrator, logits, raw, correct, ~HALF_A)
    assert fitted.parameters == {"a": on_a.parameters, "b": on_b.parameters}
    expected = np.where(HALF_A, by_b, by_a)
    np.testing.assert_allclose(fitted.scored.confidence, expected, rtol=1e-9)
    dense, every = softmax(logits, axis=1), np.arange(4000)
    top = dense.argmax(axis=1)
    shared = dense * ((1 - expected) / (1 - dense[every, top]))[:, None]
    shared[every, top] = expected
    np.testing.assert_allclose(shared.sum(axis=1), 1)
    np.testing.assert_allclose(fitted.scored.given_probability, shared[every, labels], rtol=1e-7)
    for half, items in (("a", HALF_A), ("b", ~HALF_A)):
        assert fitted.ece[f"{half}_after"] == pytest.approx(
            reliability_table(by_a[items], correct[items], keys=np.array(KEYS)[items]).ece
        )
        assert fitted.brier[f"{half}_after"] == pytest.approx(
            brier_score(by_a[items], correct[items])
        )
        assert np.isfinite(fitted.nll[f"{half}_after"])
    assert fitted.ece["b_after"] < fitted.ece["b_before"] / 2
    assert fitted.scored.temperature.tolist() == [1.0] * 4000


@pytest.mark.parametrize("calibrator", CONFIDENCE_CALIBRATORS)
def test_confident_learning_sees_the_shared_out_probabilities(calibrator):
    logits, labels = sample()
    others = logits + np.random.default_rng(9).normal(size=logits.shape)
    experts = [logits, others]
    scored = [calibrate_expert(z, labels, HALF_A, calibrator=calibrator).scored for z in experts]
    dense = []
    for z, each in zip(experts, scored, strict=True):
        raw, every = softmax(z, axis=1), np.arange(4000)
        part = raw * ((1 - each.confidence) / (1 - raw.max(axis=1)))[:, None]
        part[every, each.top1] = each.confidence
        dense.append(part)
    queues = confident_learning_queues(experts, scored, labels)
    for collision, queue in queues.items():
        flagged = confident_learning(np.mean(dense, axis=0), labels, collision)
        np.testing.assert_array_equal(queue.mask(4000), flagged)
        assert flagged.any()


@pytest.mark.parametrize("calibrator", CONFIDENCE_CALIBRATORS)
def test_calibrators_of_the_top_class_refuse_with_a_reason_and_leave_missing_rows_alone(calibrator):
    logits, labels = sample()
    right = np.where(HALF_A, labels, logits.argmax(axis=1))
    if calibrator != "histogram":  # a bin of accuracy 1 is a fine bin
        refused = calibrate_expert(logits, right, HALF_A, calibrator=calibrator)
        assert refused.degenerate.reason == "single_label"
        assert refused.degenerate.detail.startswith("half B")
        assert refused.parameters == {}
        assert refused.brier["a_after"] is None
        np.testing.assert_array_equal(refused.scored.confidence, refused.scored.raw_confidence)
    few = calibrate_expert(logits[:40], labels[:40], HALF_A[:40], calibrator=calibrator)
    assert few.degenerate.reason == "too_few"
    broken = logits.copy()
    broken[7] = np.nan
    holed = calibrate_expert(broken, labels, HALF_A, calibrator=calibrator)
    assert holed.n_scored == 3999
    assert np.isnan(holed.scored.confidence).tolist() == [number == 7 for number in range(4000)]
    assert np.isnan(holed.scored.given_probability[7])


def test_b126_confidences_of_0_and_1_cost_a_finite_nll():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 400)
    logits = np.eye(3)[labels] * 4 + rng.normal(size=(400, 3)) * 0.1
    logits[::5] = np.roll(logits[::5], 1, axis=1) / 8  # unsure and always wrong
    fitted = calibrate_expert(logits, labels, np.arange(400) % 2 == 0, calibrator="histogram")
    assert {0.0, 1.0} <= set(fitted.scored.confidence)
    for nll in fitted.nll.values():
        assert nll <= -np.log(PROBABILITY_FLOOR)


@pytest.mark.parametrize("calibrator", CONFIDENCE_CALIBRATORS)
def test_saturated_logits_leave_numbers_in_the_unit_interval(calibrator):
    logits, labels = sample()
    fitted = calibrate_expert(
        (logits * 100).astype(np.float32), labels, HALF_A, calibrator=calibrator
    )
    for values in (fitted.scored.confidence, fitted.scored.given_probability):
        assert ((values >= 0) & (values <= 1)).all()


def test_the_brier_score_has_the_keys_of_the_other_figures():
    logits, labels = sample()
    fitted = calibrate_expert(logits, labels, HALF_A)
    raw = softmax(logits, axis=1).max(axis=1)
    correct = logits.argmax(axis=1) == labels
    assert fitted.brier.keys() == fitted.ece.keys() == fitted.nll.keys()
    assert fitted.brier["a_before"] == pytest.approx(brier_score(raw[HALF_A], correct[HALF_A]))
    assert fitted.brier["b_after"] < fitted.brier["b_before"]
    assert fitted.parameters["b"] == {"temperature": fitted.calibrator_b.temperature}


def real_data(name):
    folder = os.environ.get("LABEL_AUDIT_TEST_DATA")
    if not folder:
        pytest.skip("LABEL_AUDIT_TEST_DATA is not set: no real data to test with")
    return np.load(Path(folder) / name)


def test_calibration_helps_a_real_network_out_of_sample_and_leaves_a_calibrated_one_alone():
    data = real_data("mnist_test.npz")
    keys = [str(number) for number in range(10_000)]
    half_a = in_half_a(keys, 0)
    off = calibrate_expert(data["logits_ccexam"], data["label"], half_a, keys=keys)
    assert off.nll["b_after"] < off.nll["b_before"]
    assert off.ece["b_after"] < off.ece["b_before"]
    averaged = np.log(data["probs_cleanlab_xval"] + 1e-12)
    good = calibrate_expert(averaged, data["label"], half_a, keys=keys)
    assert good.calibrator_a.temperature == pytest.approx(1, abs=0.1)
    assert good.nll["b_after"] == pytest.approx(good.nll["b_before"], abs=1e-4)
