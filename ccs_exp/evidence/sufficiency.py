"""Whether its descriptions are enough of a head: its contribution replaced by its mean plus its projection on what they span.

clip_text_span's completeness, for every head. A contribution ``c = u @ M`` becomes ``u @ matrix + offset``; the embedding changes by the
difference, and is not renormalised.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ccs_exp.scoring.head_space import HeadSpace
from ccs_exp.scoring.moments import HeadMoments
from ccs_exp.scoring.textspan import DESCRIPTIONS_PER_HEAD, span_projection

_DEPENDENT = 1e-10  # of the largest: directions shorter than this are rounding


class Replacement(NamedTuple):
    """What stands in for each head's contribution, as functions of its coefficients, and the share of its variance that it keeps."""

    matrix: Float[Tensor, "heads k dim"]
    offset: Float[Tensor, "heads dim"]
    kept_variance: Float[Tensor, " heads"]

    def change(
        self, coefficients: Float[Tensor, "batch heads k"], maps: Float[Tensor, "heads k dim"]
    ) -> Float[Tensor, "batch heads dim"]:
        """What is added to the normalised embedding where a head alone is replaced; of several heads the sum."""
        return torch.einsum("bhk,hkd->bhd", coefficients, (self.matrix - maps).to(coefficients)) + self.offset.to(coefficients)


def of_descriptions(
    moments: HeadMoments, maps: Float[Tensor, "heads k dim"], texts: Float[Tensor, "heads descriptions dim"]
) -> Replacement:
    """Mean plus projection on the span of each head's descriptions, as TEXTSPAN removes them: in the head's space, on what it spans.

    `moments` are of the probe, `texts` L2-normalised embeddings. ``kept_variance`` is TEXTSPAN's explained variance.
    """
    space = HeadSpace.of(maps)
    seen = space.of_texts(texts) @ span_projection(space.second(moments))  # [heads, descriptions, r]
    return _replacement(moments, space, torch.linalg.pinv(seen, rtol=_DEPENDENT) @ seen)


def of_random_descriptions(
    moments: HeadMoments, maps: Float[Tensor, "heads k dim"], pool: Float[Tensor, "pool dim"], seed: int = 0
) -> Replacement:
    """The same of five descriptions of the pool drawn for each head: what five directions hold anyway."""
    return of_descriptions(moments, maps, pool[random_picks(len(moments.heads), len(pool), seed)])


def random_picks(heads: int, pool: int, seed: int = 0) -> Int[Tensor, "heads descriptions"]:
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randperm(pool, generator=generator)[:DESCRIPTIONS_PER_HEAD] for _ in range(heads)])


def of_principal_directions(
    moments: HeadMoments, maps: Float[Tensor, "heads k dim"], directions: int = DESCRIPTIONS_PER_HEAD
) -> Replacement:
    """The same of each head's first principal directions: no span of as many directions keeps more variance."""
    space = HeadSpace.of(maps)
    vectors = torch.linalg.eigh(_covariance(moments, space)).eigenvectors[:, :, -directions:]
    return _replacement(moments, space, vectors @ vectors.transpose(1, 2))


def of_means(moments: HeadMoments, maps: Float[Tensor, "heads k dim"]) -> Replacement:
    """The means alone: nothing of what the head says of an image."""
    space = HeadSpace.of(maps)
    return _replacement(moments, space, torch.zeros_like(space.second(moments)))


def _replacement(moments: HeadMoments, space: HeadSpace, projection: Float[Tensor, "heads r r"]) -> Replacement:
    matrix = space.coordinates.transpose(1, 2) @ projection @ space.basis.transpose(1, 2)
    mean = space.mean(moments)
    rest = mean - (projection @ mean[..., None])[..., 0]
    covariance = _covariance(moments, space)
    variance = [matrices.diagonal(dim1=1, dim2=2).sum(dim=-1) for matrices in (projection @ covariance, covariance)]
    return Replacement(matrix, (space.basis @ rest[..., None])[..., 0], variance[0] / variance[1])


def _covariance(moments: HeadMoments, space: HeadSpace) -> Float[Tensor, "heads r r"]:
    mean = space.mean(moments)
    return space.second(moments) - mean[:, :, None] * mean[:, None, :]
