"""Sets of heads that ask something of a score: random ones beside a tested set, and nested ones along an order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ccs_exp.errors import CcsError
from ccs_exp.heads import CURVE, MATCHED, ORIGINAL, Condition
from ccs_exp.pruning.context import PruningContext
from ccs_exp.pruning.sets import DRAWS, ORDERS, matched_sets, nested, orders


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
            for number, heads in enumerate(matched_sets(item.heads, context.scored, self.draws, self.seed).sets)
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
