"""What every scored head adds to every probe image's embedding, kept small enough to be looked at later.

A head writes to at most head_dim dimensions, so a contribution is kept as its coordinates there, along the head's own principal directions
over the images. Each is a whole number of 16 bits, counted in a step of its own from the mean: that is 6 KB an image for the 48 heads of
a ViT-B, and similarities to texts stay within a thousandth of their standard deviation. (16-bit floats miss that twofold for images that
lie far out along one direction.)
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int16
from torch import Tensor

from ccs_exp.heads import Head
from ccs_exp.scoring.head_space import HeadSpace
from ccs_exp.store import Members, json_as, pack_tensors, unpack_tensors

_LARGEST = 32767
_BYTES = np.dtype("<i2")


@dataclass(frozen=True)
class Counted:
    """Numbers as ``mean + step * counts``, the mean and step of each column their own; `counts` may lie in a file."""

    mean: Float[Tensor, "*columns"]
    step: Float[Tensor, "*columns"]
    counts: Int16[np.ndarray, "images ..."]

    @classmethod
    def of(cls, values: Float[Tensor, "images ..."]) -> Counted:
        mean = values.mean(dim=0, dtype=torch.float64)
        step = (values - mean).abs().amax(dim=0) / _LARGEST
        step[step == 0] = 1.0
        return cls(mean, step, ((values - mean) / step).round().to(torch.int16).numpy())

    def at(self, *place: int) -> Float[np.ndarray, "images columns"]:
        """The numbers, single precision, less their mean; where columns have two axes, those of a place on the first."""
        counts = self.counts[:, place[0]] if place else self.counts
        return counts * self.step[place].numpy().astype(np.float32)


@dataclass(frozen=True)
class Contributions:
    """Of all probe images that could be decoded, in their order.

    Attributes:
        basis: orthonormal, ``c = basis @ coordinates``; principal directions, the one of most variance first, signs such that the mean
            is not negative.
        digests: hexadecimal, of the pixels: equal where they are.
        embeddings: normalised, of the whole image.
    """

    heads: tuple[Head, ...]
    sample_ids: list[str]
    digests: list[str]
    basis: Float[Tensor, "heads dim r"]
    coordinates: Counted
    embeddings: Counted

    def __len__(self) -> int:
        return len(self.sample_ids)

    def along(self, head: int, direction: Float[Tensor, " dim"]) -> Float[np.ndarray, " images"]:
        """``c_h(x) . t`` of every image, for the head at that place."""
        seen = direction.to(self.basis) @ self.basis[head]
        varies = self.coordinates.at(head) @ seen.numpy().astype(np.float32)
        return varies.astype(np.float64) + float(self.coordinates.mean[head] @ seen)

    def whole_along(self, direction: Float[Tensor, " dim"]) -> Float[np.ndarray, " images"]:
        """``e(x) . t`` of every image."""
        t = direction.to(self.embeddings.mean)
        return (self.embeddings.at() @ t.numpy().astype(np.float32)).astype(np.float64) + float(self.embeddings.mean @ t)

    def shares(self, head: int) -> Float[np.ndarray, " r"]:
        """The share of a head's variance along each principal direction, the largest first; zeros for a head that does not vary."""
        variance = self.coordinates.at(head).var(axis=0, dtype=np.float64)
        return variance / (variance.sum() or 1.0)


@dataclass
class Seen:
    """What a pass gathers for contributions, in single precision: a batch at a time, in the order of the images."""

    sample_ids: list[str]
    digests: Sequence[bytes]
    coefficients: Float[Tensor, "batch heads head_dim"]
    embeddings: Float[Tensor, "batch dim"]

    def cpu(self) -> Seen:
        return Seen(self.sample_ids, self.digests, self.coefficients.cpu(), self.embeddings.cpu())


def contributions_of(heads: tuple[Head, ...], seen: Sequence[Seen], maps: Float[Tensor, "heads head_dim dim"]) -> Contributions:
    """From coefficients to what is kept. `maps`: `contribution_maps`, ``shares="direct"``, without the shared coefficients."""
    space, images = HeadSpace.of(maps), sum(len(batch.sample_ids) for batch in seen)
    rank = space.basis.shape[-1]
    basis = torch.empty_like(space.basis)
    mean, step = (torch.empty(len(heads), rank, dtype=torch.float64) for _ in range(2))
    counts = np.empty((images, len(heads), rank), dtype=_BYTES)
    for place in range(len(heads)):  # one head at a time: in double precision all would not fit where the pass just did
        y = torch.cat([batch.coefficients[:, place].double() for batch in seen]) @ space.coordinates[place].T  # [images, r]
        centred = y - y.mean(dim=0)
        turn = torch.linalg.eigh(centred.T @ centred).eigenvectors.flip(-1)
        turn = turn * torch.where(y.mean(dim=0) @ turn < 0, -1.0, 1.0)
        basis[place] = space.basis[place] @ turn
        counted = Counted.of(y @ turn)
        mean[place], step[place], counts[:, place] = counted.mean, counted.step, counted.counts
    return Contributions(
        heads,
        [sample for batch in seen for sample in batch.sample_ids],
        [digest.hex() for batch in seen for digest in batch.digests],
        basis,
        Counted(mean, step, counts),
        Counted.of(torch.cat([batch.embeddings.double() for batch in seen])),
    )


def contributions_bytes(images: int, heads: int, head_dim: int, dim: int) -> int:
    """What they take in the store, names of images aside.

    >>> contributions_bytes(5000, 48, 64, 512)
    48412672
    """
    return images * 2 * (heads * head_dim + dim) + 8 * heads * head_dim * (dim + 2) + 16 * dim


def pack_contributions(found: Contributions) -> dict[str, bytes]:
    about = {"heads": [str(head) for head in found.heads], "sample_ids": found.sample_ids, "digests": found.digests}
    parts = {"coordinates": found.coordinates, "embeddings": found.embeddings}
    numbers = {f"{name}/{what}": getattr(part, what) for name, part in parts.items() for what in ("mean", "step")}
    return {
        "about": json.dumps(about).encode(),
        **{name: part.counts.astype(_BYTES).tobytes() for name, part in parts.items()},
        **pack_tensors(numbers | {"basis": found.basis}),
    }


def unpack_contributions(members: Members) -> Contributions:
    """What `pack_contributions` made; whatever lies in a mapped file is read where it is needed. Raises on anything else."""
    about = json_as(Mapping[str, list[str]], bytes(members["about"]))
    heads, images = tuple(map(Head.parse, about["heads"])), len(about["sample_ids"])
    tensors: dict[str, Any] = unpack_tensors({name: bytes(members[name]) for name in members if name.endswith(".safetensors")})
    basis = tensors["basis"]
    if {values.dtype for values in tensors.values()} != {torch.float64} or basis.ndim != 3:
        raise ValueError(f"numbers of {', '.join(sorted(str(values.dtype) for values in tensors.values()))}")
    if len(basis) != len(heads) or len(about["digests"]) != images:
        raise ValueError("heads or images without their numbers")
    parts = []
    for name in ("coordinates", "embeddings"):
        mean, step = tensors[f"{name}/mean"], tensors[f"{name}/step"]
        if mean.shape != step.shape or mean.shape != (basis.shape[::2] if name == "coordinates" else basis.shape[1:2]):
            raise ValueError(f"{name} of {tuple(mean.shape)} and {tuple(step.shape)} numbers")
        parts.append(Counted(mean, step, np.frombuffer(members[name], _BYTES).reshape(images, *mean.shape)))
    return Contributions(heads, about["sample_ids"], about["digests"], basis, *parts)
