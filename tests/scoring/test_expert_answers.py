"""An expert's answers: by hand, against the calibrators themselves, and out of sample."""

import numpy as np
import pytest

from scoring.calibration import (
    Degenerate,
    HistogramBinner,
    IsotonicCalibrator,
    PlattScaler,
    TemperatureScaler,
    VectorScaler,
)
from scoring.expert_answers import (
    ANSWER_CALIBRATORS,
    answer_items,
    fit_answers,
    fit_tasks,
    score_tasks,
)


def some_items(n_items=200, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=n_items)
    logits = rng.normal(size=(n_items, 3))
    logits[np.arange(n_items), labels] += 1.0
    return logits, labels, rng.random(n_items) < 0.5


def test_answers_by_hand():
    answers = answer_items(np.log([[0.2, 0.5, 0.3], [0.6, 0.2, 0.2]]), None)
    assert answers.top1.tolist() == [1, 0]
    np.testing.assert_allclose(answers.top_logit, np.log([0.5, 0.6]))
    np.testing.assert_allclose(answers.raw, [0.5, 0.6])
    np.testing.assert_allclose(answers.confidence, answers.raw)


def test_each_calibrator_starts_from_what_the_method_says():
    logits, labels, half = some_items()
    probabilities = TemperatureScaler(1.0).apply(logits)
    raw, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    fitted = {name: fit_answers(logits, labels, half, name) for name in ANSWER_CALIBRATORS}
    temperature = TemperatureScaler.fit(logits, labels, valid=half)
    platt = PlattScaler.fit(logits.max(axis=1)[half], right[half])
    histogram = HistogramBinner.fit(raw[half], right[half])
    isotonic = IsotonicCalibrator.fit(raw[half], right[half])
    vector = VectorScaler.fit(logits[half], labels[half])
    top1 = probabilities.argmax(axis=1)[:, None]
    expected = {
        "temperature": temperature.apply(logits).max(axis=1),
        "platt": platt.apply(logits.max(axis=1)),
        "histogram": histogram.apply(raw),
        "isotonic": isotonic.apply(raw),
        "vector": np.take_along_axis(vector.apply(logits), top1, axis=1)[:, 0],
        "none": raw,
    }
    assert expected.keys() == set(ANSWER_CALIBRATORS)
    for name, confidence in expected.items():
        np.testing.assert_allclose(fitted[name].confidence, confidence, atol=1e-6)
        np.testing.assert_allclose(fitted[name].raw, raw, atol=1e-6)


@pytest.mark.parametrize("calibrator", ANSWER_CALIBRATORS)
def test_new_items_are_answered_by_the_same_rule(calibrator):
    logits, labels, half = some_items()
    fitted = fit_answers(logits, labels, half, calibrator)
    again = answer_items(logits, fitted.calibrator)
    np.testing.assert_array_equal(again.confidence, fitted.confidence)


@pytest.mark.parametrize("calibrator", ANSWER_CALIBRATORS)
def test_labels_outside_the_half_change_nothing(calibrator):
    logits, labels, half = some_items()
    other = np.where(half, labels, (labels + 1) % 3)
    first, second = (fit_answers(logits, each, half, calibrator) for each in (labels, other))
    np.testing.assert_array_equal(first.confidence, second.confidence)


def test_vector_scaling_never_answers_for_the_expert():
    logits, labels, half = some_items()
    logits[:, 2] += 3.0  # a class that the expert favours far too much
    plain, scaled = (fit_answers(logits, labels, half, name) for name in ("none", "vector"))
    np.testing.assert_array_equal(scaled.top1, plain.top1)
    favoured = scaled.top1 == 2
    overtaken = scaled.calibrator.apply(logits).argmax(axis=1) != scaled.top1
    assert (overtaken & favoured).any()
    assert (scaled.confidence[overtaken] <= 0.5).all()


def test_items_without_scores_have_no_answer():
    logits, labels, half = some_items()
    logits[3] = np.nan
    for calibrator in ANSWER_CALIBRATORS:
        answers = fit_answers(logits, labels, half, calibrator)
        assert np.flatnonzero(~answers.valid).tolist() == [3]
        assert np.flatnonzero(np.isnan(answers.confidence)).tolist() == [3]


def test_too_little_to_fit_on_and_unknown_calibrators_are_refused():
    logits, labels, _ = some_items()
    with pytest.raises(Degenerate, match="too_few"):
        fit_answers(logits, labels, np.arange(200) < 20)
    with pytest.raises(ValueError, match="calibrator must be one of"):
        fit_answers(logits, labels, np.ones(200, dtype=bool), "magic")


def test_whole_answers_are_calibrated_by_platts_line_on_their_half():
    rng = np.random.default_rng(0)
    scores, half = rng.normal(size=200), rng.random(200) < 0.5
    right = rng.random(200) < 1 / (1 + np.exp(-scores))
    scores[3] = np.nan
    used = half & ~np.isnan(scores)
    tasks = fit_tasks(scores, right, half)
    assert tasks.calibrator == PlattScaler.fit(scores[used], right[used])
    np.testing.assert_array_equal(tasks.confidence[used], tasks.calibrator.apply(scores[used]))
    assert np.flatnonzero(~tasks.valid).tolist() == [3]
    raw = fit_tasks(scores, right, half, "none")
    np.testing.assert_array_equal(raw.confidence, scores)
    again = score_tasks(scores[:10], right[:10], tasks.calibrator)
    np.testing.assert_array_equal(again.confidence, tasks.confidence[:10])
    with pytest.raises(ValueError, match="platt or none"):
        fit_tasks(scores, right, half, "temperature")
