"""Sets of heads that ask something of a score: random ones beside a tested set, and nested ones along an order."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ccs_exp.errors import CcsError
from ccs_exp.heads import CURVE, MATCHED, ORIGINAL, Condition, Head
from ccs_exp.pruning.context import PruningContext

DRAWS = 200
ORDERS = ("ccs_falling", "ccs_rising", "cost", "random")


@dataclass(frozen=True)
class Matched:
    """Random sets with as many heads in each layer as a condition tested, drawn from all scored heads of the layer: its null.

    `of`: the conditions tested, by name or by the part before a slash. Their sets are called ``matched/<condition>/<number>``; where
    there are no more than `draws` such sets, all are given. A condition without heads has none.
    """

    of: Sequence[str] = ("high_ccs",)
    draws: int = DRAWS
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.of or self.draws < 1:
            raise CcsError(
                f"prune.matched.of={list(self.of)} prune.matched.draws={self.draws}: name at least one condition, as in "
                "'prune.matched.of=[high_ccs]', and ask for at least one set."
            )

    def nulls(self, context: PruningContext, others: Sequence[Condition]) -> list[Condition]:
        """Raises `CcsError` where no condition of the job is tested, or one has heads that are not scored."""
        tested = [item for item in others if {item.name, item.name.partition("/")[0]} & set(self.of) and item.name != ORIGINAL]
        if not tested:
            known = ", ".join(dict.fromkeys(item.name.partition("/")[0] for item in others if item.name != ORIGINAL)) or "none"
            raise CcsError(f"prune.matched.of={list(self.of)}: no such condition is in this job. There are: {known}.")
        return [
            Condition(f"{MATCHED}{item.name}/{number}", heads)
            for item in tested
            if item.heads
            for number, heads in enumerate(matched_sets(item.heads, context.scored, self.draws, self.seed))
        ]


@dataclass(frozen=True)
class Curve:
    """Dose-response: the first k heads of an order, for k = 0 .. H, as ``curve/<order>/<seed>/<k>``.

    Orders: by CCS falling and rising, by the cost of each head alone (measured in this job), and random; seeds break ties.
    """

    orders: Sequence[str] = ORDERS
    seeds: Sequence[int] = (0, 1, 2)
    steps: int | None = None  # about as many sizes k, evenly spaced; None: every k

    def __post_init__(self) -> None:
        unknown = [order for order in self.orders if order not in ORDERS]
        if unknown or not self.orders or not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise CcsError(
                f"prune.curve.orders={list(self.orders)} prune.curve.seeds={list(self.seeds)}: choose among {', '.join(ORDERS)}, and "
                "give at least one seed, each once."
            )
        if self.steps is not None and self.steps < 1:
            raise CcsError(f"prune.curve.steps={self.steps}: give a number of at least 1, or null for every size.")

    @property
    def asks_costs(self) -> bool:
        return "cost" in self.orders

    def conditions(self, context: PruningContext, matched: Sequence[int] | None) -> list[Condition]:
        """Raises `CcsError` where no head has a CCS, and for the order by cost where the heads' costs are not known."""
        if self.asks_costs and context.costs is None:
            others = ", ".join(order for order in ORDERS if order != "cost")
            raise CcsError(f"prune.curve.orders={list(self.orders)}: what each head alone costs is not known here. Choose among {others}.")
        ccs = {score.head: score.ccs for score in context.scores.heads}
        found = []
        for name, order in orders(ccs, context.costs if self.asks_costs else None, self.seeds).items():
            if name.partition("/")[0] in self.orders:
                sets = nested(order)
                sizes = range(len(sets)) if self.steps is None else _spaced(len(sets) - 1, self.steps)
                found += [Condition(f"{CURVE}{name}/{size}", sets[size]) for size in sizes]
        return found


def _spaced(last: int, steps: int) -> list[int]:
    return sorted({round(last * step / steps) for step in range(steps + 1)})


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


def matched_sets(
    tested: frozenset[Head], scored: Sequence[Head], draws: int = DRAWS, seed: int = 0
) -> tuple[frozenset[Head], ...]:
    """Random sets with as many heads in each layer as `tested`, drawn from all scored heads of each layer, those of `tested` included.

    The sets differ from each other and from the tested one, which the +1 of the p stands for: it and they are then a random sample of
    all such sets. Where there are no more than `draws`, all of them are given, `tested` among them.

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
        return tuple(frozenset(itertools.chain(*parts)) for parts in itertools.product(*of_layers))
    rng = np.random.default_rng(seed)
    found: dict[frozenset[Head], None] = {}
    while len(found) < draws:  # there is at least one more than is asked for
        picks = [rng.random((draws, len(heads))).argsort(axis=1)[:, : counts[layer]].tolist() for layer, heads in layers.items()]
        for places in zip(*picks, strict=True):
            one = frozenset(heads[place] for heads, chosen in zip(layers.values(), places, strict=True) for place in chosen)
            if one != tested and len(found) < draws:
                found.setdefault(one)
    return tuple(found)
