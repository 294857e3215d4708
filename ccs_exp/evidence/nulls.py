"""Conditions against their layer-matched nulls: does silencing this set cost more than sets like it?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from ccs_exp.evidence.effects_of_conditions import STANDARDISED, Effects
from ccs_exp.heads import MATCHED, Condition
from ccs_exp.statistics.intervals import holm
from ccs_exp.statistics.null_place import NullPlace, null_place

COLUMNS = (
    *("condition", "task", "measure", "cost", "null_mean", "null_low", "null_high", "draws", "all_sets"),
    *("p_worse", "p_better", "p", "p_holm"),
)


@dataclass(frozen=True)
class AgainstNull:
    """A tested condition's cost among those of its matched sets; `task` empty: the mean over tasks, of the standardised costs."""

    condition: str
    task: str
    measure: str
    cost: float
    draws: Float[np.ndarray, " sets"]
    place: NullPlace


def against_nulls(effects: Effects) -> list[AgainstNull]:
    """Of every condition that has matched sets, in each task and over all of them; nothing where there are no such conditions."""
    found = []
    for tested, sets in _with_nulls(effects.evaluation.conditions):
        asked = [tested, *sets]
        everything = tested.heads in {one.heads for one in sets}
        of_tasks = {(task, STANDARDISED): effects.costs(task, STANDARDISED, asked).cost for task in effects.evaluation.tasks}
        of_tasks |= {(task, "accuracy"): lost for task in effects.evaluation.tasks if (lost := _lost(effects, task, asked)) is not None}
        of_tasks["", "standardised"] = effects.mean_standardised(asked)
        for (task, measure), cost in of_tasks.items():
            if np.isfinite(cost).all():
                own, draws = float(cost[0]), cost[1:]
                found.append(AgainstNull(tested.name, task, measure, own, draws, null_place(own, draws.tolist(), everything)))
    return found


def null_rows(found: Sequence[AgainstNull]) -> list[dict[str, Any]]:
    """The rows of ``nulls.csv``. p is two-sided, Holm's family are the tested conditions and tasks of one measure."""
    adjusted: dict[int, float | None] = {}
    for measure in dict.fromkeys(item.measure for item in found):
        family = [number for number, item in enumerate(found) if item.measure == measure]
        adjusted |= dict(zip(family, holm([found[number].place.p for number in family]), strict=True))
    rows = []
    for number, item in enumerate(found):
        low, high = np.percentile(item.draws, (2.5, 97.5))
        numbers = (item.cost, float(item.draws.mean()), float(low), float(high), len(item.draws), item.place.all_there_are)
        tests = (item.place.p_worse, item.place.p_better, item.place.p, adjusted[number])
        rows.append(dict(zip(COLUMNS, (item.condition, item.task, item.measure, *numbers, *tests), strict=True)))
    return rows


def _with_nulls(conditions: Sequence[Condition]) -> list[tuple[Condition, list[Condition]]]:
    sets: dict[str, list[Condition]] = {}
    for condition in conditions:
        if condition.name.startswith(MATCHED):
            sets.setdefault(condition.name.removeprefix(MATCHED).rpartition("/")[0], []).append(condition)
    return [(condition, sets[condition.name]) for condition in conditions if condition.name in sets]


def _lost(effects: Effects, task: str, conditions: Sequence[Condition]) -> Float[np.ndarray, " conditions"] | None:
    """The share of right answers lost; None for retrieval."""
    evaluation, outcomes = effects.evaluation, effects.evaluation.tasks[task]
    if "prediction" not in outcomes.columns:
        return None
    accuracy = (outcomes.columns["prediction"] == outcomes.fixed["target"]).mean(axis=1)
    return accuracy[evaluation.sets.index(frozenset())] - accuracy[evaluation.places(conditions)].mean(axis=0)
