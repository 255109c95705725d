"""The Brier score and the debiased error: by hand, by brute force, by simulation."""

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from scoring.binning import expected_calibration_error
from scoring.calibration_error import brier_score, debiased_calibration_error


def overconfident(n_items, seed=0, by=0.1):
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.5, 1, n_items)
    return confidence, rng.random(n_items) < confidence - by


def test_worked_examples():
    assert brier_score([1.0, 0.5, 0.2], [1, 0, 1]) == pytest.approx((0 + 0.25 + 0.64) / 3)
    # One bin of four: (.8 - .5)^2 - .5 * .5 / 3 = .09 - .0833.
    assert debiased_calibration_error([0.8] * 4, [1, 1, 0, 0], 1) == pytest.approx(
        np.sqrt(0.09 - 0.25 / 3)
    )
    # The noise explains more than all there is.
    assert debiased_calibration_error([0.6] * 4, [1, 1, 0, 0], 1) == 0


def test_brier_agrees_with_scikit_learn():
    confidence, correct = overconfident(5000)
    assert brier_score(confidence, correct) == pytest.approx(
        brier_score_loss(correct, confidence), abs=1e-15
    )


def brute_force_debiased(confidence, correct, n_bins):
    total = 0.0
    for part in np.array_split(np.argsort(confidence, kind="stable"), n_bins):
        accuracy = correct[part].mean()
        noise = accuracy * (1 - accuracy) / (len(part) - 1)
        total += len(part) / len(confidence) * ((confidence[part].mean() - accuracy) ** 2 - noise)
    return np.sqrt(max(0.0, total))


@pytest.mark.parametrize("seed", range(5))
def test_the_debiased_error_equals_brute_force(seed):
    confidence, correct = overconfident(500, seed)
    assert debiased_calibration_error(confidence, correct, 15) == pytest.approx(
        brute_force_debiased(confidence, correct, 15)
    )


def test_the_debiased_error_forgets_noise_and_keeps_real_error():
    perfect = [debiased_calibration_error(*overconfident(300, seed, by=0)) for seed in range(200)]
    plain = [expected_calibration_error(*overconfident(300, seed, by=0)) for seed in range(200)]
    assert np.mean(np.square(perfect)) < np.mean(np.square(plain)) / 2
    assert debiased_calibration_error(*overconfident(50_000)) == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize("strategy", ["equal_count", "equal_width"])
def test_b125_equal_confidences_empty_bins_and_one_item_are_defined(strategy):
    for confidence, correct in [([0.7] * 40, [1, 0] * 20), ([0.25], [1]), ([0.0, 1.0], [0, 1])]:
        ece = expected_calibration_error(confidence, correct, 15, strategy)
        assert 0 <= ece <= 1
        assert 0 <= debiased_calibration_error(confidence, correct, 15, strategy) <= 1


def test_what_has_no_error_to_speak_of_is_refused():
    with pytest.raises(ValueError, match="undefined"):
        brier_score([], [])
    with pytest.raises(ValueError, match="do not fit"):
        brier_score([0.5], [1, 0])
    with pytest.raises(ValueError, match="0 or 1"):
        debiased_calibration_error([0.5], [0.5])
