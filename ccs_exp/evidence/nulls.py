"""Conditions against their layer-matched nulls: does silencing this set cost more than sets like it?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from ccs_exp.evidence.effects_of_conditions import STANDARDISED, Effects
from ccs_exp.heads import MATCHED, Condition
from ccs_exp.statistics.intervals import holm
from ccs_exp.statistics.null_place import null_place

COLUMNS = (
    *("condition", "task", "measure", "cost", "null_mean", "null_low", "null_high", "draws", "all_sets"),
    *("p_worse", "p_better", "p", "p_holm"),
)


def null_rows(effects: Effects) -> list[dict[str, Any]]:
    """The rows of ``nulls.csv``: of every condition that has matched sets its cost among theirs, in each task and, of the standardised
    costs, over all of them (``task`` empty). p is two-sided, Holm's family are the tested conditions and tasks of one measure."""
    rows: list[dict[str, Any]] = []
    for tested, sets in _with_nulls(effects.evaluation.conditions):
        asked = [tested, *sets]
        everything = tested.heads in {one.heads for one in sets}
        of_tasks = {(task, STANDARDISED): effects.costs(task, STANDARDISED, asked).cost for task in effects.evaluation.tasks}
        of_tasks |= {(task, "accuracy"): lost for task in effects.evaluation.tasks if (lost := _lost(effects, task, asked)) is not None}
        of_tasks["", "standardised"] = effects.mean_standardised(asked)
        for (task, measure), cost in of_tasks.items():
            if np.isfinite(cost).all():
                own, draws = float(cost[0]), cost[1:]
                place = null_place(own, draws.tolist(), everything)
                low, high = np.percentile(draws, (2.5, 97.5))
                numbers = (own, float(draws.mean()), float(low), float(high), len(draws), everything)
                tests = (place.p_worse, place.p_better, place.p, None)
                rows.append(dict(zip(COLUMNS, (tested.name, task, measure, *numbers, *tests), strict=True)))
    for measure in {row["measure"] for row in rows}:
        family = [row for row in rows if row["measure"] == measure]
        for row, adjusted in zip(family, holm([row["p"] for row in family]), strict=True):
            row["p_holm"] = adjusted
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
