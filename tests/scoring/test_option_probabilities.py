"""Every option's probability: by hand, against the calibrator itself, and by invariants."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from scoring.calibration import TemperatureScaler
from scoring.option_probabilities import calibrated_probabilities, raw_probabilities

logits = arrays(np.float64, st.integers(2, 10), elements=st.floats(-20, 20))


def test_worked_example():
    scores = np.log([8.0, 4.0, 2.0, 2.0])
    np.testing.assert_allclose(raw_probabilities(scores), [0.5, 0.25, 0.125, 0.125])
    # At temperature 2 the odds are 2√2 : 2 : √2 : √2.
    warm = np.sqrt([8.0, 4.0, 2.0, 2.0])
    warm /= warm.sum()
    by_temperature = calibrated_probabilities(scores, warm[0], by_temperature=True)
    np.testing.assert_allclose(by_temperature, warm, rtol=1e-9)
    others = calibrated_probabilities(scores, 0.6, by_temperature=False)
    np.testing.assert_allclose(others, [0.6, 0.2, 0.1, 0.1])


@given(logits, st.floats(0.2, 5))
def test_the_temperature_is_found_from_the_confidence_alone(scores, temperature):
    expected = TemperatureScaler(temperature).apply(scores[None])[0]
    found = calibrated_probabilities(scores, expected.max(), by_temperature=True)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@example(
    scores=np.array([-19.0, 6.0]), share=0.0, by_temperature=False
)  # the largest is 1 - 1.4e-11
@given(logits, st.floats(0, 1), st.booleans())
def test_probabilities_add_up_and_the_largest_stays_in_its_place(scores, share, by_temperature):
    least = 1 / scores.size
    confidence = least + share * (1 - least)
    found = calibrated_probabilities(scores, confidence, by_temperature=by_temperature)
    assert found.sum() == pytest.approx(1)
    assert (found >= 0).all()
    if not by_temperature:
        assert found[scores.argmax()] == pytest.approx(confidence)


def test_a_certain_expert_shares_the_rest_evenly():
    found = calibrated_probabilities([1000.0, 0.0, 0.0], 0.8, by_temperature=False)
    np.testing.assert_allclose(found, [0.8, 0.1, 0.1])
