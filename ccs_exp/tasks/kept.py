"""Evaluations kept for each set of silenced heads: conditions are names for them, and a set once evaluated is not evaluated again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow
from pyarrow import compute, parquet

from ccs_exp.heads import Condition, Head
from ccs_exp.store import Entry, Stages, locked, read_entries, read_json, unpacked, write_entry
from ccs_exp.store.entries import key_digest
from ccs_exp.tasks.evaluation import Evaluation, first_conditions

Evaluate = Callable[[Sequence[Condition]], Evaluation]
Heads = frozenset[Head]


def evaluate_kept(conditions: Sequence[Condition], key: Mapping[str, Any], evaluate: Evaluate, stages: Stages) -> Evaluation:
    """All conditions, of which `evaluate` sees only those heads that no job has evaluated under `key`: in one pass, if any.

    What a pass gives is one entry, so that what is kept of it is all of it or nothing, and repeating a killed job repeats its pass
    as it was. A pass under one set of heads is noted in `stages` as ``evaluation``.
    """
    kind = f"evaluations/{key_digest(key)}"
    wanted = list(dict.fromkeys(condition.heads for condition in conditions))
    found = _kept(kind, wanted)
    computed = len(found) < len(wanted)
    if computed:
        with locked(kind, key):
            found = _kept(kind, wanted)
            missing = [heads for heads in wanted if heads not in found]
            computed = bool(missing)
            if missing:
                evaluation = evaluate([Condition(_name(heads), heads) for heads in missing])
                write_entry(kind, {**key, "heads": [_name(heads) for heads in missing]}, _packed(evaluation))
                found |= dict.fromkeys(missing, evaluation)
    stages.note("evaluation", computed=computed)
    return _assembled(conditions, [found[heads] for heads in wanted], found)


def _kept(kind: str, wanted: Sequence[Heads]) -> dict[Heads, Evaluation]:
    by_name, found = {_name(heads): heads for heads in wanted}, {}
    for entry in read_entries(kind):
        names = [name for name in entry.key["heads"] if name in by_name and by_name[name] not in found]
        evaluation = unpacked(entry, unpack_evaluation) if names else None
        if evaluation is not None:
            found |= dict.fromkeys((by_name[name] for name in names), evaluation)
    return found


def _assembled(conditions: Sequence[Condition], passes: Sequence[Evaluation], found: Mapping[Heads, Evaluation]) -> Evaluation:
    """One evaluation of named conditions out of the passes that hold their heads."""
    values, tables = {}, []
    for condition in conditions:
        name, one = _name(condition.heads), found[condition.heads]
        values[condition.name] = one.values[name]
        rows = one.predictions.filter(compute.equal(one.predictions["condition"], name))
        text = pyarrow.repeat(pyarrow.scalar(condition.name, pyarrow.string()), len(rows))
        tables.append(rows.set_column(rows.column_names.index("condition"), "condition", text))
    distinct = list({id(one): one for one in passes}.values())
    return replace(
        distinct[0],
        values=values,
        predictions=pyarrow.concat_tables(tables).combine_chunks(),
        tied={first.name: found[first.heads].tied[_name(first.heads)] for first in first_conditions(conditions).values()},
        skipped=list(distinct[0].skipped),
        warnings=list(dict.fromkeys(text for one in distinct for text in one.warnings)),
    )


def _packed(evaluation: Evaluation) -> dict[str, bytes]:
    about = {
        name: getattr(evaluation, name) for name in ("primary", "values", "tied", "num_samples", "skipped", "warnings", "decoder")
    }
    buffer = pyarrow.BufferOutputStream()
    parquet.write_table(evaluation.predictions, buffer)
    return {"evaluation": json.dumps(about).encode(), "predictions.parquet": buffer.getvalue().to_pybytes()}


def unpack_evaluation(entry: Entry) -> Evaluation:
    """A pass over a data set, whose conditions are called as its sets of heads are in the store. Raises on another layout."""
    about = read_json(_About, entry.members["evaluation"])
    predictions = parquet.read_table(pyarrow.BufferReader(entry.members["predictions.parquet"]))
    names = set(entry.key["heads"])
    if about.values.keys() != names or set(predictions["condition"].unique().to_pylist()) - names:
        raise ValueError("it is not of the heads that it names")
    return Evaluation(predictions=predictions, **vars(about))


@dataclass
class _About:
    primary: str
    values: dict[str, dict[str, float]]
    tied: dict[str, int]
    num_samples: int
    skipped: list[str]
    warnings: list[str]
    decoder: str | None


def _name(heads: Heads) -> str:
    """What a set of heads is called in the store: its heads in order; nothing for the original."""
    return " ".join(str(head) for head in sorted(heads))
