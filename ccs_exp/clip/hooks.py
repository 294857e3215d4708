"""Reading and silencing heads: context managers over forward hooks, which leave the model as it was."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor

from ccs_exp.clip.model import ClipModel
from ccs_exp.errors import CcsError
from ccs_exp.heads import Head, check_heads


@contextmanager
def masked(model: ClipModel, heads: Iterable[Head]) -> Iterator[None]:
    """Silence `heads` in every forward pass inside the ``with`` block (the paper's soft pruning, section 5.2).

    A silenced head's output is zero before the output projection, the bias of V included, which equals zeroing the head's
    columns of ``out_proj.weight``. The bias of ``out_proj`` stays: it belongs to no head. Masks nest.

    Raises `CcsError` for a head that the model does not have, and on leaving the block if a layer with silenced heads was
    never run, because then the mask has done nothing.
    """
    heads = check_heads(heads, model.layers, model.heads_per_layer, model.name)
    by_layer: dict[int, list[int]] = defaultdict(list)
    for head in sorted(heads):
        by_layer[head.layer].append(head.index)
    untouched = set(by_layer)

    def silence(layer: int, indices: list[int]):
        def hook(_module, _inputs, z: Tensor) -> Tensor:
            untouched.discard(layer)
            silenced = torch.zeros(model.heads_per_layer, dtype=torch.bool, device=z.device)
            silenced[indices] = True
            return z.masked_fill(silenced[:, None, None], 0)  # [batch, heads, tokens, head_dim]

        return hook

    with ExitStack() as hooks:
        for layer, indices in by_layer.items():
            handle = model.head_outputs(layer).register_forward_hook(silence(layer, indices))
            hooks.callback(handle.remove)
        yield
    if untouched:
        names = ", ".join(str(head) for head in sorted(heads) if head.layer in untouched)
        raise CcsError(f"{names}: masked, but no image was encoded while the mask was on, so nothing was silenced.")


@contextmanager
def recorded(model: ClipModel, layers: Iterable[int]) -> Iterator[dict[int, Tensor]]:
    """Collect the per-head outputs of the class token, ``{layer: [batch, heads, head_dim]}``, of the latest forward pass."""
    outputs: dict[int, Tensor] = {}

    def record(layer: int):
        def hook(_module, _inputs, z: Tensor) -> None:
            outputs[layer] = z[:, :, 0].detach()

        return hook

    with ExitStack() as hooks:
        for layer in layers:
            handle = model.head_outputs(layer).register_forward_hook(record(layer))
            hooks.callback(handle.remove)
        yield outputs
