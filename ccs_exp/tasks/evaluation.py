"""What a task gives for all conditions, whichever task it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow

from ccs_exp.files import clean


@dataclass
class Evaluation:
    """One pass over a data set under all conditions.

    Attributes:
        primary: the name of the metric that stands for the task.
        values: ``{condition: {metric: value}}``; fractions, ranks in items.
        predictions: a row for each sample and condition, as `ccs_exp.results` describes ``predictions.parquet``.
        ties: samples for which several candidates were equally the best, over all distinct sets of silenced heads.
        skipped: samples that could not be decoded, and why.
        warnings: what a reader must know before the values.
        decoder: what decoded the samples, where results may depend on it.
    """

    primary: str
    values: dict[str, dict[str, float]]
    predictions: pyarrow.Table
    ties: int = 0
    num_samples: int = 0
    skipped: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    decoder: str | None = None


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
