"""From the outcomes of a pass to the effects of its conditions: costs on every task, on common samples so that tasks are paired."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Shaped

from ccs_exp.evidence.concept_tests import Task
from ccs_exp.evidence.effects import IN_DEVIATIONS, Costs, cost_rows, costs, flip_rows
from ccs_exp.evidence.hashing import chosen_half
from ccs_exp.heads import ORIGINAL, Condition
from ccs_exp.tasks.evaluation import Evaluation, Outcomes

STANDARDISED = "margin"  # the measure whose standardised cost stands for a task's
_MEASURES = {"prediction": ("margin", "log_probability"), "rank": ("margin", "log_rank")}


@dataclass(frozen=True)
class Effects:
    """What the conditions of one evaluation cost its tasks; computed when asked for, and kept.

    `dataset` names the tasks in full; a task that bears its data set's name is its only one. `half`: only of the half of the samples on
    which sets are chosen by their effects (`chosen_half`), or where it is False of the other, on which they are measured.
    """

    evaluation: Evaluation
    dataset: str
    seed: int = 0
    half: bool | None = None

    @property
    def tasks(self) -> tuple[Task, ...]:
        return tuple(Task(self.dataset, "" if name == self.dataset else name) for name in self.evaluation.tasks)

    @cached_property
    def silenced(self) -> tuple[Condition, ...]:
        """The conditions that silence something."""
        return tuple(condition for condition in self.evaluation.conditions if condition.name != ORIGINAL and condition.heads)

    def measures(self, task: str) -> tuple[str, ...]:
        return _MEASURES["rank" if "rank" in self.evaluation.tasks[task].columns else "prediction"]

    def costs(self, task: str, measure: str = STANDARDISED, conditions: Sequence[Condition] | None = None) -> Costs:
        """Of `conditions` (None: all that silence something), on samples that all tasks have in common order."""
        if (task, measure) not in self._computed:
            outcomes = self.evaluation.tasks[task]
            values = _measured(outcomes, measure)
            values = values if self.half is None else np.where(self.within(outcomes), values, np.nan)
            values, groups = self._on_common_samples(outcomes, values)
            original, places = values[self.evaluation.sets.index(frozenset())], self.evaluation.places(self.silenced)
            self._computed[task, measure] = costs(original, values[places], groups, seed=self.seed)
        found = self._computed[task, measure]
        if conditions is None:
            return found
        place = {condition.heads: number for number, condition in enumerate(self.silenced)}
        return found.of([place[condition.heads] for condition in conditions])

    def rows(self, conditions: Sequence[Condition]) -> list[dict[str, Any]]:
        """The rows of ``effects.csv``: every task and measure, and for classes what became wrong and right."""
        names, found = [condition.name for condition in conditions], []
        for task, outcomes in self.evaluation.tasks.items():
            for measure in self.measures(task):
                found += cost_rows(task, measure, names, self.costs(task, measure, conditions))
            if "prediction" in outcomes.columns:
                right = outcomes.columns["prediction"] == outcomes.fixed["target"]
                original, silenced = right[self.evaluation.sets.index(frozenset())], right[self.evaluation.places(conditions)]
                if len(silenced) == 1:
                    found += flip_rows(task, names, original, silenced[0])
                else:  # under several seeds a sample is right in part
                    lost = costs(original.astype(np.float32), silenced.astype(np.float32), seed=self.seed)
                    # in standard deviations of the task's margins, or not at all
                    found += [row | dict.fromkeys(IN_DEVIATIONS) for row in cost_rows(task, "accuracy", names, lost)]
        return found

    def within(self, outcomes: Outcomes) -> Bool[np.ndarray, " samples"]:
        """The samples that are asked about; captions of one video stay together."""
        if self.half is None:
            return np.ones(len(outcomes.ids), dtype=bool)
        return chosen_half([str(sample).partition("#")[0] for sample in outcomes.ids], self.seed) == self.half

    def mean_standardised(self, conditions: Sequence[Condition]) -> Float[np.ndarray, " conditions"]:
        """The standardised cost of each condition, averaged over the tasks in which it is defined."""
        of_tasks = np.stack([self.costs(task, STANDARDISED, conditions).standardised for task in self.evaluation.tasks])
        with np.errstate(invalid="ignore"):
            return np.nansum(of_tasks, axis=0) / (~np.isnan(of_tasks)).sum(axis=0)

    @cached_property
    def _computed(self) -> dict[tuple[str, str], Costs]:
        """By task and measure, of all that silence something."""
        return {}

    @cached_property
    def _common(self) -> dict[str, int]:
        """The place of every sample of any task."""
        ids = dict.fromkeys(sample for task in self.evaluation.tasks.values() for sample in task.ids)
        return {sample: place for place, sample in enumerate(ids)}

    def _on_common_samples(
        self, outcomes: Outcomes, values: Float[np.ndarray, "sets samples"]
    ) -> tuple[Float[np.ndarray, "sets common"], Shaped[np.ndarray, " common"] | None]:
        """NaN where a task does not have a sample. Queries of retrieval stay as they are, those of one video a group."""
        if outcomes.id_column == "query_id":
            return values, np.array([query.partition("#")[0] for query in outcomes.ids], dtype=object)
        if len(self.evaluation.tasks) == 1:
            return values, None
        common = np.full((len(values), len(self._common)), np.nan, dtype=np.float32)
        common[:, [self._common[sample] for sample in outcomes.ids]] = values
        return common, None


def _measured(outcomes: Outcomes, measure: str) -> Float[np.ndarray, "sets samples"]:
    """Larger is better."""
    return -np.log(outcomes.columns["rank"]) if measure == "log_rank" else outcomes.columns[measure]
