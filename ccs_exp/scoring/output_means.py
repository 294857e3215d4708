"""Sums of the heads' outputs over the probe, with nothing silenced: ``ablation=mean`` and ``ablation=direct`` put their means in place."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ccs_exp.clip.layers import float64
from ccs_exp.errors import CcsError
from ccs_exp.store import Members, json_as, pack_tensors, unpack_tensors

Sums = dict[int, Float[Tensor, "heads *positions head_dim"]]  # by layer


@dataclass
class OutputSums:
    """Sums over images, in float64, of every head of every layer: their size depends on the model, not on the number of images.

    Attributes:
        outputs: of ``z`` at each token position, ``[heads, tokens, head_dim]``; of the last layer at the class token alone, where the
            embedding is read from it.
        coefficients: of ``u`` (`ccs_exp.clip.readout`), ``[heads, k]``, ``z / (sigma n)`` at the class token for instance.
    """

    num_images: int = 0
    outputs: Sums = field(default_factory=dict)
    coefficients: Sums = field(default_factory=dict)

    def see(self, layer: int, z: Float[Tensor, "batch heads tokens head_dim"]) -> None:
        self.outputs = _added(self.outputs, {layer: float64(z).sum(dim=0)})

    def see_coefficients(self, u: Float[Tensor, "batch layers heads head_dim"]) -> None:
        """The batch's, once its outputs were seen."""
        self.coefficients = _added(self.coefficients, dict(enumerate(u.sum(dim=0))))
        self.num_images += len(u)

    def __add__(self, other: OutputSums) -> OutputSums:
        """The sums over the union of two disjoint sets of images."""
        return OutputSums(
            self.num_images + other.num_images,
            _added(self.outputs, other.outputs),
            _added(self.coefficients, other.coefficients),
        )

    def cpu(self) -> OutputSums:
        return OutputSums(self.num_images, *({layer: x.cpu() for layer, x in s.items()} for s in (self.outputs, self.coefficients)))

    def mean(self, sums: Sums) -> Sums:
        """The means of `outputs` or of `coefficients`. Raises `CcsError` for those of a single image."""
        if self.num_images < 2:
            raise CcsError(
                f"The probe has {self.num_images} image: a mean needs at least two. Raise probe.num_images, or use ablation=zero."
            )
        return {layer: values / self.num_images for layer, values in sums.items()}


def _added(first: Sums, second: Sums) -> Sums:
    return first | {layer: first[layer] + values if layer in first else values for layer, values in second.items()}


def pack_sums(sums: OutputSums) -> dict[str, bytes]:
    outputs = {f"outputs/{layer}": values for layer, values in sums.outputs.items()}
    coefficients = {f"coefficients/{layer}": values for layer, values in sums.coefficients.items()}
    return {"num_images": json.dumps(sums.num_images).encode()} | pack_tensors(outputs | coefficients)


def unpack_sums(members: Members) -> OutputSums:
    """What `pack_sums` made. Raises on anything else."""
    found: dict[str, Any] = {"outputs": {}, "coefficients": {}}
    for name, values in unpack_tensors(members).items():
        of, _, layer = name.partition("/")
        if values.dtype != torch.float64 or values.ndim < 2:
            raise ValueError(f"{name} holds {tuple(values.shape)} numbers of {values.dtype}")
        found[of][int(layer)] = values
    return OutputSums(json_as(int, members["num_images"]), **found)
