"""What a pass over a data set gives: for every task and every set of silenced heads, what became of each sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

import numpy as np
import pyarrow

from ccs_exp.files import clean
from ccs_exp.heads import Condition, Head

Heads = frozenset[Head]


@dataclass(frozen=True)
class Outcomes:
    """One task under all sets of silenced heads, sample by sample; numbers a column, because there are many.

    Attributes:
        primary: the metric that stands for the task.
        id_column: what a sample is called: ``sample_id``, or ``query_id`` of retrieval.
        fixed: columns that no silenced head changes, ``[samples]``: ``target``, or ``direction``.
        columns: ``[sets, samples]``: ``prediction, margin, log_probability``, or ``rank, margin`` of retrieval. Margins are in logits
            (scale times the similarity of the right answer minus that of the best other), log-probabilities in nats.
        values: for each set ``{metric: value}``; fractions, ranks in items.
        tied: for each set the number of samples for which several candidates are equally the best.
        num_samples: what the primary metric is a mean over.
    """

    primary: str
    id_column: str
    ids: Sequence[str]
    fixed: Mapping[str, np.ndarray]
    columns: Mapping[str, np.ndarray]
    values: Sequence[Mapping[str, float]]
    tied: Sequence[int]
    num_samples: int

    def of_set(self, index: int) -> dict[str, np.ndarray]:
        """All columns under one set of silenced heads."""
        found = {**self.fixed, **{name: values[index] for name, values in self.columns.items()}}
        if "prediction" in found:
            found["correct"] = found["prediction"] == found["target"]
        return found


@dataclass
class Evaluation:
    """One pass over a data set under all conditions.

    Attributes:
        conditions: names of sets of silenced heads; several may name one set.
        sets: the distinct sets, in the order in which `tasks` have them.
        tasks: the outcomes of each task, by its name.
        skipped: samples that could not be decoded, and why.
        warnings: what a reader must know before the values.
        decoder: what decoded the samples, where results may depend on it.
    """

    conditions: tuple[Condition, ...]
    sets: tuple[Heads, ...]
    tasks: dict[str, Outcomes]
    skipped: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    decoder: str | None = None

    @property
    def primary(self) -> str:
        return next(iter(self.tasks.values())).primary

    @property
    def num_samples(self) -> int:
        """Of the largest task: tasks of one data set may each have their own part of its samples."""
        return max(task.num_samples for task in self.tasks.values())

    def place(self, condition: Condition) -> int:
        """Where the set that a condition silences stands among `sets`."""
        return self.sets.index(condition.heads)

    def values_of(self, task: str, condition: Condition) -> Mapping[str, float]:
        return self.tasks[task].values[self.place(condition)]

    @property
    def values(self) -> dict[str, dict[str, float]]:
        """``{condition: {metric: value}}``; of several tasks the mean, of the metrics that all of them have."""
        found = {}
        for condition in self.conditions:
            of_tasks = [self.values_of(task, condition) for task in self.tasks]
            shared = [metric for metric in of_tasks[0] if all(metric in values for values in of_tasks)]
            found[condition.name] = {metric: fmean(values[metric] for values in of_tasks) for metric in shared}
        return found

    @property
    def tied(self) -> dict[str, int]:
        """For each distinct set, under the name of its first condition, the samples with ties, over all tasks."""
        return {
            condition.name: sum(task.tied[place] for task in self.tasks.values())
            for place, condition in first_conditions(self.conditions).items()
        }

    @property
    def ties(self) -> int:
        """Samples with ties, over all distinct sets of silenced heads."""
        return sum(self.tied.values())

    @property
    def predictions(self) -> pyarrow.Table:
        """One row for each task, sample and condition, as `ccs_exp.run_folder.folder` describes ``predictions.parquet``."""
        return pyarrow.concat_tables([_rows(name, task, self) for name, task in self.tasks.items()]).combine_chunks()


def first_conditions(conditions: Sequence[Condition]) -> dict[int, Condition]:
    """The first condition of each distinct set of heads, by the set's place among them."""
    first: dict[Heads, Condition] = {}
    for condition in conditions:
        first.setdefault(condition.heads, condition)
    return dict(enumerate(first.values()))


def distinct_sets(conditions: Sequence[Condition]) -> tuple[Heads, ...]:
    return tuple(dict.fromkeys(condition.heads for condition in conditions))


def _rows(name: str, task: Outcomes, evaluation: Evaluation) -> pyarrow.Table:
    count = len(task.ids)
    # once: all conditions have the same
    ids = pyarrow.array([clean(str(sample)) for sample in task.ids], pyarrow.string()).dictionary_encode()
    tables = []
    for condition in evaluation.conditions:
        values = task.of_set(evaluation.place(condition))
        texts = {"task": name, "condition": condition.name}
        columns = {task.id_column: ids}
        columns |= {column: _repeated(text, count) for column, text in texts.items()}
        tables.append(pyarrow.table(columns | {column: pyarrow.array(found) for column, found in values.items()}))
    return pyarrow.concat_tables(tables).unify_dictionaries()


def _repeated(text: str, count: int) -> pyarrow.DictionaryArray:
    return pyarrow.DictionaryArray.from_arrays(np.zeros(count, dtype=np.int32), pyarrow.array([clean(text)], pyarrow.string()))
