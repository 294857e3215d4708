"""Rank correlation within strata, and its estimate over models."""

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from ccs_exp.statistics.intervals import Interval
from ccs_exp.statistics.pooling import pooled, pooled_rho
from ccs_exp.statistics.rank_correlation import RankCorrelation, within_strata

LAYERS = np.repeat(np.arange(4), 8)


def plain_rho(first, second, strata):
    one, other = rankdata(first), rankdata(second)
    for stratum in set(strata):
        members = [place for place, of in enumerate(strata) if of == stratum]
        one[members] -= one[members].mean()
        other[members] -= other[members].mean()
    return (one * other).sum() / np.sqrt((one**2).sum() * (other**2).sum())


def test_rho_and_p_are_the_plain_loop_s():
    rng = np.random.default_rng(0)
    ccs, cost = rng.integers(0, 6, size=32), rng.normal(size=32)
    found = within_strata(ccs, cost, LAYERS.tolist())
    assert found.rho == pytest.approx(plain_rho(ccs, cost, LAYERS))
    assert found.spearman == pytest.approx(spearmanr(ccs, cost).statistic)
    as_far = 0
    for _ in range(1000):
        shuffled = ccs.copy()
        for layer in range(4):
            shuffled[layer == LAYERS] = rng.permutation(shuffled[layer == LAYERS])
        as_far += abs(plain_rho(shuffled, cost, LAYERS)) >= abs(found.rho) - 1e-12
    assert found.p == pytest.approx(as_far / 1000, abs=0.06)
    assert found.interval.low < found.rho < found.interval.high


def test_one_stratum_is_spearman_s():
    rng = np.random.default_rng(1)
    first = rng.normal(size=30)
    second = first + rng.normal(size=30)
    found = within_strata(first, second, [0] * 30)
    assert found.rho == pytest.approx(found.spearman) == pytest.approx(spearmanr(first, second).statistic)
    assert found.p < 0.01 and within_strata(first, -second, [0] * 30).rho == pytest.approx(-found.rho)


def test_what_rises_with_the_layer_alone_is_no_correlation():
    """Later heads matter more and are scored higher; within layers there is nothing, and p says so at its level."""
    rng = np.random.default_rng(2)
    rejected, plain = [], []
    for draw in range(300):
        ccs = rng.normal(size=32) + 2 * LAYERS
        cost = np.exp(rng.normal(size=32) + LAYERS)
        found = within_strata(ccs, cost, LAYERS.tolist(), permutations=199, resamples=2, seed=draw)
        rejected.append(found.p <= 0.05)
        plain.append(found.spearman)
    assert 0.02 <= np.mean(rejected) <= 0.08
    assert np.mean(plain) > 0.5


def test_what_does_not_vary_within_strata_has_no_rho():
    found = within_strata(LAYERS, np.random.default_rng(3).normal(size=32), LAYERS.tolist())
    assert found.rho is None and found.p is None and "does not vary" in found.reason and found.spearman is not None
    assert within_strata([], [], []).rho is None
    with pytest.raises(ValueError, match="without NaN"):
        within_strata([1.0, np.nan], [1.0, 2.0], [0, 0])


def test_the_interval_covers():
    rng = np.random.default_rng(4)
    covered = []
    for draw in range(60):
        first = rng.normal(size=64)
        second = first + 1.5 * rng.normal(size=64)
        layers = np.repeat(np.arange(4), 16)
        found = within_strata(first, second + 3 * layers, layers.tolist(), permutations=1, seed=draw)
        covered.append(found.interval.low <= 0.53 <= found.interval.high)
    assert np.mean(covered) >= 0.8


def test_the_pooled_estimate_solves_paule_and_mandel_s_equation():
    values, errors = np.array([0.1, 0.5, 0.3, 0.9, -0.2, 0.4]), np.array([0.1, 0.2, 0.15, 0.1, 0.2, 0.1])
    found = pooled(values, errors)
    weights = 1 / (errors**2 + found.between**2)
    assert found.value == pytest.approx((weights * values).sum() / weights.sum())
    assert (weights * (values - found.value) ** 2).sum() == pytest.approx(5, rel=1e-3)
    assert found.interval.low < found.value < found.interval.high and found.count == 6


def test_models_that_agree_have_nothing_between_them():
    found = pooled([0.3, 0.31, 0.29], [0.2, 0.2, 0.2])
    assert found.between == 0 and found.value == pytest.approx(0.3)
    assert pooled([0.3], [0.1]) is None and pooled([], []) is None


def test_rhos_are_pooled_on_fisher_s_scale():
    def rho(value, reach):
        ends = (np.tanh(np.arctanh(value) - reach), np.tanh(np.arctanh(value) + reach))
        return RankCorrelation(48, value, Interval(*ends), 0.5, 0.1)

    found = pooled_rho([rho(0.2, 0.3), rho(0.2, 0.3), rho(0.2, 0.3), RankCorrelation(3, None, None, None, None, "none")])
    assert found.value == pytest.approx(0.2) and found.count == 3 and -1 < found.interval.low < 0.2 < found.interval.high < 1
