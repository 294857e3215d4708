"""Resampling of many rows at once against plain loops, and what groups of samples must do."""

import numpy as np
import pytest
from scipy.stats import permutation_test

from ccs_exp.statistics import resampling
from ccs_exp.statistics.resampling import chosen_half, drawn_means, ends, hashed_parts, over_seeds, sign_flip_p


def plain_draws(values, groups, resamples, seed):
    names = list(dict.fromkeys(sorted(groups)))
    rng = np.random.default_rng([seed, len(names)])
    means = np.empty((resamples, len(values)))
    for draw in range(resamples):
        picked = rng.integers(len(names), size=len(names))
        for row, row_values in enumerate(values):
            drawn = [v for group in picked for v, g in zip(row_values, groups, strict=True) if g == names[group] and v == v]
            means[draw, row] = np.mean(drawn) if drawn else np.nan
    return means


@pytest.mark.parametrize("groups", [list(range(12)), [0, 0, 1, 1, 1, 2, 3, 3, 3, 3, 4, 5]])
def test_draws_are_the_plain_loop_s_also_with_missing_values(groups):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3, 12))
    values[1, [0, 5]] = np.nan
    found = drawn_means(values, None if len(set(groups)) == 12 else np.array(groups), resamples=20, seed=4)
    np.testing.assert_allclose(found, plain_draws(values, groups, 20, 4), atol=1e-12)


def test_parts_of_bounded_size_change_nothing(monkeypatch):
    values = np.random.default_rng(1).normal(size=(7, 40)).astype(np.float16)
    whole = drawn_means(values, resamples=50)
    monkeypatch.setattr(resampling, "_MOST_NUMBERS", 100)
    np.testing.assert_array_equal(drawn_means(values, resamples=50), whole)
    np.testing.assert_array_equal(
        drawn_means(values[2:3], resamples=50), whole[:, 2:3]
    )  # nor which rows are asked about together


def test_rows_are_drawn_alike():
    rng = np.random.default_rng(2)
    before = rng.normal(size=(1, 200))
    after = before + 0.3 + 0.01 * rng.normal(size=(4, 200))
    apart = drawn_means(before) - drawn_means(after)
    np.testing.assert_allclose(apart, drawn_means(before - after), atol=1e-12)
    assert apart.std() < 0.1 * drawn_means(before).std()


def test_a_copied_sample_in_its_group_says_nothing_more():
    values = np.random.default_rng(3).normal(0.3, 1.0, size=(2, 30))
    copied, groups = np.repeat(values, 40, axis=1), np.repeat(np.arange(30), 40)
    np.testing.assert_allclose(drawn_means(copied, groups), drawn_means(values), atol=1e-12)
    np.testing.assert_allclose(sign_flip_p(copied, groups), sign_flip_p(values))
    assert (sign_flip_p(copied) < sign_flip_p(values)).all()  # and this is why groups are needed


def test_an_interval_with_too_many_undefined_draws_is_none():
    drawn = np.tile(np.linspace(0, 1, 100)[:, None], 3)
    drawn[:3, 1], drawn[:10, 2] = np.nan, np.nan
    low, high = ends(drawn)
    assert not np.isnan(low[:2]).any() and np.isnan(low[2]) and np.isnan(high[2])
    assert (low[0], high[0]) == tuple(np.percentile(drawn[:, 0], [2.5, 97.5]))


def test_seeds_add_the_spread_of_their_mean():
    """The spread over draws is that of a mean over five seeds, on average over which five they happen to be."""
    rng = np.random.default_rng(4)
    variances = [over_seeds(np.broadcast_to(rng.normal(size=(1, 5, 1)), (400, 5, 1)), seed).var() for seed in range(300)]
    assert np.mean(variances) == pytest.approx(1 / 5, rel=0.1)
    one = rng.normal(size=(9, 1, 2))
    np.testing.assert_array_equal(over_seeds(one), one[:, 0])


def test_flips_hold_their_level_with_groups_of_different_sizes():
    rng = np.random.default_rng(6)
    groups = np.repeat(np.arange(40), rng.integers(1, 12, size=40))
    values = rng.normal(size=(600, 40))[:, groups] + rng.normal(size=(600, len(groups)))
    assert 0.02 <= (sign_flip_p(values, groups, permutations=999) <= 0.05).mean() <= 0.08
    assert (sign_flip_p(values, permutations=999) <= 0.05).mean() > 0.2


def test_every_flip_is_tried_where_there_are_few_and_scipy_agrees():
    values = np.random.default_rng(7).normal(0.5, 1.0, size=(3, 9))
    for row, p in zip(values, sign_flip_p(values), strict=True):
        other = permutation_test(
            (row, np.zeros(9)), lambda x, y, axis: (x - y).sum(axis=axis), permutation_type="samples", vectorized=True
        )
        assert p == pytest.approx(other.pvalue)
    assert sign_flip_p(np.zeros((1, 4))) == 1 and sign_flip_p(np.ones((1, 5))) == 2 / 2**5


def test_drawn_flips_hold_their_level():
    values = np.random.default_rng(8).standard_t(3, size=(2000, 40))
    p = sign_flip_p(values, permutations=999)
    assert 0.035 <= (p <= 0.05).mean() <= 0.07 and p.min() >= 1 / 1000


def test_hashed_parts_depend_on_the_names_alone():
    names = [f"image-{place}" for place in range(4000)]
    parts = hashed_parts(names, 8)
    np.testing.assert_array_equal(hashed_parts(names[::-1], 8), parts[::-1])
    np.testing.assert_allclose(np.bincount(parts, minlength=8), 500, atol=90)
    assert (hashed_parts(names, 8, seed=1) != parts).mean() > 0.8
    assert chosen_half(names).mean() == pytest.approx(0.5, abs=0.03)
    assert hashed_parts(["\udcff"], 2).shape == (1,)  # a file name that is no text
