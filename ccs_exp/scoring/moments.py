"""First and second moments of the heads' coefficients over the probe images: all that TEXTSPAN needs of them."""

from __future__ import annotations

import json
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ccs_exp.heads import Head
from ccs_exp.store import Members, json_as, pack_tensors, unpack_tensors


@dataclass
class HeadMoments:
    """Sums over images, in float64, on the device of the images until `cpu`: their size depends on the heads, not on the number of images.

    `first` is the sum of the coefficient vectors of each head, `second` the sum of their outer products.
    """

    heads: tuple[Head, ...]
    num_images: int
    first: Float[Tensor, "heads k"]
    second: Float[Tensor, "heads k k"]

    @classmethod
    def empty(cls, heads: tuple[Head, ...], coefficients: int) -> HeadMoments:
        return cls(
            heads,
            0,
            torch.zeros(len(heads), coefficients, dtype=torch.float64),
            torch.zeros(len(heads), coefficients, coefficients, dtype=torch.float64),
        )

    @classmethod
    def of(cls, heads: tuple[Head, ...], coefficients: Float[Tensor, "batch heads k"]) -> HeadMoments:
        """The moments of one batch."""
        per_head = coefficients.double().transpose(0, 1)  # [heads, batch, k]
        second = per_head.transpose(1, 2) @ per_head
        return cls(heads, coefficients.shape[0], per_head.sum(dim=1), second)

    def __add__(self, other: HeadMoments) -> HeadMoments:
        """The moments of the union of two disjoint sets of images."""
        if self.heads != other.heads:
            raise ValueError("Moments of different heads do not add up.")
        device = other.first.device  # of two, the one that images are on: what was gathered before follows
        first, second = self.first.to(device), self.second.to(device)
        return HeadMoments(self.heads, self.num_images + other.num_images, first + other.first, second + other.second)

    def of_heads(self, start: int, stop: int) -> HeadMoments:
        """Those of some of the heads, by their places."""
        return HeadMoments(self.heads[start:stop], self.num_images, self.first[start:stop], self.second[start:stop])

    def cpu(self) -> HeadMoments:
        return HeadMoments(self.heads, self.num_images, self.first.cpu(), self.second.cpu())


def pack_moments(moments: HeadMoments) -> dict[str, bytes]:
    head = {"heads": [str(head) for head in moments.heads], "num_images": moments.num_images}
    return {"moments": json.dumps(head).encode()} | pack_tensors({"first": moments.first, "second": moments.second})


def unpack_moments(members: Members) -> HeadMoments:
    """What `pack_moments` made. Raises on anything else."""
    head = json_as(_Head, members["moments"])
    count = len(head.heads)
    tensors = unpack_tensors(members, first=(count, None), second=(count, None, None))
    first, second = tensors["first"], tensors["second"]
    if second.shape[1:] != (first.shape[1],) * 2 or {first.dtype, second.dtype} != {torch.float64}:
        raise ValueError(f"moments of {tuple(first.shape)} {first.dtype} and {tuple(second.shape)} {second.dtype} coefficients")
    return HeadMoments(tuple(map(Head.parse, head.heads)), head.num_images, first, second)


@dataclass
class _Head:
    heads: list[str]
    num_images: int
