"""The conditions of a job: what its strategies name, checked together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ccs_exp.errors import CcsError
from ccs_exp.heads import ORIGINAL, Condition, check_heads
from ccs_exp.pruning.context import PruningContext, Strategy
from ccs_exp.pruning.designs import Matched
from ccs_exp.pruning.strategies import Heads


def conditions(
    strategies: Iterable[Strategy | Matched], context: PruningContext, match_seeds: Sequence[int] | None = None
) -> tuple[Condition, ...]:
    """All conditions of a job, the original first. `match_seeds` set: high, low and random get the same number of heads."""
    result = [Condition(ORIGINAL, frozenset())]
    strategies = list(strategies)
    nulls = [strategy for strategy in strategies if isinstance(strategy, Matched)]
    for strategy in strategies:
        if not isinstance(strategy, Matched):
            result.extend(strategy.conditions(context, match_seeds))
    tested = tuple(result)
    for null in nulls:
        result.extend(null.nulls(context, tested))
    names = [condition.name for condition in result]
    if len(set(names)) != len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise CcsError(f"The pruning conditions {', '.join(twice)} are asked for more than once.")
    for condition in result:
        check_heads(condition.heads, context.layers, context.heads_per_layer, context.model)
    return tuple(result)


def check_given(strategies: Iterable[Strategy | Matched], layers: int, heads_per_layer: int, model: str) -> None:
    """Raise `CcsError` for given heads that the model does not have, before anything is computed for them."""
    for strategy in strategies:
        if isinstance(strategy, Heads):
            for heads in strategy.named_heads().values():
                check_heads(heads, layers, heads_per_layer, model)


def empty_conditions(chosen: Iterable[Condition]) -> list[str]:
    """A warning for each condition that silences nothing."""
    return [
        f"{condition.name} silences no head: there is none to silence. Its values are the original's."
        for condition in chosen
        if not condition.heads and condition.name != ORIGINAL
    ]
