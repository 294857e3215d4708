"""The kept predictions of a run, by task: what every condition answered, sample by sample, in one order for all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from ccs_exp.errors import CcsError
from ccs_exp.heads import CURVE, MATCHED
from ccs_exp.run_folder.search import check_rows

if TYPE_CHECKING:
    import pyarrow

_SEED = "\t"  # between a condition and its seed


@dataclass(frozen=True)
class Answers:
    """One task, or one direction of retrieval, under every condition.

    Attributes:
        samples: a number for each image, the same in all tasks; of retrieval for each video, whose captions belong together.
        targets: classes; of retrieval None.
        hits: of classification, by condition.
        ranks: of retrieval, by condition; infinite where the right video could not be decoded.
        of_seeds: with ``ablation=resample``, in the place of `hits` or `ranks`: by condition, under each seed of donors.
    """

    samples: Int[np.ndarray, " samples"]
    targets: Int[np.ndarray, " samples"] | None = None
    hits: Mapping[str, Bool[np.ndarray, " samples"]] = field(default_factory=dict)
    ranks: Mapping[str, Float[np.ndarray, " samples"]] = field(default_factory=dict)
    of_seeds: Mapping[str, Shaped[np.ndarray, "seeds samples"]] = field(default_factory=dict)


def read_answers(run_dir: Path) -> dict[str, Answers]:
    """``{task: its answers}``, of retrieval ``{direction: its answers}``; empty where a run kept none.

    Conditions that are a null's draws are left out, as are those that did not answer what the first did. Raises `CcsError` for a
    damaged file.
    """
    import pyarrow
    from pyarrow import dataset, parquet

    path = run_dir / "predictions.parquet"
    if not path.exists():
        return {}
    check_rows(path)
    names = parquet.read_schema(path).names
    retrieval, resampled = "rank" in names, "seed" in names
    columns = ["direction", "query_id", "rank", "margin"] if retrieval else ["task", "sample_id", "target", "correct"]
    missing = [column for column in ("condition", *columns) if column not in names]
    if missing:
        raise CcsError(f"{path} lacks the columns {', '.join(missing)}. Run the job again.")
    condition = dataset.field("condition").cast(pyarrow.string())
    wanted = ~(pyarrow.compute.starts_with(condition, MATCHED) | pyarrow.compute.starts_with(condition, CURVE))
    try:
        table = parquet.read_table(path, columns=["condition", *columns, *["seed"] * resampled], filters=wanted)
        conditions, tasks, ids = (_coded(table[name]) for name in ("condition", *columns[:2]))
        first, second = (table[name].to_numpy() for name in columns[2:])
        if resampled:
            conditions = _with_seeds(conditions, table["seed"].to_numpy())
        if retrieval:
            ranks = np.where(_missed(second), np.inf, first.astype(float))
        else:
            targets, hits = first.astype(int), second.astype(bool)
    except (OSError, pyarrow.ArrowException, TypeError, ValueError) as error:
        raise CcsError(f"{path} cannot be read: {error}. Run the job again.") from error
    whose = [name.rpartition("#")[0] or name for name in ids.texts] if retrieval else ids.texts
    sample_of = np.unique(np.array(whose, dtype=object), return_inverse=True)[1]
    found: dict[str, Answers] = {}
    for task, blocks in _blocks(tasks, conditions, ids.codes).items():
        order = next(iter(blocks.values()))
        same = {name: rows for name, rows in blocks.items() if np.array_equal(ids.codes[rows], ids.codes[order])}
        samples = sample_of[ids.codes[order]]
        of_task = None if retrieval else targets[order]
        answered = {name: (ranks if retrieval else hits)[rows] for name, rows in same.items()}
        if resampled:
            of_seeds: dict[str, list[np.ndarray]] = {}
            for name, values in answered.items():
                of_seeds.setdefault(name.rpartition(_SEED)[0], []).append(values)
            found[task] = Answers(samples, of_task, of_seeds={name: np.stack(seeds) for name, seeds in of_seeds.items()})
        elif retrieval:
            found[task] = Answers(samples, ranks=answered)
        else:
            found[task] = Answers(samples, of_task, answered)
    return found


class _Coded(NamedTuple):
    """A column of few texts: which of `texts` stands in each row."""

    texts: list[str]
    codes: Int[np.ndarray, " rows"]


def _coded(column: pyarrow.ChunkedArray) -> _Coded:
    import pyarrow

    kind = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
    whole = column.cast(kind) if pyarrow.types.is_dictionary(column.type) else column.cast(pyarrow.string()).dictionary_encode()
    one = whole.unify_dictionaries().combine_chunks()
    if one.null_count:
        raise ValueError("a condition, task or sample has no name")
    return _Coded(one.dictionary.to_pylist(), one.indices.to_numpy())


def _with_seeds(conditions: _Coded, seeds: Int[np.ndarray, " rows"]) -> _Coded:
    """Each condition under each seed as one of its own."""
    known, which = np.unique(seeds, return_inverse=True)
    texts = [f"{text}{_SEED}{seed}" for text in conditions.texts for seed in known]
    return _Coded(texts, conditions.codes * len(known) + which)


def _blocks(tasks: _Coded, conditions: _Coded, ids: Int[np.ndarray, " rows"]) -> dict[str, dict[str, Int[np.ndarray, " samples"]]]:
    """The rows of each task and condition, in the file's order of both, sorted by sample."""
    block = tasks.codes.astype(np.int64) * len(conditions.texts) + conditions.codes
    order = np.lexsort((ids, block))
    starts = np.flatnonzero(np.diff(block[order], prepend=-1))
    parts = sorted(np.split(order, starts[1:]), key=lambda rows: int(rows.min(initial=0)))
    found: dict[str, dict[str, np.ndarray]] = {}
    for rows in parts if len(order) else ():
        found.setdefault(tasks.texts[tasks.codes[rows[0]]], {})[conditions.texts[conditions.codes[rows[0]]]] = rows
    return found


def _missed(margins: Float[np.ndarray, " queries"]) -> Bool[np.ndarray, " queries"]:
    """Queries without a margin, though others have one: their video could not be decoded."""
    unknown = np.isnan(margins.astype(float))
    return unknown & ~unknown.all()
