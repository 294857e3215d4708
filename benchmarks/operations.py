"""Multiplications by count: how much faster sharing can be at best."""

from __future__ import annotations

from collections.abc import Sequence

from ccs_exp.clip.model import ClipModel
from ccs_exp.heads import Head


def full_pass(model: ClipModel) -> float:
    """Of one image through open_clip's encoder."""
    tokens, width = _shape(model)
    return _embedding(model) + model.layers * (_first_half(tokens, width) + _second_half(tokens, width))


def shared(model: ClipModel, masks: Sequence[frozenset[Head]]) -> float:
    """Of one image under all masks, each piece of work that masks share done once, the last block at the class token alone."""
    tokens, width = _shape(model)
    last, total = model.layers - 1, _embedding(model)
    for layer in range(model.layers):
        before = len({frozenset(head for head in mask if head.layer < layer) for mask in masks})
        after = len({frozenset(head for head in mask if head.layer <= layer) for mask in masks})
        if layer < last:
            total += before * _first_half(tokens, width) + after * _second_half(tokens, width)
        else:
            heads = model.heads_per_layer
            # query, folded keys and values: 3 w^2; scores and mixing: 2 heads * tokens * w
            total += before * (3 * width**2 + 2 * heads * tokens * width) + after * _second_half(1, width)
    return total


def _shape(model: ClipModel) -> tuple[int, int]:
    return model.tower.shape


def _embedding(model: ClipModel) -> float:
    tokens, _width = _shape(model)
    return (tokens - 1) * model.clip.visual.conv1.weight.numel()


def _first_half(tokens: int, width: int) -> float:
    return 3 * tokens * width**2 + 2 * tokens**2 * width


def _second_half(tokens: int, width: int) -> float:
    return 9 * tokens * width**2  # output projection 1, MLP 8
