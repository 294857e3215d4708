"""Sets of heads to silence: nested ones along an order, and random ones that match a set layer by layer."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ccs_exp.errors import CcsError
from ccs_exp.heads import Head

DRAWS = 200
ORDERS = ("ccs_falling", "ccs_rising", "cost", "random")


def orders(
    ccs: Mapping[Head, int | None], cost: Mapping[Head, float] | None = None, seeds: Sequence[int] = (0, 1, 2)
) -> dict[str, tuple[Head, ...]]:
    """The orders of a dose-response: ``ccs_falling/<seed>``, ``ccs_rising/<seed>``, ``cost/<seed>``, ``random/<seed>``.

    Seeds break ties. Heads without a CCS stand last in the two orders by it. An order by `cost` (of each head alone) measured on the same
    images is chosen from what it shows: see `chosen_half`.

    Raises `CcsError` where no head has a CCS.
    """
    if all(value is None for value in ccs.values()):
        raise CcsError(
            "prune=curve silences heads in the order of their CCS, but no head has one. Use ccs=computed, or prune=each_head."
        )
    keys: dict[str, dict[Head, tuple[bool, float]]] = {
        "ccs_falling": {head: (value is None, -(value or 0)) for head, value in ccs.items()},
        "ccs_rising": {head: (value is None, value or 0) for head, value in ccs.items()},
        "random": dict.fromkeys(ccs, (False, 0)),
    }
    if cost is not None:
        keys["cost"] = {head: (math.isnan(value), -value) for head, value in cost.items()}
    return {f"{name}/{seed}": _ordered(key, seed) for name, key in keys.items() for seed in seeds}


def _ordered(key: Mapping[Head, tuple[bool, float]], seed: int) -> tuple[Head, ...]:
    heads = sorted(key)
    shuffled = [heads[place] for place in np.random.default_rng(seed).permutation(len(heads))]
    return tuple(sorted(shuffled, key=lambda head: key[head]))


def nested(order: Sequence[Head]) -> tuple[frozenset[Head], ...]:
    """The first k heads for k = 0 .. H."""
    return tuple(frozenset(order[:k]) for k in range(len(order) + 1))


@dataclass(frozen=True)
class MatchedSets:
    """Random sets with as many heads in each layer as `tested`; `all_there_are`: every such set, the tested one among them."""

    tested: frozenset[Head]
    sets: tuple[frozenset[Head], ...]
    all_there_are: bool


def matched_sets(tested: frozenset[Head], scored: Sequence[Head], draws: int = DRAWS, seed: int = 0) -> MatchedSets:
    """Sets drawn from all scored heads of each layer, those of `tested` included, without replacement.

    The sets differ from each other and from the tested one, which the +1 of the p stands for: it and they are then a random sample of
    all such sets. Where there are no more than `draws`, all of them are given.

    Raises `CcsError` for an empty set, and for heads that are not scored.
    """
    outside = sorted(tested - set(scored))
    if outside or not tested:
        raise CcsError(
            f"A matched null needs a set of scored heads; {', '.join(map(str, outside[:6])) or 'an empty set'} "
            f"{'are not scored' if outside else 'has no null'}. Leave prune=matched out, or choose other heads."
        )
    layers: dict[int, list[Head]] = defaultdict(list)
    for head in sorted(set(scored)):
        layers[head.layer].append(head)
    counts = {layer: sum(head.layer == layer for head in tested) for layer in layers}
    if math.prod(math.comb(len(heads), counts[layer]) for layer, heads in layers.items()) <= draws:
        of_layers = [itertools.combinations(heads, counts[layer]) for layer, heads in layers.items()]
        every = tuple(frozenset(itertools.chain(*parts)) for parts in itertools.product(*of_layers))
        return MatchedSets(tested, every, True)
    rng = np.random.default_rng(seed)
    found: dict[frozenset[Head], None] = {}
    while len(found) < draws:  # there is at least one more than is asked for
        picks = [rng.random((draws, len(heads))).argsort(axis=1)[:, : counts[layer]].tolist() for layer, heads in layers.items()]
        for places in zip(*picks, strict=True):
            one = frozenset(heads[place] for heads, chosen in zip(layers.values(), places, strict=True) for place in chosen)
            if one != tested and len(found) < draws:
                found.setdefault(one)
    return MatchedSets(tested, tuple(found), False)
