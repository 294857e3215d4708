"""Omega squared from streaming sums: against the plain formula, by its laws, its interval and its null."""

import numpy as np
import pytest
import torch

from ccs_exp import load_model
from ccs_exp.clip.readout import contribution_maps, read_heads
from ccs_exp.data.bundled.scenes import FACTORS, Scenes
from ccs_exp.evidence.represents import COLUMNS, Cells, FactorSums, number_of_blocks, representation
from ccs_exp.heads import Head
from ccs_exp.scoring.head_space import HeadSpace
from ccs_exp.statistics.resampling import hashed_parts


def plain_omega2(contributions, values):
    """Section 4 of the definition, on one head's contributions ``[images, dim]``."""
    known = values >= 0
    c, values = contributions[known], values[known]
    names = sorted(set(values.tolist()))
    total = ((c - c.mean(axis=0)) ** 2).sum()
    between = sum((values == v).sum() * ((c[values == v].mean(axis=0) - c.mean(axis=0)) ** 2).sum() for v in names)
    within = (total - between) / (len(c) - len(names))
    return (between - (len(names) - 1) * within) / (total + within)


def summed(y, values, num_values=None, blocks=None, hashes=None):
    y = torch.as_tensor(y)
    found = FactorSums.empty(num_values or int(values.max()) + 1, y.shape[1], y.shape[2], blocks)
    found.add(y, torch.as_tensor(values), torch.arange(len(y)) if hashes is None else torch.as_tensor(hashes))
    return found


def scene(images=400, heads=3, r=5, num_values=4, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.integers(num_values, size=images)
    values[rng.random(images) < 0.2] = -1
    y = rng.normal(size=(images, heads, r)) + 3
    y[:, 1] += rng.normal(size=(num_values + 1, r))[values]  # the second head knows the factor
    return y, values


def test_omega_squared_is_the_plain_formula_over_the_images_that_have_the_factor():
    y, values = scene()
    found = Cells.of(summed(y, values)).omega2
    for head in range(3):
        assert found[head] == pytest.approx(plain_omega2(y[:, head], values), abs=1e-9)
    assert found[1] > 0.3 > found[0]


def test_norms_are_those_of_the_contributions():
    """Coefficients go through ``M`` to the embedding: omega squared is that of ``c = u @ M``, not of ``u``."""
    rng = np.random.default_rng(1)
    u, values = rng.normal(size=(200, 2, 6)), rng.integers(3, size=200)
    u[:, :, 0] += values[:, None]
    maps = torch.from_numpy(rng.normal(size=(2, 6, 20)) * np.array([0.1, 1, 1, 1, 1, 5])[:, None])
    space = HeadSpace.of(maps)
    y = space.of_coefficients(torch.from_numpy(u))
    contributions = np.einsum("bhk,hkd->bhd", u, maps.numpy())
    np.testing.assert_allclose(y.norm(dim=-1), np.linalg.norm(contributions, axis=-1))
    np.testing.assert_allclose(torch.einsum("bhr,hdr->bhd", y, space.basis), contributions, atol=1e-9)
    for head in range(2):
        assert Cells.of(summed(y, values)).omega2[head] == pytest.approx(plain_omega2(contributions[:, head], values), abs=1e-9)


def test_batches_their_order_and_merging_do_not_matter():
    y, values = scene()
    hashes = torch.from_numpy(np.random.default_rng(2).integers(2**40, size=400))
    whole = summed(y, values, 4, 8, hashes)
    parts = [FactorSums.empty(4, 3, 5, 8) for _ in range(2)]
    for start in (300, 0, 200, 100):
        rows = slice(start, start + 100)
        parts[start // 200].add(torch.from_numpy(y[rows]), torch.from_numpy(values[rows]), hashes[rows])
    merged = parts[0] + parts[1]
    for name in ("sums", "squares", "counts"):
        torch.testing.assert_close(getattr(merged, name), getattr(whole, name))
    assert merged.sums.shape == (4, 8, 3, 5)  # and nothing of it grows with the images


def test_a_factor_copied_into_a_head_is_one_and_a_constant_head_is_empty():
    rng = np.random.default_rng(3)
    values = rng.integers(5, size=300)
    y = np.empty((300, 3, 4))
    y[:, 0] = rng.normal(size=(5, 4))[values] + 50
    y[:, 1] = rng.normal(size=4) + 1e-9 * rng.normal(size=(300, 4))  # constant but for rounding in single precision
    y[:, 2] = rng.normal(size=(300, 4))
    factor = summed(y, values)
    omega2 = Cells.of(factor).omega2
    assert omega2[0] == pytest.approx(1, abs=1e-6) and np.isnan(omega2[1]) and abs(omega2[2]) < 0.1
    found = representation([factor], resamples=50, permutations=19)
    assert found.represented == (0, None, None)
    rows = found.rows([Head(3, 0), Head(3, 1), Head(3, 2)], ["shape"])
    assert tuple(rows[0]) == COLUMNS and rows[0]["represented"] and rows[0]["omega2_low"] == pytest.approx(1, abs=1e-6)
    assert (rows[1]["omega2"], rows[1]["omega2_low"], rows[1]["null95"], rows[1]["represented"]) == (None, None, None, False)


@pytest.mark.parametrize(("values", "num_values"), [([0] * 6, 1), ([0] * 6, 3), ([0, 1, 2, 3, 4, 5], 6), ([-1] * 6, 2)])
def test_one_value_or_a_value_an_image_or_no_image_has_no_omega_squared(values, num_values):
    y = np.random.default_rng(4).normal(size=(6, 2, 3))
    factor = summed(y, np.array(values), num_values)
    assert np.isnan(Cells.of(factor).omega2).all()
    found = representation([factor], resamples=20, permutations=19)
    assert found.represented == (None, None) and np.isnan(found.low).all()


def test_shuffled_factors_are_called_represented_as_often_as_the_threshold_says():
    """Three factors a draw: with one threshold for each, some 14% of draws would find one."""
    rng = np.random.default_rng(5)
    called = 0
    for draw in range(50):  # of ten heads that have nothing to do with each other
        y = rng.standard_t(5, size=(240, 10, 6)) * np.array([3, 1, 1, 0.5, 0.3, 0.1]) + 2
        factors = [summed(y, rng.permutation(np.arange(240) % k), k, 12, rng.integers(2**40, size=240)) for k in (3, 5, 8)]
        represented = representation(factors, resamples=2, permutations=199, seed=draw).represented
        called += sum(factor is not None for factor in represented)
    assert 0.02 <= called / 500 <= 0.09


def test_the_null_is_that_of_permuted_images():
    """Blocks dealt out to the values give the quantile that permuting the values of images gives."""
    rng = np.random.default_rng(6)
    y = rng.normal(size=(600, 2, 4)) * np.array([2, 1, 0.5, 0.1])
    values = rng.integers(6, size=600)
    of_blocks = Cells.of(summed(y, values, 6, 20, rng.integers(2**40, size=600))).permuted(999, 0)
    of_images = np.array([[plain_omega2(y[:, head], rng.permutation(values)) for head in range(2)] for _ in range(600)])
    np.testing.assert_allclose(np.quantile(of_blocks, 0.95, axis=0), np.quantile(of_images, 0.95, axis=0), rtol=0.2)
    np.testing.assert_allclose(of_blocks.std(axis=0), of_images.std(axis=0), rtol=0.15)


@pytest.mark.parametrize("effect", [0.0, 0.3, 1.0])
def test_the_interval_covers(effect):
    """Of images drawn anew: at zero too, where an unmoved bootstrap lies above the truth."""
    rng = np.random.default_rng(7)
    centres = rng.normal(size=(5, 6))
    centres -= centres.mean(axis=0)
    between = effect**2 * (centres**2).mean(axis=0).sum()
    truth = between / (between + 6)
    covered = []
    for draw in range(80):
        values = rng.integers(5, size=500)
        y = (effect * centres[values] + rng.normal(size=(500, 6)))[:, None]
        found = representation(
            [summed(y, values, 5, 40, rng.integers(2**40, size=500))], resamples=199, permutations=1, seed=draw
        )
        covered.append(found.low[0, 0] <= truth <= found.high[0, 0])
    assert np.mean(covered) >= 0.86


@torch.no_grad()
def test_the_bundled_model_s_heads_represent_what_is_known_of_them():
    """Scenes of another seed than the figures (section 8 of the definition) were measured on, and fewer."""
    model, scenes = load_model("tiny"), Scenes(700, seed=5)
    layers = range(model.scored_heads[0].layer, model.layers)
    space = HeadSpace.of(contribution_maps(model, layers, "direct"))
    factors = [FactorSums.empty(len(values), len(model.scored_heads), space.basis.shape[2]) for values in FACTORS.values()]
    for start in range(0, 700, 100):
        batch = [scenes[place] for place in range(start, start + 100)]
        found = read_heads(model, torch.stack([model.preprocess(sample.image) for sample in batch]), layers)
        hashes = torch.from_numpy(hashed_parts([sample.sample_id for sample in batch], 2**40))
        for number, factor in enumerate(factors):
            targets = torch.tensor([sample.target[number] for sample in batch])
            factor.add(space.of_coefficients(found.coefficients), targets, hashes)
    found = representation(factors, resamples=99, permutations=99)
    for head, factor, omega2 in [
        (Head(5, 6), "background", 0.68),
        (Head(4, 7), "colour", 0.495),
        (Head(5, 4), "colour", 0.59),
        (Head(3, 6), "background", 0.42),
        (Head(5, 0), "size", 0.90),
    ]:
        place, number = model.scored_heads.index(head), list(FACTORS).index(factor)
        assert found.represented[place] == number
        assert found.omega2[place, number] == pytest.approx(omega2, abs=0.08)
        assert found.high[place, number] - found.low[place, number] < 0.2


def test_blocks_are_many_for_few_values_and_bounded_for_many():
    assert [number_of_blocks(values) for values in (2, 10, 40, 100, 200, 1000)] == [50, 50, 50, 20, 10, 5]
