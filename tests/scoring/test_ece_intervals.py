"""The ECE's interval: against exact binomial tails, and by how often it holds the planted error."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from scoring.binning import expected_calibration_error, reliability_table
from scoring.ece_intervals import ece_interval, table_ece_interval


def sample(n_items, seed, by=0.0, spread=0.5):
    """Confidences from 1 - spread to 1, right less often than they say by ``by``."""
    rng = np.random.default_rng(seed)
    confidence = 1 - spread * rng.random(n_items)
    return confidence, rng.random(n_items) < confidence - by


def test_one_bin_has_the_limits_of_exact_binomial_tests():
    # 60 of 100 right at confidence .8: errors of which 60 or fewer, 60 or more, are too rare.
    confidence, correct = np.full(100, 0.8), np.arange(100) < 60
    interval = ece_interval(confidence, correct, np.random.default_rng(0), n_bins=1, n_draws=20_000)
    errors = np.linspace(0, 0.8, 8001)
    # Seen is .2; as far off on the other side would be 100 of 100.
    accuracies = 0.8 - errors
    at_least = binom.cdf(60, 100, accuracies) + binom.sf(99, 100, accuracies)
    at_most = binom.sf(59, 100, accuracies)
    assert interval.estimate == pytest.approx(0.2)
    assert interval.low == pytest.approx(errors[at_least >= 0.025][0], abs=0.006)
    assert interval.high == pytest.approx(errors[at_most >= 0.025][-1], abs=0.006)


@pytest.mark.parametrize(("by", "n_items"), [(0.0, 600), (0.02, 2000), (0.1, 600)])
def test_the_interval_holds_the_planted_error_in_93_percent_of_samples_and_more(by, n_items):
    held, n_runs = 0, 100
    for seed in range(n_runs):
        rng = np.random.default_rng(seed)
        interval = ece_interval(*sample(n_items, seed, by), rng, n_draws=200)
        held += interval.low <= by <= interval.high
    assert held / n_runs >= 0.93 - 2 * np.sqrt(0.93 * 0.07 / n_runs)


def test_bins_without_a_single_wrong_answer_do_not_make_the_interval_narrow():
    held, n_runs = 0, 100
    for seed in range(n_runs):
        rng = np.random.default_rng(seed)
        interval = ece_interval(*sample(300, seed, by=0.02, spread=0.04), rng, n_draws=200)
        held += interval.low <= 0.02 <= interval.high
    assert held / n_runs >= 0.9


def test_more_items_narrow_it_and_the_table_is_all_it_needs():
    few, many = (
        ece_interval(*sample(n_items, 1, by=0.1), np.random.default_rng(0))
        for n_items in (500, 50_000)
    )
    assert many.width < few.width / 5
    confidence, correct = sample(500, 1, by=0.1)
    table = reliability_table(confidence, correct)
    assert table_ece_interval(table, np.random.default_rng(0)) == few
    assert few.estimate == expected_calibration_error(confidence, correct)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    n_items=st.integers(1, 60),
    n_bins=st.integers(1, 20),
    strategy=st.sampled_from(["equal_count", "equal_width"]),
    level=st.floats(0.5, 0.99),
)
def test_it_is_seeded_holds_its_estimate_and_stays_in_range(seed, n_items, n_bins, strategy, level):
    rng = np.random.default_rng(seed)
    confidence, correct = rng.random(n_items), rng.random(n_items) < 0.5
    first, second = (
        ece_interval(
            confidence, correct, np.random.default_rng(1),
            n_bins=n_bins, strategy=strategy, level=level, n_draws=50,
        )
        for _ in range(2)
    )  # fmt: skip
    assert first == second
    assert 0 <= first.low <= first.estimate <= first.high <= 1


@pytest.mark.parametrize(
    ("confidence", "correct"), [([0.7] * 40, [1, 0] * 20), ([0.25], [1]), ([0.0, 1.0], [0, 1])]
)
def test_b125_equal_confidences_empty_bins_and_one_item_have_an_interval(confidence, correct):
    for strategy in ("equal_count", "equal_width"):
        rng = np.random.default_rng(0)
        interval = ece_interval(confidence, correct, rng, strategy=strategy, n_draws=20)
        assert 0 <= interval.low <= interval.high <= 1


def test_an_interval_of_no_items_or_of_no_level_is_refused():
    with pytest.raises(ValueError, match="undefined"):
        ece_interval([], [], np.random.default_rng(0))
    with pytest.raises(ValueError, match="no interval of level 2"):
        ece_interval([0.5], [1], np.random.default_rng(0), level=2)
