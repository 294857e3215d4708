"""Replaced contributions against the plain algorithm on full matrices."""

import numpy as np
import pytest
import torch
from plain_textspan import plain_textspan

from ccs_exp.evidence.sufficiency import of_descriptions, of_means, of_principal_directions, of_random_descriptions, random_picks
from ccs_exp.heads import Head
from ccs_exp.scoring.moments import HeadMoments
from ccs_exp.scoring.textspan import textspan

HEADS = (Head(0, 0), Head(0, 1))


def problem(images=60, k=12, dim=30, pool=80, seed=0):
    rng = np.random.default_rng(seed)
    u = torch.from_numpy(rng.normal(size=(images, 2, k)) * rng.uniform(0.1, 3, size=(2, k)) + rng.normal(size=(2, k)))
    maps = torch.from_numpy(rng.normal(size=(2, k, dim)))
    texts = torch.nn.functional.normalize(torch.from_numpy(rng.normal(size=(pool, dim))), dim=-1)
    return u, maps, texts, HeadMoments.of(HEADS, u)


def replaced(replacement, u, maps):
    """The contributions that stand in, ``[heads, images, dim]``."""
    return (torch.einsum("bhk,hkd->bhd", u, maps) + replacement.change(u, maps)).transpose(0, 1).numpy()


def plain_completeness(contributions, texts):
    """Mean plus projection on the span of texts, as TEXTSPAN projects and removes them."""
    _, singular, rows = np.linalg.svd(contributions, full_matrices=False)
    span = rows[singular > 1e-6 * singular[0]]
    mean = contributions.mean(axis=0)
    left, kept = contributions - mean, np.zeros_like(contributions)
    texts = texts @ span.T @ span
    for place in range(len(texts)):
        direction = texts[place] / np.linalg.norm(texts[place])
        part = np.outer(left @ direction, direction)
        kept, left = kept + part, left - part
        texts = texts - np.outer(texts @ direction, direction)
    return mean + kept


@pytest.mark.parametrize("images", [60, 9])  # of nine images the span has nine dimensions of twelve
def test_the_five_descriptions_are_projected_on_as_textspan_removes_them(images):
    u, maps, texts, moments = problem(images)
    spans = textspan(moments, maps, texts)
    found = of_descriptions(moments, maps, texts[spans.picks])
    for head, contributions in enumerate(torch.einsum("bhk,hkd->hbd", u, maps).numpy()):
        picks, explained = plain_textspan(contributions, texts.numpy())
        expected = plain_completeness(contributions, texts.numpy()[picks])
        np.testing.assert_allclose(replaced(found, u, maps)[head], expected, atol=1e-8)
        assert found.kept_variance[head] == pytest.approx(explained) == float(spans.explained_variance[head])


def test_random_descriptions_are_five_of_the_pool_for_each_head():
    u, maps, texts, moments = problem()
    picks = random_picks(2, 80, seed=3)
    found = of_random_descriptions(moments, maps, texts, seed=3)
    assert picks.shape == (2, 5) and all(len(set(row)) == 5 for row in picks.tolist()) and (picks[0] != picks[1]).any()
    for head, contributions in enumerate(torch.einsum("bhk,hkd->hbd", u, maps).numpy()):
        expected = plain_completeness(contributions, texts.numpy()[picks[head]])
        np.testing.assert_allclose(replaced(found, u, maps)[head], expected, atol=1e-8)


def test_descriptions_that_say_the_same_span_less():
    _, maps, texts, moments = problem()
    twice = texts[torch.tensor([[0, 1, 2, 0, 1]] * 2)]
    torch.testing.assert_close(of_descriptions(moments, maps, twice).matrix, of_descriptions(moments, maps, twice[:, :3]).matrix)


def test_principal_directions_are_the_ceiling_and_all_of_them_the_original():
    u, maps, texts, moments = problem()
    principal = of_principal_directions(moments, maps)
    for other in (
        of_descriptions(moments, maps, texts[textspan(moments, maps, texts).picks]),
        of_random_descriptions(moments, maps, texts),
    ):
        assert (other.kept_variance < principal.kept_variance).all()
    everything = of_principal_directions(moments, maps, 12)
    assert everything.change(u, maps).abs().max() < 1e-8 and everything.kept_variance.numpy() == pytest.approx(1)
    eigenvalues = np.linalg.eigvalsh(np.cov(torch.einsum("bk,kd->bd", u[:, 0], maps[0]).numpy().T))
    assert principal.kept_variance[0] == pytest.approx(eigenvalues[-5:].sum() / eigenvalues.sum())


def test_means_alone_say_the_same_of_every_image():
    u, maps, _, moments = problem()
    contributions = torch.einsum("bhk,hkd->hbd", u, maps).numpy()
    found = of_means(moments, maps)
    np.testing.assert_allclose(
        replaced(found, u, maps), np.broadcast_to(contributions.mean(axis=1, keepdims=True), contributions.shape)
    )
    assert (found.kept_variance == 0).all()
