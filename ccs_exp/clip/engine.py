"""Encoding one batch of images under several head masks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from ccs_exp.clip.ablation import Ablation
from ccs_exp.clip.hooks import masked
from ccs_exp.clip.model import ClipModel
from ccs_exp.heads import Head


class Engine(ABC):
    """Gives the embeddings of the same images under each mask; how the masks share work is the engine's affair.

    `warnings` says what an engine had to do otherwise than it was configured; `seeds`: under each of which every mask is to be
    encoded, more than one where outputs are resampled.
    """

    def __init__(self, ablation: Ablation | None = None) -> None:
        self.ablation = ablation or Ablation()
        self.warnings: list[str] = []

    @property
    def seeds(self) -> tuple[int, ...]:
        return self.ablation.seeds

    @abstractmethod
    def encode(
        self,
        model: ClipModel,
        pixels: Float[Tensor, "batch 3 height width"],
        masks: Sequence[frozenset[Head]],
        sample_ids: Sequence[str] = (),
        seeds: Sequence[int] | None = None,
    ) -> Float[Tensor, "masks batch dim"]:
        """Embeddings, one row of the first axis for each mask; L2-normalised, unless heads are replaced in the embedding itself.

        Args:
            sample_ids: of the images; needed where outputs are resampled.
            seeds: for each mask, which donors it has, where outputs are resampled; by default 0.
        """

    @abstractmethod
    def layer_passes(self, layers: int, masks: Sequence[frozenset[Head]], seeds: Sequence[int] | None = None) -> int:
        """Of an encoder of so many layers, that `encode` takes for each batch (`ccs_exp.clip.operations`)."""


class PlainEngine(Engine):
    """One full forward pass of open_clip's own encoder for each mask: the reference for every faster engine."""

    def encode(
        self,
        model: ClipModel,
        pixels: Tensor,
        masks: Sequence[frozenset[Head]],
        sample_ids: Sequence[str] = (),
        seeds: Sequence[int] | None = None,
    ) -> Tensor:
        seeds = seeds or [0] * len(masks)
        self.ablation = self.ablation.on(model.device)
        embeddings = []
        for heads, replacement in zip(masks, self.ablation.replacements(pixels, sample_ids, seeds), strict=True):
            with masked(model, heads, replacement):
                embeddings.append(F.normalize(model.clip.encode_image(pixels), dim=-1))
        return torch.stack(embeddings)

    def layer_passes(self, layers: int, masks: Sequence[frozenset[Head]], seeds: Sequence[int] | None = None) -> int:
        return layers * len(masks)
