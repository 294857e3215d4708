"""Many head masks over the same images, with the work that they share done once.

Masks form a prefix tree over the layers: those that silence the same heads up to a layer have the same activations there. Below the
first silenced layer that is one pass; where masks part, they still share that layer's queries, keys, values and head outputs,
because a mask acts after them; and where the embedding is read from the class token, the last block is computed there alone.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from ccs_exp.clip.ablation import Ablation, Replacement
from ccs_exp.clip.engine import Engine
from ccs_exp.clip.hooks import Branch, branch_copies, branched
from ccs_exp.clip.model import ClipModel
from ccs_exp.clip.operations import shared_layer_passes
from ccs_exp.errors import CcsError
from ccs_exp.heads import Head, check_heads

log = logging.getLogger(__name__)

Mask = tuple[frozenset[Head], Replacement | None]
Silenced = tuple[frozenset[int], Replacement | None]  # of one layer, by index
Group = list[int]  # masks, by their place in the job, that have silenced the same heads in the same way so far
_NONE: Silenced = (frozenset(), None)
_OUT_OF_MEMORY = (  # torch has a class of its own for that on GPUs alone
    "can't allocate memory",  # torch's CPU allocator
    "could not create a memory",  # oneDNN
    "could not create a primitive",
    "MPS backend out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)


class SharedPrefixEngine(Engine):
    """Walks the tree of masks depth first, at most `stack_size` of its branches at once, stacked on the batch axis.

    Single-precision results depend on the shape of what is multiplied, so `stack_size` is configuration. With 1 the bits of a
    condition do not depend on which others there are; with more they may, but not on the order in which these are given. Where the
    device runs out of memory the stack is halved, then the batch, for the rest of the job; `warnings` says so.
    """

    def __init__(self, stack_size: int = 1, ablation: Ablation | None = None) -> None:
        if stack_size < 1:
            raise CcsError(f"stack_size={stack_size}: give a number of at least 1.")
        super().__init__(ablation)
        self.stack_size = stack_size
        self.parts = 1  # into which a batch is cut

    def encode(
        self,
        model: ClipModel,
        pixels: Float[Tensor, "batch 3 height width"],
        masks: Sequence[frozenset[Head]],
        sample_ids: Sequence[str] = (),
        seeds: Sequence[int] | None = None,
    ) -> Float[Tensor, "masks batch dim"]:
        seeds = seeds or [0] * len(masks)
        self.ablation = self.ablation.on(model.device)
        while True:
            try:
                encoded, start = [], 0
                for part in pixels.chunk(self.parts):
                    replacements = self.ablation.replacements(part, sample_ids[start : start + len(part)], seeds)
                    encoded.append(_encode(model, part, list(zip(masks, replacements, strict=True)), self.stack_size))
                    start += len(part)
                return torch.cat(encoded, dim=1)
            except RuntimeError as error:
                ran_out = isinstance(error, torch.OutOfMemoryError) or any(said in str(error) for said in _OUT_OF_MEMORY)
                if not ran_out or not self._halve(len(pixels)):
                    raise
            # outside the handler, whose exception keeps the tensors of the failed try alive
            if pixels.device.type == "cuda":
                torch.cuda.empty_cache()

    def layer_passes(self, layers: int, masks: Sequence[frozenset[Head]], seeds: Sequence[int] | None = None) -> int:
        return shared_layer_passes(layers, masks, seeds)

    def _halve(self, batch: int) -> bool:
        if self.stack_size > 1:
            self.stack_size //= 2
        elif self.parts < batch:
            self.parts *= 2
        else:
            return False
        self.warnings.append(
            f"Out of memory: going on with stack_size={self.stack_size} and batches cut into {self.parts}. Results may differ in "
            "the last digits from those of a run that had the memory; set stack_size or batch_size lower to get these again."
        )
        log.warning(self.warnings[-1])
        return True


def _encode(model: ClipModel, pixels: Tensor, masks: Sequence[Mask], stack_size: int) -> Tensor:
    walk = _Walk(model, [_by_layer(model, heads, replacement) for heads, replacement in masks], stack_size)
    # whatever the order in which masks are given, those that share most of their way stand, and are stacked, side by side
    order = sorted(range(len(masks)), key=lambda place: sorted(masks[place][0]))
    walk.descend(0, model.tower.tokens(pixels), [order])
    return torch.stack([walk.embeddings[mask] for mask in range(len(masks))])


class _Walk:
    """One batch on its way down the tree of masks."""

    def __init__(self, model: ClipModel, silenced: Sequence[dict[int, Silenced]], stack_size: int):
        self.model, self.silenced, self.stack_size = model, silenced, stack_size
        self.embeddings: dict[int, Float[Tensor, "batch dim"]] = {}

    def descend(self, layer: int, x: Tensor, groups: list[Group]) -> None:
        """`x` ``[groups * batch, tokens, width]`` enters the layer, one copy of the batch for each group of masks."""
        model, tower, last = self.model, self.model.tower, layer == self.model.layers - 1
        z, x = tower.heads(layer, x)
        stacks = list(_stacks(layer, groups, self.silenced, self.stack_size))
        for branches, parting in stacks:
            with branched(model, layer, len(groups), branches) as runs:
                y = tower.layers[layer].finish(branch_copies(x, len(groups), branches), z)
            if not runs:
                raise CcsError(f"Layer {layer} of {model.name} ran past its hook point, so its heads were not silenced.")
            if len(stacks) == 1:
                del x, z  # nothing else needs them, and memory is held down the tree
            if not last:
                self.descend(layer + 1, y, parting)
                continue
            ends = F.normalize(tower.readout.embed(y), dim=-1).unflatten(0, (len(branches), -1))
            for end, group in zip(ends, parting, strict=True):
                self.embeddings |= dict.fromkeys(group, end)


def _stacks(
    layer: int, groups: list[Group], silenced: Sequence[dict[int, Silenced]], stack_size: int
) -> Iterator[tuple[list[Branch], list[Group]]]:
    """The branches out of a layer with the masks of each, `stack_size` at a time."""
    out: dict[Branch, Group] = {}
    for parent, group in enumerate(groups):
        for mask in group:
            out.setdefault(Branch(parent, *silenced[mask].get(layer, _NONE)), []).append(mask)
    branches = list(out)
    for start in range(0, len(branches), stack_size):
        stack = branches[start : start + stack_size]
        yield stack, [out[branch] for branch in stack]


def _by_layer(model: ClipModel, heads: frozenset[Head], replacement: Replacement | None) -> dict[int, Silenced]:
    heads = check_heads(heads, model.layers, model.heads_per_layer, model.name)
    layers = {head.layer for head in heads}
    return {layer: (frozenset(head.index for head in heads if head.layer == layer), replacement) for layer in layers}
