"""TEXTSPAN from moments against the plain algorithm on full matrices."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_textspan import plain_textspan

from ccs_exp.clip.readout import contribution_maps, read_heads
from ccs_exp.errors import CcsError
from ccs_exp.heads import Head
from ccs_exp.scoring.moments import HeadMoments
from ccs_exp.scoring.textspan import textspan


def random_problem(seed, images, k, dim, pool, heads=3):
    rng = np.random.default_rng(seed)
    scales = rng.uniform(0.1, 3.0, size=(heads, 1, k))
    u = rng.normal(size=(heads, images, k)) * scales + rng.normal(size=(heads, 1, k))
    maps = rng.normal(size=(heads, k, dim))
    texts = rng.normal(size=(pool, dim))
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    names = tuple(Head(0, index) for index in range(heads))
    moments = HeadMoments.of(names, torch.from_numpy(u).transpose(0, 1))
    return u, maps, texts, moments


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(7, 60), st.integers(6, 20), st.integers(12, 40), st.integers(5, 80))
def test_same_picks_in_the_same_order(seed, images, k, dim, pool):
    u, maps, texts, moments = random_problem(seed, images, k, dim, pool)
    spans = textspan(moments, torch.from_numpy(maps), torch.from_numpy(texts))
    for head in range(3):
        picks, explained = plain_textspan(u[head] @ maps[head], texts)
        assert spans.picks[head].tolist() == picks
        assert spans.explained_variance[head].item() == pytest.approx(explained, abs=1e-9)


def test_fewer_images_than_dimensions_span_less():
    """With 8 images the span has 8 dimensions of 16; projecting on it matters for the picks."""
    u, maps, texts, moments = random_problem(5, images=8, k=16, dim=32, pool=200)
    spans = textspan(moments, torch.from_numpy(maps), torch.from_numpy(texts))
    for head in range(3):
        assert spans.picks[head].tolist() == plain_textspan(u[head] @ maps[head], texts)[0]


@torch.no_grad()
@pytest.mark.parametrize("shares", ["direct", "reference"])
def test_real_structure_gives_the_same_picks(model, shares):
    pixels = torch.randn(120, 3, 32, 32, generator=torch.Generator().manual_seed(4))
    layers = range(2, 6)
    readout = read_heads(model, pixels, layers)
    maps = contribution_maps(model, layers, shares)
    texts = torch.nn.functional.normalize(torch.randn(300, 48, generator=torch.Generator().manual_seed(5)), dim=-1)
    moments = HeadMoments.of(model.scored_heads, readout.coefficients)
    spans = textspan(moments, maps, texts)
    contributions = torch.einsum("bhk,hkd->hbd", readout.coefficients, maps).numpy()
    for head in range(len(model.scored_heads)):
        assert spans.picks[head].tolist() == plain_textspan(contributions[head], texts.numpy())[0], str(model.scored_heads[head])


@given(st.integers(1, 9), st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_moments_of_a_union_are_the_sum_of_moments(cut, seed):
    coefficients = torch.randn(10, 2, 7, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    heads = (Head(0, 0), Head(0, 1))
    whole = HeadMoments.of(heads, coefficients)
    parts = HeadMoments.of(heads, coefficients[:cut]) + HeadMoments.of(heads, coefficients[cut:])
    assert parts.num_images == 10
    torch.testing.assert_close(parts.first, whole.first, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(parts.second, whole.second, rtol=1e-12, atol=1e-12)


def test_the_order_of_images_does_not_matter():
    u, maps, texts, moments = random_problem(1, 50, 8, 20, 40)
    shuffled = HeadMoments.of(moments.heads, torch.from_numpy(u[:, np.random.default_rng(0).permutation(50)]).transpose(0, 1))
    args = torch.from_numpy(maps), torch.from_numpy(texts)
    assert torch.equal(textspan(moments, *args).picks, textspan(shuffled, *args).picks)


def test_five_picks_explain_more_than_four_and_never_repeat():
    _, maps, texts, moments = random_problem(2, 50, 8, 20, 40)
    args = moments, torch.from_numpy(maps), torch.from_numpy(texts)
    five, four = textspan(*args), textspan(*args, descriptions=4)
    assert torch.equal(five.picks[:, :4], four.picks)
    assert (five.explained_variance > four.explained_variance).all() and (five.explained_variance <= 1 + 1e-12).all()
    assert all(len(set(picks)) == 5 for picks in five.picks.tolist())


def test_more_picks_than_a_head_has_variance_for_is_an_error():
    _, maps, texts, moments = random_problem(3, images=5, k=8, dim=20, pool=40)
    with pytest.raises(CcsError, match=r"5 probe images .* fewer than 5 dimensions .*L0\.H0 \(4\)"):
        textspan(moments, torch.from_numpy(maps), torch.from_numpy(texts))


def test_a_pool_whose_entries_embed_alike_is_an_error_not_noise():
    _, maps, texts, moments = random_problem(3, images=50, k=8, dim=20, pool=3)
    alike = torch.from_numpy(np.concatenate([texts, texts[:1] + 1e-9, texts[1:2], texts[:1]]))
    with pytest.raises(CcsError, match=r"After 3 picks no description .* says anything more of L0\.H0, L0\.H1"):
        textspan(moments, torch.from_numpy(maps), alike)


def test_a_pool_of_four_is_an_error():
    _, maps, texts, moments = random_problem(3, 30, 8, 20, 4)
    with pytest.raises(CcsError, match="pool has 4 descriptions"):
        textspan(moments, torch.from_numpy(maps), torch.from_numpy(texts))


@pytest.mark.parametrize("seed", range(40))
def test_of_equal_descriptions_the_first_is_picked(seed):
    u, maps, texts, moments = random_problem(seed, images=30, k=8, dim=24, pool=37)
    rng = np.random.default_rng(seed)
    twins = rng.permutation(37)[:20]
    doubled = np.concatenate([texts, texts[twins]])[rng.permutation(57)]
    spans = textspan(moments, torch.from_numpy(maps), torch.from_numpy(doubled))
    first = {row.tobytes(): index for index, row in reversed(list(enumerate(doubled)))}
    for head in range(3):
        picks = spans.picks[head].tolist()
        assert picks == [first[doubled[pick].tobytes()] for pick in picks]
        assert picks == [first[doubled[pick].tobytes()] for pick in plain_textspan(u[head] @ maps[head], doubled)[0]]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("where", ["moments", "pool"])
def test_numbers_that_are_none_are_an_error(bad, where):
    _, maps, texts, moments = random_problem(0, 30, 8, 24, 20)
    if where == "moments":
        moments.second[1, 2, 2] = bad
    else:
        texts[3, 3] = bad
    with pytest.raises(CcsError, match="not all finite numbers. Use precision=32"):
        textspan(moments, torch.from_numpy(maps), torch.from_numpy(texts))
