"""Multiplications of an image encoder by count: what a pass takes, and how much less where sets of silenced heads share work.

Counted as of the plain kind: patches that do not overlap, an MLP four times as wide as the tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

from ccs_exp.clip.architecture import EncoderShape
from ccs_exp.clip.layer_passes import parted
from ccs_exp.heads import Head


def full_pass(shape: EncoderShape) -> float:
    """Of one image through the library's own encoder."""
    return _embedding(shape) + shape.layers * (_first_half(shape) + _second_half(shape, shape.tokens))


def shared(shape: EncoderShape, masks: Sequence[frozenset[Head]], seeds: Sequence[int] | None = None) -> float:
    """Of one image under all masks, each piece of work that masks share (`parted`) done once, the last block at the class token where
    that is all."""
    last, total, width = shape.layers - 1, _embedding(shape), shape.width
    for layer in range(shape.layers):
        before, after = parted(masks, layer - 1, seeds), parted(masks, layer, seeds)
        if layer < last or not shape.class_token_alone:
            total += before * _first_half(shape) + after * _second_half(shape, shape.tokens)
        else:
            # query, folded keys and values: 3 w^2; scores and mixing: 2 heads * tokens * w
            total += before * (3 * width**2 + 2 * shape.heads_per_layer * shape.tokens * width) + after * _second_half(shape, 1)
    return total


def _embedding(shape: EncoderShape) -> float:
    return shape.pixels * shape.width


def _first_half(shape: EncoderShape) -> float:
    return 3 * shape.tokens * shape.width**2 + 2 * shape.tokens**2 * shape.width


def _second_half(shape: EncoderShape, tokens: int) -> float:
    return 9 * tokens * shape.width**2  # output projection 1, MLP 8
