"""The NLL's derivatives: against differences of the NLL, by groups, and with broken rows."""

import numpy as np
import pytest
from scipy.special import logsumexp

from scoring.slopes import NO_GROUP, read_slopes


def sample(n_items=500):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(n_items, 7)) * 3
    return logits, rng.integers(0, 7, n_items), rng.integers(-1, 2, n_items).astype(np.int8)


def nll(logits, labels, inverse):
    scaled = logits * inverse
    return (logsumexp(scaled, axis=1) - scaled[np.arange(labels.size), labels]).mean()


def test_derivatives_are_the_limits_of_differences_of_each_groups_nll():
    logits, labels, groups = sample()
    for group, slope in read_slopes(logits, labels, groups, {0: 0.8, 1: 1.3}).items():
        own, given = logits[groups == group], labels[groups == group]
        f = [nll(own, given, slope.inverse + step * 1e-3) for step in (-2, -1, 0, 1, 2)]
        assert slope.first == pytest.approx((f[3] - f[1]) / 2e-3, rel=1e-5)
        assert slope.second == pytest.approx((f[3] - 2 * f[2] + f[1]) / 1e-6, rel=1e-5)
        third = (f[4] - 2 * f[3] + 2 * f[1] - f[0]) / 2e-9
        assert slope.third == pytest.approx(third, rel=1e-3)
        assert slope.n_rows == given.size
        assert slope.n_top == (own.argmax(axis=1) == given).sum()


def test_the_mean_square_tells_how_many_rows_a_precise_minimum_takes():
    logits, labels, _ = sample(40_000)
    labels = (logits + np.random.default_rng(1).gumbel(size=logits.shape)).argmax(axis=1)
    groups = np.zeros(40_000, dtype=np.int8)
    wanted = read_slopes(logits, labels, groups, {0: 1.0})[0].n_rows_for(0.05)
    # One Newton step from the true minimum shows each sample's error: a twentieth as a rule.
    errors = [
        slope.first / slope.second
        for part in np.array_split(np.arange(40_000), int(40_000 / wanted))
        for slope in read_slopes(logits[part], labels[part], groups[part], {0: 1.0}).values()
    ]
    assert len(errors) > 50
    assert np.std(errors) == pytest.approx(0.05, rel=0.25)


def test_b101_broken_rows_are_left_out_or_refused_and_a_group_of_none_has_no_slope():
    logits, labels, groups = sample()
    broken = logits.astype(np.float32)
    broken[::9, 3] = np.nan
    whole = np.where(np.arange(500) % 9 == 0, NO_GROUP, groups).astype(np.int8)
    expected = read_slopes(logits.astype(np.float32), labels, whole, {0: 1.0, 1: 1.0})
    found = read_slopes(broken, labels, groups, {0: 1.0, 1: 1.0}, finite_only=True)
    for group in (0, 1):
        assert found[group].n_rows == expected[group].n_rows
        assert found[group].first == pytest.approx(expected[group].first)
    with pytest.raises(ValueError, match="NaN, infinity"):
        read_slopes(broken, labels, groups, {0: 1.0})
    broken[groups == 1] = np.inf
    assert set(read_slopes(broken, labels, groups, {0: 1.0, 1: 1.0}, finite_only=True)) == {0}
