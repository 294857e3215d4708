"""The space that a head can write to: with ``c = u @ M`` a contribution, coordinates ``y`` in which ``|y| = |c|``.

They come from ``M^T = Q R``: ``y = R u`` and ``c = Q y``, so that sums, norms and projections of contributions are taken in the head's 64
dimensions instead of the embedding's 768.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ccs_exp.scoring.moments import HeadMoments


@dataclass(frozen=True)
class HeadSpace:
    """`basis` Q and `coordinates` R of every head, float64."""

    basis: Float[Tensor, "heads dim r"]
    coordinates: Float[Tensor, "heads r k"]

    @classmethod
    def of(cls, maps: Float[Tensor, "heads k dim"]) -> HeadSpace:
        """`maps`: from coefficients to contributions (`ccs_exp.clip.readout.contribution_maps`)."""
        towards = maps.double().transpose(1, 2)  # [heads, dim, k]
        heads, dim, k = towards.shape
        if k >= dim:  # as many as the embedding has, as under an attentional pool: its own axes serve
            return cls(torch.eye(dim, dtype=torch.float64).expand(heads, dim, dim), towards)
        return cls(*torch.linalg.qr(towards))

    def of_coefficients(self, coefficients: Float[Tensor, "batch heads k"]) -> Float[Tensor, "batch heads r"]:
        return torch.einsum("bhk,hrk->bhr", coefficients, self.coordinates.to(coefficients))

    def of_texts(self, texts: Float[Tensor, "*heads texts dim"]) -> Float[Tensor, "heads texts r"]:
        """What a head sees of text embeddings, the same for all heads or its own."""
        return texts.to(self.basis) @ self.basis

    def mean(self, moments: HeadMoments) -> Float[Tensor, "heads r"]:
        return (self.coordinates @ (moments.first / moments.num_images)[..., None])[..., 0]

    def second(self, moments: HeadMoments) -> Float[Tensor, "heads r r"]:
        """Uncentred second moments."""
        return self.coordinates @ (moments.second / moments.num_images) @ self.coordinates.transpose(1, 2)
