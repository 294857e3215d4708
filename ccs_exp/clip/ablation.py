"""What silenced heads give in place of their own outputs: zeros, their means over the probe, or the outputs of a donor image.

Means and outputs of donors come from a pass with nothing silenced, and are those of the token positions that matter: of all in every
layer but the last, and there of the class token where the embedding is read from it alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Self

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ccs_exp.errors import CcsError
from ccs_exp.heads import Head

Outputs = Mapping[int, Float[Tensor, "... heads tokens head_dim"]]  # by layer


@dataclass(frozen=True, eq=False)
class Replacement:
    """What each head gives for one batch when it is silenced: `outputs` by layer, of several donors those of the `rows`, one a sample."""

    outputs: Outputs
    rows: Int[Tensor, " batch"] | None = None

    def of(self, head: Head) -> Float[Tensor, "#batch tokens head_dim"]:
        """The output at the first `tokens` positions; zeros stand at the others, which the embedding does not depend on."""
        if head.layer not in self.outputs:
            known = ", ".join(map(str, sorted(self.outputs)))
            raise CcsError(f"{head}: what it gives instead of its output is known of the layers {known} only.")
        outputs = self.outputs[head.layer]
        return outputs[None, head.index] if self.rows is None else outputs[self.rows, head.index]


class Ablation:
    """A kind of silencing, by what it puts in the place of outputs: zeros, ``ablation=zero``, the paper's soft pruning.

    `seeds`: more than one where chance decides.
    """

    seeds: tuple[int, ...] = (0,)

    def on(self, device: torch.device) -> Self:
        """The same, its tensors on `device`."""
        return self

    def replacements(
        self, pixels: Float[Tensor, "batch 3 height width"], sample_ids: Sequence[str], seeds: Sequence[int]
    ) -> list[Replacement | None]:
        """For one batch, under masks of these seeds; None: zeros."""
        return [None] * len(seeds)


@dataclass(frozen=True, eq=False)
class Means(Ablation):
    """``ablation=mean``: a head's mean over the probe at each token position, whatever the image.

    Args:
        outputs: the means, ``[heads, tokens, head_dim]`` for each layer.
    """

    outputs: Outputs

    def on(self, device: torch.device) -> Self:
        return replace(self, outputs=_on(self.outputs, device))

    def replacements(self, pixels: Tensor, sample_ids: Sequence[str], seeds: Sequence[int]) -> list[Replacement | None]:
        return [Replacement(self.outputs)] * len(seeds)


@dataclass(frozen=True, eq=False)
class Donors(Ablation):
    """``ablation=resample``: the outputs of a donor, one image of the probe, the same for all heads that are silenced together.

    Which donor a sample has follows from a hash of seed and sample. Where that donor has the sample's own pixels, it is the next one: no
    image is its own donor, whatever file or data set it comes from.

    Args:
        outputs: of the donors, ``[donors, heads, tokens, head_dim]`` for each layer.
        fingerprints: of the donors' pixels, all different (`fingerprints`).
        seeds: under each of which every mask is to be evaluated.

    Raises `CcsError` for fewer than two donors.
    """

    outputs: Outputs
    fingerprints: Int[Tensor, " donors"]
    seeds: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        if len(self.fingerprints) < 2:
            raise CcsError("ablation=resample needs a probe of at least two different images. Raise probe.num_images.")

    def on(self, device: torch.device) -> Self:
        return replace(self, outputs=_on(self.outputs, device), fingerprints=self.fingerprints.to(device))

    def replacements(self, pixels: Tensor, sample_ids: Sequence[str], seeds: Sequence[int]) -> list[Replacement | None]:
        if len(sample_ids) != len(pixels):
            raise ValueError(f"{len(sample_ids)} sample_ids of {len(pixels)} images: donors are drawn by them")
        own, count = fingerprints(pixels), len(self.fingerprints)
        found: dict[int, Replacement] = {}
        for seed in set(seeds):
            rows = torch.tensor([donor(seed, sample, count) for sample in sample_ids]).to(own.device)
            found[seed] = Replacement(self.outputs, (rows + (self.fingerprints[rows] == own)) % count)
        return [found[seed] for seed in seeds]


def donor(seed: int, sample_id: str, count: int) -> int:
    """Which of `count` donors a sample has, its own image not considered."""
    digest = hashlib.sha256(f"{seed} {sample_id}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8]) % count


def fingerprints(pixels: Float[Tensor, "batch 3 height width"]) -> Int[Tensor, " batch"]:
    """A number for each image that tells whether two images are the same in every bit, computed where the pixels are.

    The bits of the pixels as whole numbers, times fixed random ones, summed modulo 2**64: exact, in whatever order it is summed.
    """
    bits = pixels.float().contiguous().view(torch.int32).flatten(1).long()
    return (bits * _factors(bits.shape[1], bits.device)).sum(dim=1)


@lru_cache(maxsize=4)
@torch.inference_mode(False)
def _factors(count: int, device: torch.device) -> Int[Tensor, " count"]:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(-(2**63), 2**63 - 1, (count,), generator=generator).to(device)


def _on(outputs: Outputs, device: torch.device) -> Outputs:
    return {layer: values.to(device) for layer, values in outputs.items()}
