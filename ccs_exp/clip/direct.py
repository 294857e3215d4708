"""``ablation=direct``: heads replaced in the image embedding itself, all of them from one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ccs_exp.clip.engine import Engine
from ccs_exp.clip.model import ClipModel
from ccs_exp.clip.readout import contribution_maps, read_heads
from ccs_exp.heads import Head, check_heads


class DirectEngine(Engine):
    """Nothing in the network changes: the contribution ``c_h(x)`` of each silenced head to the normalised embedding is replaced by its
    mean over the probe, and the embedding is not normalised again, so that what heads change in logits adds up.

    Args:
        coefficients: the mean over the probe of ``u`` (`ccs_exp.clip.readout`) of the heads of each layer, in double precision.
    """

    def __init__(self, coefficients: Mapping[int, Float[Tensor, "heads k"]]) -> None:
        super().__init__()
        self.coefficients = coefficients
        self._maps: dict[int, Float[Tensor, "heads k dim"]] = {}  # of each layer, on the model's device

    def encode(
        self,
        model: ClipModel,
        pixels: Float[Tensor, "batch 3 height width"],
        masks: Sequence[frozenset[Head]],
        sample_ids: Sequence[str] = (),
        seeds: Sequence[int] | None = None,
    ) -> Float[Tensor, "masks batch dim"]:
        """Embeddings of all masks from one pass; only that of a mask without heads is sure to be normalised."""
        masks = [check_heads(heads, model.layers, model.heads_per_layer, model.name) for heads in masks]
        layers = range(min((head.layer for heads in masks for head in heads), default=model.layers - 1), model.layers)
        readout = read_heads(model, pixels, layers)
        mean = torch.cat([self.coefficients[layer] for layer in layers]).to(readout.coefficients.device)
        u = readout.coefficients[..., : mean.shape[-1]]  # [batch, heads, k]
        maps = torch.cat([self._map(model, layer, u.device) for layer in layers])
        changes = torch.einsum("bhk,hkd->hbd", mean - u, maps)
        silenced = torch.tensor(
            [[Head(layer, index) in heads for layer in layers for index in range(model.heads_per_layer)] for heads in masks],
            dtype=changes.dtype,
            device=changes.device,
        )
        changed = torch.einsum("mh,hbd->mbd", silenced, changes).to(readout.embedding)
        return readout.embedding + changed

    def layer_passes(self, layers: int, masks: Sequence[frozenset[Head]], seeds: Sequence[int] | None = None) -> int:
        return layers

    def _map(self, model: ClipModel, layer: int, device: torch.device) -> Float[Tensor, "heads k dim"]:
        if layer not in self._maps:
            own = self.coefficients[layer].shape[-1]  # what follows in the maps belongs to the shared coefficients, and is zero
            self._maps[layer] = contribution_maps(model, range(layer, layer + 1), "direct")[:, :own].to(device)
        return self._maps[layer]
