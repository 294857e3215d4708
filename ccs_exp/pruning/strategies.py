"""Rules that name sets of heads: by CCS, at random, by concept, as given, each head alone (paper, section 5)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ccs_exp.errors import CcsError
from ccs_exp.heads import RANDOM, SINGLE_HEAD, Condition, Head
from ccs_exp.pruning.context import PruningContext
from ccs_exp.scoring.concepts import load_concepts


@dataclass(frozen=True)
class ByClass:
    """All heads of a CCS class (paper, section 5.2). With `matched` seeds, samples of the smaller class's size."""

    ccs_class: Literal["high", "low"]

    def conditions(self, context: PruningContext, matched: Sequence[int] | None) -> list[Condition]:
        name, heads = f"{self.ccs_class}_ccs", context.scores.of_class(self.ccs_class)
        if matched is None or len(heads) == context.matched_count:
            return [Condition(name, heads)]
        return [Condition(f"{name}/{seed}", _draw(heads, context.matched_count, seed)) for seed in matched]


@dataclass(frozen=True)
class Random:
    """As many heads as are high, drawn from those that are not, once for each seed (paper, section 5.3).

    `layers`: draw from the scored heads, or from the heads of all layers.
    """

    seeds: Sequence[int] = (0, 1, 2)
    layers: Literal["scored", "all"] = "scored"

    def __post_init__(self) -> None:
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise CcsError(f"prune.random.seeds={list(self.seeds)}: give at least one seed, each once.")
        if self.layers not in ("scored", "all"):
            raise CcsError(f"prune.random.layers={self.layers}: choose scored or all.")

    def conditions(self, context: PruningContext, matched: Sequence[int] | None) -> list[Condition]:
        high = context.scores.of_class("high")
        count = len(high) if matched is None else context.matched_count
        pool = context.scored if self.layers == "scored" else _all_heads(context)
        candidates = frozenset(pool) - high
        if len(candidates) < count:
            enough_elsewhere = len(frozenset(_all_heads(context)) - high) >= count
            raise CcsError(
                f"prune=random needs {count} heads, as many as are high, but only {len(candidates)} of {context.model} are not high. "
                f"{'Draw from all layers with prune.random.layers=all, or leave' if enough_elsewhere else 'Leave'} random out of prune."
            )
        return [Condition(f"{RANDOM}{seed}", _draw(candidates, count, seed)) for seed in self.seeds]


@dataclass(frozen=True)
class Concept:
    """The high heads of each named concept (paper, section 5.5). `map`: a file that says which labels mean which concept."""

    names: Sequence[str]
    map: str | None = None  # None: the packaged one

    def __post_init__(self) -> None:
        load_concepts(self.map)  # so that a file that is none is found before a model is loaded
        if not self.names:
            raise CcsError("prune=concept needs the concepts' names, as in 'prune.concept.names=[locations,animals]'.")

    def conditions(self, context: PruningContext, matched: Sequence[int] | None) -> list[Condition]:
        concept_map = load_concepts(self.map)
        return [Condition(f"concept/{name}", context.scores.of_concept(name, concept_map)) for name in self.names]


@dataclass(frozen=True)
class Heads:
    """Given heads: `list` becomes the condition ``heads/list``, each of `sets` ``heads/<its name>``."""

    list: Sequence[str] = ()
    sets: Mapping[str, Sequence[str]] | None = None

    def __post_init__(self) -> None:
        if not self.list and not self.sets:
            raise CcsError(
                "prune=heads needs heads, as in 'prune.heads.list=[L8.H3,L11.H5]' or 'prune.heads.sets={mine:[L8.H3]}'."
            )
        self.named_heads()  # so that a misspelt head is found before a model is loaded

    def named_heads(self) -> dict[str, frozenset[Head]]:
        """The heads of `list` and of each set, by name."""
        named = ({"list": self.list} if self.list else {}) | dict(self.sets or {})
        return {name: frozenset(map(Head.parse, heads)) for name, heads in named.items()}

    def conditions(self, context: PruningContext, matched: Sequence[int] | None) -> Sequence[Condition]:
        return [Condition(f"heads/{name}", heads) for name, heads in self.named_heads().items()]


@dataclass(frozen=True)
class EachHead:
    """Every scored head alone."""

    def conditions(self, context: PruningContext, matched: Sequence[int] | None) -> list[Condition]:
        return [Condition(f"{SINGLE_HEAD}{head}", frozenset({head})) for head in context.scored]


def _draw(heads: Iterable[Head], count: int, seed: int) -> frozenset[Head]:
    ordered = sorted(heads)
    drawn = np.random.default_rng(seed).choice(len(ordered), size=count, replace=False)
    return frozenset(ordered[index] for index in drawn)


def _all_heads(context: PruningContext) -> tuple[Head, ...]:
    return tuple(Head(layer, index) for layer in range(context.layers) for index in range(context.heads_per_layer))
