"""What a task gives for all conditions, whichever task it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow

from ccs_exp.files import clean
from ccs_exp.heads import Condition, Head


@dataclass
class Evaluation:
    """One pass over a data set under all conditions.

    Attributes:
        primary: the name of the metric that stands for the task.
        values: ``{condition: {metric: value}}``; fractions, ranks in items.
        predictions: a row for each sample and condition, as `ccs_exp.run_folder.folder` describes ``predictions.parquet``.
        tied: for each distinct set of silenced heads, under the name of its first condition, the number of samples for which several
            candidates were equally the best.
        skipped: samples that could not be decoded, and why.
        warnings: what a reader must know before the values.
        decoder: what decoded the samples, where results may depend on it.
    """

    primary: str
    values: dict[str, dict[str, float]]
    predictions: pyarrow.Table
    tied: dict[str, int] = field(default_factory=dict)
    num_samples: int = 0
    skipped: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    decoder: str | None = None

    @property
    def ties(self) -> int:
        """Samples with ties, over all distinct sets of silenced heads."""
        return sum(self.tied.values())


def first_conditions(conditions: Sequence[Condition]) -> dict[int, Condition]:
    """The first condition of each distinct set of heads, by the set's place among them."""
    first: dict[frozenset[Head], Condition] = {}
    for condition in conditions:
        first.setdefault(condition.heads, condition)
    return dict(enumerate(first.values()))


def prediction_table(id_column: str, parts: Sequence[tuple[str, Sequence[str], Mapping[str, np.ndarray | str]]]) -> pyarrow.Table:
    """One table of several parts.

    Args:
        id_column: the name of the first column.
        parts: for each a condition, the identifiers of its samples, and the other columns: an array, or one text for all rows.
    """
    distinct: dict[int, pyarrow.Array] = {}  # conditions share their samples: the texts are converted once
    tables = []
    for condition, ids, columns in parts:
        if id(ids) not in distinct:
            distinct[id(ids)] = pyarrow.array([clean(str(sample)) for sample in ids], pyarrow.string())
        values = {id_column: distinct[id(ids)], "condition": _repeated(condition, len(ids))}
        values |= {
            name: _repeated(value, len(ids)) if isinstance(value, str) else pyarrow.array(value)
            for name, value in columns.items()
        }
        tables.append(pyarrow.table(values))
    return pyarrow.concat_tables(tables)


def _repeated(text: str, count: int) -> pyarrow.Array:
    return pyarrow.repeat(pyarrow.scalar(clean(text), pyarrow.string()), count)
