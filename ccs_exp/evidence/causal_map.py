"""The causal map: what silencing each head alone costs each task, and what follows for heads, labels and CCS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from ccs_exp.evidence.concept_tests import Task
from ccs_exp.evidence.effects import Costs, defined
from ccs_exp.heads import Head
from ccs_exp.statistics.intervals import Interval, holm
from ccs_exp.statistics.rank_correlation import RankCorrelation, within_strata
from ccs_exp.statistics.resampling import ends

COLUMNS = ("head", "task", "measure", "cost", "cost_low", "cost_high", "standardised", "p", "p_holm")


@dataclass(frozen=True)
class MostAffected:
    """The task with a head's highest standardised cost.

    `specificity`: that cost minus the mean of the other tasks', with its 95% interval of this task against these others; None where there
    is no other task.
    """

    task: Task
    cost: float
    specificity: float | None
    interval: Interval | None


@dataclass(frozen=True)
class CausalMap:
    """One measure: a row a head, a column a task. Of `costs`, one for each task, conditions are the heads, each silenced alone."""

    measure: str
    heads: tuple[Head, ...]
    tasks: tuple[Task, ...]
    costs: tuple[Costs, ...]

    @property
    def standardised(self) -> Float[np.ndarray, "heads tasks"]:
        return np.stack([found.standardised for found in self.costs], axis=1)

    @property
    def mean_standardised(self) -> Float[np.ndarray, " heads"]:
        """Over the tasks that are defined; NaN where none is."""
        known = ~np.isnan(self.standardised)
        with np.errstate(invalid="ignore"):
            return np.where(known, self.standardised, 0).sum(axis=1) / known.sum(axis=1)

    def most_affected(self) -> tuple[MostAffected | None, ...]:
        """Of every head; None where no task has a cost. Tasks on the same images must come from costs of the same seed."""
        drawn = np.stack([found.drawn for found in self.costs], axis=2)  # [resamples, heads, tasks]
        found: list[MostAffected | None] = []
        for head, row in enumerate(self.standardised):
            known = np.flatnonzero(~np.isnan(row))
            if not known.size:
                found.append(None)
                continue
            most = int(known[np.argmax(row[known])])
            others = known[known != most]
            specificity, interval = None, None
            if others.size:
                specificity = float(row[most] - row[others].mean())
                low, high = ends(drawn[:, head, most] - drawn[:, head, others].mean(axis=1))
                interval = None if np.isnan(low) else Interval(float(low), float(high))
            found.append(MostAffected(self.tasks[most], float(row[most]), specificity, interval))
        return tuple(found)

    def rows(self) -> list[dict[str, Any]]:
        """The rows of ``causal_map.csv``. Holm's family are all heads and tasks of this measure."""
        cells = [(head, task) for head in range(len(self.heads)) for task in range(len(self.tasks))]
        p_values = [defined(self.costs[task].p[head]) for head, task in cells]
        rows = []
        for (head, task), p, adjusted in zip(cells, p_values, holm(p_values), strict=True):
            found = self.costs[task]
            numbers = (found.cost[head], found.low[head], found.high[head], found.standardised[head])
            names = (str(self.heads[head]), str(self.tasks[task]), self.measure)
            rows.append(dict(zip(COLUMNS, (*names, *map(defined, numbers), p, adjusted), strict=True)))
        return rows


def ccs_against_cost(
    heads: Sequence[Head], ccs: Sequence[int | None], cost: Float[np.ndarray, " heads"], *, seed: int = 0
) -> RankCorrelation:
    """Whether heads of higher CCS matter more, within layers. Heads without a CCS, or without a cost, are left out (see its `count`)."""
    known = [place for place, value in enumerate(ccs) if value is not None and not np.isnan(cost[place])]
    scores = [float(value) for value in (ccs[place] for place in known) if value is not None]
    return within_strata(scores, cost[known], [heads[place].layer for place in known], seed=seed)
