"""Costs of silencing, by their laws."""

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from ccs_exp.evidence.effects import cost_rows, costs, flip_rows
from ccs_exp.statistics.intervals import paired


def effects(samples=400, conditions=4, missing=60, seed=1):
    rng = np.random.default_rng(seed)
    original = rng.normal(5.0, 3.0, size=samples)
    silenced = original - rng.normal(np.arange(conditions)[:, None] * 0.3, 1.0, size=(conditions, samples))
    original[rng.permutation(samples)[:missing]] = np.nan
    silenced[:, np.isnan(original)] = np.nan
    return original.astype(np.float32), silenced.astype(np.float32)


def test_silencing_nothing_costs_nothing():
    original, _ = effects()
    found = costs(original, original[None])
    assert (found.cost, found.low, found.high, found.standardised, found.p) == (0, 0, 0, 0, 1)


def test_costs_are_those_of_the_samples_that_the_task_has():
    original, silenced = effects()
    known = ~np.isnan(original)
    found = costs(original, silenced)
    assert found.count == known.sum() == 340
    difference = (original - silenced)[:, known].astype(float)
    np.testing.assert_allclose(found.cost, difference.mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(found.standardised, difference.mean(axis=1) / original[known].std(ddof=1), rtol=1e-5)
    error = difference.std(axis=1) / np.sqrt(340)
    np.testing.assert_allclose(found.high - found.low, 2 * 1.96 * error, rtol=0.12)
    assert (found.low < found.cost).all() and (found.cost < found.high).all()
    assert (found.standardised_low < found.standardised).all() and (found.standardised < found.standardised_high).all()
    np.testing.assert_allclose(found.p, ttest_1samp(difference, 0, axis=1).pvalue)
    assert found.p[0] > 0.01 and (found.p[1:] < 1e-3).all()


def test_a_condition_s_cost_does_not_depend_on_the_others():
    original, silenced = effects()
    together, alone = costs(original, silenced), costs(original, silenced[2:3])
    for name in ("cost", "low", "high", "standardised", "standardised_low", "standardised_high", "p"):
        assert getattr(together, name)[2] == getattr(alone, name)[0], name
    np.testing.assert_array_equal(together.drawn[:, 2], alone.drawn[:, 0])


def test_half_precision_on_disk_moves_costs_little():
    original, silenced = effects()
    exact, rough = costs(original, silenced), costs(original.astype(np.float16), silenced.astype(np.float16))
    np.testing.assert_allclose(rough.cost, exact.cost, atol=2e-3)


def test_tasks_on_the_same_images_are_drawn_alike():
    """Two tasks with the same effects differ by nothing in every draw, also where each lacks some images."""
    original, silenced = effects(missing=0)
    first, second = costs(original, silenced), costs(original, silenced + 0.5)
    scale = original.std(ddof=1)
    assert (first.drawn - second.drawn).std() < 0.1 * first.drawn.std()
    assert (first.drawn - second.drawn).mean() == pytest.approx(0.5 / scale, rel=0.01)


def test_the_spread_of_donors_enters_the_interval():
    original, silenced = effects()
    alike = costs(original, np.stack([silenced] * 5))
    one = costs(original, silenced)
    np.testing.assert_allclose(alike.cost, one.cost, rtol=1e-6)
    np.testing.assert_allclose(alike.low, one.low, rtol=1e-6)
    apart = costs(original, np.stack([silenced + shift for shift in (-1, -0.5, 0, 0.5, 1)]))
    np.testing.assert_allclose(apart.cost, one.cost, atol=1e-5)
    assert (apart.high - apart.low > 3 * (one.high - one.low)).all()


def test_what_a_task_does_not_have_is_absent():
    nothing = costs(np.full(5, np.nan, dtype=np.float32), np.full((2, 5), np.nan, dtype=np.float32))
    assert nothing.count == 0 and np.isnan(nothing.cost).all()
    assert cost_rows("shape", "margin", ["a", "b"], nothing)[1]["cost"] is None
    constant = costs(np.ones(8, np.float32), np.zeros((1, 8), np.float32))
    assert np.isnan(constant.p)
    assert constant.cost == 1 and np.isnan(constant.standardised) and np.isnan(constant.standardised_low)


def test_rows_carry_the_numbers():
    original, silenced = effects()
    found = costs(original, silenced)
    row = cost_rows("shape", "margin", ["a", "b", "c", "d"], found)[3]
    assert (row["task"], row["condition"], row["measure"], row["count"]) == ("shape", "d", "margin", 340)
    assert (row["cost"], row["cost_low"], row["cost_high"], row["p"]) == (found.cost[3], found.low[3], found.high[3], found.p[3])
    assert row["standardised_high"] == found.standardised_high[3]


def test_flips_are_the_paired_comparison_turned_round():
    rng = np.random.default_rng(3)
    before = rng.random(300) < 0.9
    after = before & (rng.random((2, 300)) < 0.95)
    for row, silenced in zip(flip_rows("shape", ["a", "b"], before, after), after, strict=True):
        told = paired(before, silenced)
        assert (row["became_wrong"], row["became_right"], row["p"]) == (told.lost, told.gained, told.p)
        assert (row["cost"], row["cost_low"], row["cost_high"]) == (-told.delta, -told.interval.high, -told.interval.low)
    assert flip_rows("shape", ["a"], before[:0], after[:1, :0])[0]["cost"] is None


def test_captions_of_one_video_are_one_piece_of_evidence():
    """Repeating each query forty times changes neither cost, interval nor p."""
    rng = np.random.default_rng(5)
    ranks = rng.integers(1, 50, size=(3, 30)).astype(float)
    before, after = -np.log(ranks[0]), -np.log(ranks[1:])
    single = costs(before, after, np.arange(30))
    copied = costs(np.repeat(before, 40), np.repeat(after, 40, axis=1), np.repeat(np.arange(30), 40))
    for name in ("cost", "low", "high", "p"):
        np.testing.assert_allclose(getattr(copied, name), getattr(single, name), rtol=1e-5)
    assert single.cost[0] == pytest.approx(np.log(ranks[1] / ranks[0]).mean())
    assert (costs(np.repeat(before, 40), np.repeat(after, 40, axis=1)).p < single.p).all()
