"""Reading and silencing heads: context managers over forward hooks, which leave the model as it was."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ccs_exp.clip.ablation import Replacement
from ccs_exp.clip.model import ClipModel
from ccs_exp.errors import CcsError
from ccs_exp.heads import Head, check_heads


class Branch(NamedTuple):
    """One way on from a layer: the copy of the batch that it comes from, and the layer's heads that it silences, by index.

    `replacement`: what these give instead; None: zeros.
    """

    parent: int
    silenced: frozenset[int]
    replacement: Replacement | None = None


@contextmanager
def masked(model: ClipModel, heads: Iterable[Head], replacement: Replacement | None = None) -> Iterator[None]:
    """Silence `heads` in every forward pass inside the ``with`` block (the paper's soft pruning, section 5.2).

    A silenced head's output is zero before the output projection, the bias of V included, which equals zeroing the head's
    columns of ``out_proj.weight``; with a `replacement`, its means over the probe for instance, it is what that gives. The bias of
    ``out_proj`` stays: it belongs to no head. Masks nest; of a head that is silenced twice the inner block decides.

    Raises `CcsError` for what is no model, a head that it does not have, and on leaving the block if a layer with silenced heads was
    never run, because then the mask has done nothing.
    """
    _check_model("masked", model)
    by_layer: dict[int, set[int]] = defaultdict(set)
    for head in check_heads(heads, model.layers, model.heads_per_layer, model.name):
        by_layer[head.layer].add(head.index)
    with ExitStack() as layers:
        untouched = {
            layer: layers.enter_context(branched(model, layer, 1, [Branch(0, frozenset(indices), replacement)]))
            for layer, indices in by_layer.items()
        }
        yield
    nowhere = sorted(Head(layer, index) for layer, runs in untouched.items() if not runs for index in by_layer[layer])
    if nowhere:
        names = ", ".join(map(str, nowhere))
        raise CcsError(f"{names}: masked, but no image was encoded while the mask was on, so nothing was silenced.")


def _check_model(function: str, model: object) -> None:
    if not isinstance(model, ClipModel):
        raise CcsError(f"{function}({model!r}): give a model as load_model() returns it.")


@contextmanager
def branched(model: ClipModel, layer: int, copies: int, branches: Sequence[Branch]) -> Iterator[list[int]]:
    """Inside, `copies` of a batch, stacked on the batch axis, leave the layer's hook point as one copy for each branch.

    Yields a list that holds the size of the stacked batch of every run through the hook point so far.
    """
    silenced = _silenced(tuple(branch.silenced for branch in branches), model.heads_per_layer, model.device)
    runs: list[int] = []

    def silence(_module: nn.Module, _inputs: object, z: Tensor) -> Tensor:  # z: [copies * batch, heads, tokens, head_dim]
        runs.append(len(z))
        stacked = branch_copies(z, copies, branches)
        if silenced is None:
            return stacked.flatten(0, 1)
        stacked = stacked.masked_fill(silenced, 0)
        for place, branch in enumerate(branches):
            if branch.replacement is None:
                continue
            for index in branch.silenced:
                given = branch.replacement.of(Head(layer, index))  # [1 or batch, tokens, head_dim]
                stacked[place, :, index, : given.shape[1]] = given
        return stacked.flatten(0, 1)

    handle = model.head_outputs(layer).register_forward_hook(silence)
    try:
        yield runs
    finally:
        handle.remove()


def branch_copies(x: Tensor, copies: int, branches: Sequence[Branch]) -> Tensor:
    """From ``[copies * batch, ...]`` to ``[branches, batch, ...]``, each branch with its parent's values; a view where it can be."""
    stacked = x.unflatten(0, (copies, -1))
    parents = tuple(branch.parent for branch in branches)
    if parents == tuple(range(copies)):
        return stacked
    return stacked.expand(len(branches), *stacked.shape[1:]) if copies == 1 else stacked[_indices(parents, x.device)]


# Every batch of a job needs the same few of these; made anew, each would wait for its way to the GPU. Outside of inference mode, because
# a pass with gradients may come across what one without has made.
@lru_cache(maxsize=1024)
@torch.inference_mode(False)
def _silenced(branches: tuple[frozenset[int], ...], heads_per_layer: int, device: torch.device) -> Tensor | None:
    """``[branches, 1, heads, 1, 1]``; None where no branch silences a head."""
    if not any(branches):
        return None
    silenced = torch.zeros(len(branches), 1, heads_per_layer, 1, 1, dtype=torch.bool)
    for row, heads in zip(silenced, branches, strict=True):
        row[:, sorted(heads)] = True
    return silenced.to(device)


@lru_cache(maxsize=1024)
@torch.inference_mode(False)
def _indices(values: tuple[int, ...], device: torch.device) -> Tensor:
    return torch.tensor(values, device=device)


@contextmanager
def observed(model: ClipModel, layers: Iterable[int], see: Callable[[int, Tensor], None]) -> Iterator[None]:
    """Inside, every forward pass shows `see` each layer's number and per-head outputs, ``[batch, heads, tokens, head_dim]``."""
    with ExitStack() as hooks:
        for layer in layers:
            handle = model.head_outputs(layer).register_forward_hook(lambda _module, _inputs, z, layer=layer: see(layer, z))
            hooks.callback(handle.remove)
        yield


@contextmanager
def recorded(model: ClipModel, layers: Iterable[int]) -> Iterator[dict[int, Tensor]]:
    """Collect the per-head outputs of the class token, ``{layer: [batch, heads, head_dim]}``, of the latest forward pass.

    Raises `CcsError` for what is no model, for layers that it does not have, and for a model without a class token.
    """
    _check_model("recorded", model)
    layers = list(layers) if isinstance(layers, Iterable) else [layers]
    wrong = [layer for layer in layers if not isinstance(layer, int) or not 0 <= layer < model.layers]
    if wrong:
        raise CcsError(f"{wrong[0]!r} is no layer of {model.name}, which has layers 0-{model.layers - 1}.")
    if not model.tower.has_class_token_alone:
        raise CcsError(f"{model.name} is not read out at a class token ({model.tower.kind}): use ccs_exp.clip.hooks.observed.")
    outputs: dict[int, Tensor] = {}

    def record(layer: int, z: Tensor) -> None:
        outputs[layer] = z[:, :, 0].detach()

    with observed(model, layers, record):
        yield outputs
