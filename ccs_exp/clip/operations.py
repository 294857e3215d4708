"""How much of an encoder a pass under many head masks takes, counted before it is run: layer passes, and multiplications.

A layer pass is one copy of the images through one layer, from the hook point on, where masks part; what is before it in the layer is done
at most as often. Masks that have silenced the same heads so far, in the same way, take it together. Multiplications are counted as of the
plain kind: patches that do not overlap, an MLP four times as wide as the tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ccs_exp.heads import Head

if TYPE_CHECKING:
    from ccs_exp.clip.architecture import EncoderShape


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


def shared_layer_passes(layers: int, masks: Sequence[frozenset[Head]], seeds: Sequence[int] | None = None) -> int:
    """Of masks that share all that they can; under different `seeds` heads are silenced in different ways.

    >>> shared_layer_passes(12, [frozenset(), frozenset({Head(10, 3)}), frozenset({Head(10, 3), Head(11, 0)})])
    15
    """
    return sum(parted(masks, layer, seeds) for layer in range(layers))


def parted(masks: Sequence[frozenset[Head]], layer: int, seeds: Sequence[int] | None = None) -> int:
    """Into how many the masks have parted once the heads of `layer` are silenced."""
    return len({_prefix(mask, seed, layer) for mask, seed in zip(masks, seeds or [0] * len(masks), strict=True)})


def _prefix(mask: frozenset[Head], seed: int, layer: int) -> tuple[frozenset[Head], int | None]:
    silenced = frozenset(head for head in mask if head.layer <= layer)
    return silenced, seed if silenced else None


def _embedding(shape: EncoderShape) -> float:
    return shape.pixels * shape.width


def _first_half(shape: EncoderShape) -> float:
    return 3 * shape.tokens * shape.width**2 + 2 * shape.tokens**2 * shape.width


def _second_half(shape: EncoderShape, tokens: int) -> float:
    return 9 * tokens * shape.width**2  # output projection 1, MLP 8
