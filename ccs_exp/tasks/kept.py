"""Evaluations kept for each set of silenced heads: conditions are names for them, and a set once evaluated is not evaluated again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from safetensors import numpy as safetensors

from ccs_exp.heads import Condition, Head
from ccs_exp.store import Entry, Stages, json_as, locked, read_entries, unpacked, write_entry
from ccs_exp.store.entries import key_digest
from ccs_exp.tasks.evaluation import Evaluation, Heads, Outcomes, distinct_sets

_FRACTIONS = ("margin", "log_probability", "rank", "ndkl")  # what a pass finds of each item in fractional numbers; all else are whole

Evaluate = Callable[[Sequence[Condition]], Evaluation]


def evaluate_kept(conditions: Sequence[Condition], key: Mapping[str, Any], evaluate: Evaluate, stages: Stages) -> Evaluation:
    """All conditions, of which `evaluate` sees only those heads that no job has evaluated under `key`: in one pass, if any.

    Where outputs are resampled `key` holds the seeds: a set of heads is kept in all of them.

    What a pass gives is one entry, so that what is kept of it is all of it or nothing, and repeating a killed job repeats its pass
    as it was. A pass under one set of heads is noted in `stages` as ``evaluation``.
    """
    kind = f"evaluations/{key_digest(key)}"
    wanted, _ = distinct_sets(conditions)
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
    return _assembled(conditions, wanted, found)


def _kept(kind: str, wanted: Sequence[Heads]) -> dict[Heads, Evaluation]:
    by_name = {_name(heads): heads for heads in wanted}
    found: dict[Heads, Evaluation] = {}
    for entry in read_entries(kind):
        names = [name for name in entry.key["heads"] if name in by_name and by_name[name] not in found]
        evaluation = unpacked(entry, unpack_evaluation) if names else None
        if evaluation is not None:
            found |= dict.fromkeys((by_name[name] for name in names), evaluation)
    return found


def _assembled(conditions: Sequence[Condition], wanted: tuple[Heads, ...], found: Mapping[Heads, Evaluation]) -> Evaluation:
    """One evaluation of named conditions out of the passes that hold their heads."""
    first = found[wanted[0]]
    passes = list({id(one): one for one in found.values()}.values())
    places = [(found[heads], place) for heads in wanted for place, kept in enumerate(found[heads].sets) if kept == heads]
    tasks = {name: _joined([(one.tasks[name], place) for one, place in places]) for name in first.tasks}
    rankings = {name: _joined([(one.rankings[name], place) for one, place in places]) for name in first.rankings}
    warnings = list(dict.fromkeys(text for one in passes for text in one.warnings))
    sets, seeds = (tuple(getattr(one, name)[place] for one, place in places) for name in ("sets", "seeds"))
    return Evaluation(tuple(conditions), sets, tasks, seeds, list(first.skipped), warnings, first.decoder, rankings)


def _joined(of_sets: Sequence[tuple[Outcomes, int]]) -> Outcomes:
    """One task under sets of heads that stand in several passes."""
    task = of_sets[0][0]
    return replace(
        task,
        columns={column: np.stack([of.columns[column][place] for of, place in of_sets]) for column in task.columns},
        values=[of.values[place] for of, place in of_sets],
        tied=[of.tied[place] for of, place in of_sets],
    )


def _packed(evaluation: Evaluation) -> dict[str, bytes]:
    about: list[dict[str, Any]] = []
    arrays: dict[str, np.ndarray] = {}
    for number, (name, task) in enumerate([*evaluation.tasks.items(), *evaluation.rankings.items()]):
        texts = {column: values.tolist() for column, values in task.fixed.items() if values.dtype == object}
        numbers = {column: values for column, values in task.fixed.items() if column not in texts}
        arrays |= {f"{number}/fixed/{column}": np.ascontiguousarray(values) for column, values in numbers.items()}
        arrays |= {f"{number}/columns/{column}": np.ascontiguousarray(values) for column, values in task.columns.items()}
        told = {field: getattr(task, field) for field in ("primary", "id_column", "num_samples")}
        told |= {"ids": list(task.ids), "values": [dict(values) for values in task.values], "tied": list(task.tied)}
        about.append(told | {"name": name, "texts": texts, "ranking": number >= len(evaluation.tasks)})
    sets = {"sets": [_name(heads) for heads in evaluation.sets], "seeds": evaluation.seeds}
    of_pass = sets | {"tasks": about, "skipped": evaluation.skipped, "warnings": evaluation.warnings, "decoder": evaluation.decoder}
    return {"about": json.dumps(of_pass).encode(), "columns.safetensors": safetensors.save(arrays)}


def unpack_evaluation(entry: Entry) -> Evaluation:
    """A pass over a data set, whose conditions are called as its sets of heads are in the store. Raises on another layout."""
    about = json_as(_Pass, entry.members["about"])
    arrays = safetensors.load(entry.members["columns.safetensors"])
    sets = tuple(map(_heads, about.sets))
    if {_name(heads) for heads in sets} != set(entry.key["heads"]) or len(about.seeds) != len(sets):
        raise ValueError("it is not of the heads that it names")
    tasks: dict[str, Outcomes] = {}
    rankings: dict[str, Outcomes] = {}
    for number, task in enumerate(about.tasks):
        fixed, columns = (_arrays(arrays, f"{number}/{part}/") for part in ("fixed", "columns"))
        _check_kinds(fixed | columns)
        fixed |= {column: np.array(values, dtype=object) for column, values in task.texts.items()}
        shape = len(sets), len(task.ids)
        if {values.shape for values in columns.values()} != {shape} or {values.shape for values in fixed.values()} != {shape[1:]}:
            raise ValueError(f"the columns of {task.name} are not of {shape} numbers")
        if len(task.values) != len(sets) or len(task.tied) != len(sets):
            raise ValueError(f"the values of {task.name} are not of {len(sets)} sets of heads")
        (rankings if task.ranking else tasks)[task.name] = Outcomes(
            task.primary, task.id_column, task.ids, fixed, columns, task.values, task.tied, task.num_samples
        )
    conditions = tuple(Condition(_name(heads), heads) for heads in dict.fromkeys(sets))
    return Evaluation(conditions, sets, tasks, tuple(about.seeds), about.skipped, about.warnings, about.decoder, rankings)


def _check_kinds(columns: Mapping[str, np.ndarray]) -> None:
    for column, values in columns.items():
        if values.dtype.kind != ("f" if column in _FRACTIONS else "i"):
            raise ValueError(f"{column} holds {values.dtype}")


def _arrays(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    # in one order, which safetensors does not keep: tables of several tasks are put below each other
    return {key.removeprefix(prefix): arrays[key] for key in sorted(arrays) if key.startswith(prefix)}


@dataclass
class _Task:
    name: str
    primary: str
    id_column: str
    num_samples: int
    ids: list[str]
    values: list[dict[str, float]]
    tied: list[int]
    texts: dict[str, list[str]]
    ranking: bool


@dataclass
class _Pass:
    sets: list[str]
    seeds: list[int | None]
    tasks: list[_Task]
    skipped: list[str]
    warnings: list[str]
    decoder: str | None


def _name(heads: Heads) -> str:
    """What a set of heads is called in the store: its heads in order; nothing for the original."""
    return " ".join(str(head) for head in sorted(heads))


def _heads(name: str) -> Heads:
    return frozenset(map(Head.parse, name.split()))
