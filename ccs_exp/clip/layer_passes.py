"""How much of an encoder a pass under many head masks takes, counted before it is run.

A layer pass is one copy of the images through one layer, from the hook point on, where masks part; what is before it in the layer is done
at most as often. Masks that have silenced the same heads so far, in the same way, take it together.
"""

from __future__ import annotations

from collections.abc import Sequence

from ccs_exp.heads import Head


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
