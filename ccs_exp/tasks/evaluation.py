"""What a pass over a data set gives: for every task and every set of silenced heads, what became of each sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int

from ccs_exp.files import clean
from ccs_exp.heads import Condition, Head

if TYPE_CHECKING:
    import pyarrow

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
        sets: the distinct sets, in the order in which `tasks` have them; where outputs are resampled, each once for every seed.
        tasks: the outcomes of each task, by its name.
        seeds: the seed of each of `sets`.
        skipped: samples that could not be decoded, and why.
        warnings: what a reader must know before the values.
        decoder: what decoded the samples, where results may depend on it.
        rankings: of images of people, for each attribute how they are ranked for occupations, which stand where samples do.
    """

    conditions: tuple[Condition, ...]
    sets: tuple[Heads, ...]
    tasks: dict[str, Outcomes]
    seeds: tuple[int, ...]
    skipped: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    decoder: str | None = None
    rankings: dict[str, Outcomes] = field(default_factory=dict)

    @property
    def primary(self) -> str:
        return next(iter(self.tasks.values())).primary

    @property
    def num_samples(self) -> int:
        """Of the largest task: tasks of one data set may each have their own part of its samples."""
        return max(task.num_samples for task in self.tasks.values())

    @property
    def resampled(self) -> bool:
        return len(set(self.sets)) < len(self.sets)

    def places(self, conditions: Sequence[Condition]) -> Int[np.ndarray, "seeds conditions"]:
        """Where the sets that conditions silence stand among `sets`, under each seed; the original is the same under all."""
        of_sets = [self._places(condition.heads) for condition in conditions]
        seeds = max(map(len, of_sets), default=1)
        return np.array([places * seeds if len(places) == 1 else places for places in of_sets], dtype=int).reshape(-1, seeds).T

    def _places(self, heads: Heads) -> list[int]:
        return [place for place, of_set in enumerate(self.sets) if of_set == heads]

    def named_places(self) -> list[tuple[str, int]]:
        """Every condition, and where it stands among `sets`, under each seed."""
        return [(condition.name, place) for condition in self.conditions for place in self._places(condition.heads)]

    def values_of(self, task: str, condition: Condition) -> dict[str, float]:
        """``{metric: value}``; over several seeds the mean."""
        of_seeds = [self.tasks[task].values[place] for place in self._places(condition.heads)]
        return {metric: fmean(values[metric] for values in of_seeds) for metric in of_seeds[0]}

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
        """For each distinct set, under the name of its first condition, the samples with ties, over all tasks and seeds."""
        first = {condition.heads: condition.name for condition in reversed(self.conditions)}
        return {
            first[heads]: sum(task.tied[place] for task in self.tasks.values() for place in self._places(heads))
            for heads in dict.fromkeys(self.sets)
        }

    @property
    def predictions(self) -> pyarrow.Table:
        """One row for each task, sample and condition, as `ccs_exp.run_folder.folder` describes ``predictions.parquet``."""
        import pyarrow

        return pyarrow.concat_tables([_rows(name, task, self) for name, task in self.tasks.items()]).combine_chunks()


def distinct_sets(conditions: Sequence[Condition], seeds: Sequence[int] = (0,)) -> tuple[tuple[Heads, ...], tuple[int, ...]]:
    """The distinct sets of heads and, each set in all of `seeds`, their seeds; nothing depends on a seed where no head is silenced."""
    sets = dict.fromkeys(condition.heads for condition in conditions)
    rows = [(heads, seed) for heads in sets for seed in (seeds if heads else seeds[:1])]
    return tuple(heads for heads, _ in rows), tuple(seed for _, seed in rows)


def _rows(name: str, task: Outcomes, evaluation: Evaluation) -> pyarrow.Table:
    import pyarrow

    count = len(task.ids)
    # once: all conditions have the same
    ids = pyarrow.array([clean(str(sample)) for sample in task.ids], pyarrow.string()).dictionary_encode()
    tables = []
    for condition, place in evaluation.named_places():
        values = task.of_set(place)
        if evaluation.resampled:
            values["seed"] = np.full(count, evaluation.seeds[place], dtype=np.int32)
        texts = {"task": name, "condition": condition}
        columns = {task.id_column: ids}
        columns |= {column: _repeated(text, count) for column, text in texts.items()}
        tables.append(pyarrow.table(columns | {column: pyarrow.array(found) for column, found in values.items()}))
    return pyarrow.concat_tables(tables).unify_dictionaries()


def _repeated(text: str, count: int) -> pyarrow.DictionaryArray:
    import pyarrow

    return pyarrow.DictionaryArray.from_arrays(np.zeros(count, dtype=np.int32), pyarrow.array([clean(text)], pyarrow.string()))
