"""What an evaluation's conditions say: effects, the causal map, matched nulls and dose-response, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ccs_exp.evidence import causal_map, dose_response, nulls
from ccs_exp.evidence.causal_map import CausalMap
from ccs_exp.evidence.effects import COLUMNS
from ccs_exp.evidence.effects_of_conditions import STANDARDISED, Effects
from ccs_exp.heads import CURVE, SINGLE_HEAD, Condition, Head


@dataclass(frozen=True)
class Table:
    """A file of the run folder: its columns and rows."""

    columns: tuple[str, ...]
    rows: Sequence[dict[str, Any]]


def single_heads(effects: Effects, heads: Sequence[Head]) -> CausalMap | None:
    """The causal map of `heads`; None unless each of them was silenced alone."""
    alone = {condition.name: condition for condition in effects.silenced if condition.name.startswith(SINGLE_HEAD)}
    wanted: list[Condition] = [alone[name] for head in heads if (name := f"{SINGLE_HEAD}{head}") in alone]
    if not heads or len(wanted) < len(heads):
        return None
    costs = tuple(effects.costs(task, STANDARDISED, wanted) for task in effects.evaluation.tasks)
    return CausalMap(STANDARDISED, tuple(heads), effects.tasks, costs)


def tables(effects: Effects, found: CausalMap | None, split: bool = False) -> tuple[dict[str, Table], dict[str, Any]]:
    """The tables by file name, and what the summary says of them. `split`: curves are of the half on which no order was chosen."""
    told = [condition for condition in effects.silenced if not condition.name.startswith(CURVE)]
    result: dict[str, Table] = {}
    summary: dict[str, Any] = {}
    if told:
        result["effects.csv"] = Table(COLUMNS, effects.rows(told))
    if found is not None:
        result["causal_map.csv"] = Table(causal_map.COLUMNS, found.rows())
    against = nulls.null_rows(effects)
    if against:
        result["nulls.csv"] = Table(nulls.COLUMNS, against)
        summary["nulls"] = [row for row in against if not row["task"]]  # the means over tasks
    measured = replace(effects, half=False) if split else effects
    curves = {task: dose_response.curves(measured, task) for task in effects.evaluation.tasks}
    rows = [row for task, of_task in curves.items() for row in dose_response.curve_rows(task, of_task)]
    if rows:
        result["curve.csv"] = Table(dose_response.COLUMNS, rows)
        summary["areas"] = [area for task, of_task in curves.items() for area in dose_response.areas(task, of_task)]
    return result, summary
