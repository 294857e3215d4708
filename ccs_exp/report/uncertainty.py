"""``uncertainty.csv``: for every value and difference its interval; for every hypothesis tests against the original and its matched null.

Hypotheses are the conditions that somebody asks about: high, low, concepts, sets of the user's own. Random draws are their control, with
no test of their own; heads silenced one at a time are many, and a family by themselves.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from ccs_exp.files import rounded
from ccs_exp.heads import MATCHED, MEAN, NULLS, ORIGINAL, RANDOM, SINGLE_HEAD, is_hypothesis
from ccs_exp.report.answers import Answers, read_answers
from ccs_exp.report.intervals import SETS, Sure, mean_over_sets, of_hits, of_ranks, of_seeds, of_task_means
from ccs_exp.run_folder.columns import UNCERTAINTY_COLUMNS
from ccs_exp.run_folder.folder import RunFolder
from ccs_exp.run_folder.summary import Summary, primary_metric
from ccs_exp.run_folder.wording import is_rank
from ccs_exp.statistics.intervals import holm_in_family, paired
from ccs_exp.statistics.null_place import null_place
from ccs_exp.statistics.resampling import sign_flip_p

if TYPE_CHECKING:
    import pandas

Rows = list[dict[str, Any]]
Value = float | None


def write_uncertainty(run_dir: Path, summary: Summary) -> Rows:
    """The rows, written to ``uncertainty.csv`` where there are any."""
    folder = RunFolder(run_dir)
    rows = uncertainty(folder, summary)
    if rows:
        folder.write("uncertainty.csv", rows)
    return rows


def uncertainty(folder: RunFolder, summary: Summary) -> Rows:
    """The rows, those of the primary metric first; none where nothing was evaluated. Raises `CcsError` for damaged files."""
    table = folder.read_accuracy()
    if table is None or not len(table):
        return []
    rows = [{**row, "task": row["task"] or row["dataset"]} for row in records(table)]
    metrics = list(dict.fromkeys(row["metric"] for row in rows))
    primary = primary_metric(summary, metrics)
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    if len(tasks) > 1:
        rows = [*_means_over_tasks(rows, primary, len(tasks)), *rows]
    rows.sort(key=lambda row: (row["task"] is not None and len(tasks) > 1, row["metric"] != primary))
    answers = read_answers(folder.path)
    shown = [row for row in rows if not row["condition"].startswith(NULLS)]
    sure = _intervals(answers, shown, primary)
    result = [_row(row, sure.get((row["task"], row["metric"]), {}).get(row["condition"])) for row in shown]
    first = [row for row in result if (row["task"], row["metric"]) == (result[0]["task"], primary)]
    _add_tests(first, _primary_answers(answers, result[0]["task"]))
    main = [row for row in rows if (row["task"], row["metric"]) == (result[0]["task"], primary)]
    _add_nulls(first, main, _number_of_sets(folder))
    return [rounded(row) for row in (*result, *_means_over_draws(rows))]


def records(table: pandas.DataFrame | None) -> Rows:
    """The rows of a table, none where there is no table."""
    columns = [] if table is None else table.columns.tolist()
    return [] if table is None else [dict(zip(columns, values, strict=True)) for values in table.values.tolist()]


def strategy_and_seed(condition: str) -> tuple[str, int | None]:
    """
    >>> strategy_and_seed("random/2"), strategy_and_seed("concept/animals"), strategy_and_seed("matched/high_ccs/17")
    (('random', 2), ('concept', None), ('matched/high_ccs', 17))
    """
    name, _, last = condition.rpartition("/")
    return (name, int(last)) if name and last.isdecimal() else (condition.partition("/")[0], None)


def _means_over_tasks(rows: Rows, primary: str, tasks: int) -> Rows:
    """Of every condition the mean of the primary metric over tasks, those that have it in all; as the task None."""
    by_condition: dict[str, Rows] = defaultdict(list)
    for row in rows:
        if row["metric"] == primary:
            by_condition[row["condition"]].append(row)
    return [
        {**of_tasks[0], "task": None} | {key: fmean(row[key] for row in of_tasks) for key in ("value", "delta")}
        for of_tasks in by_condition.values()
        if len(of_tasks) == tasks and all(row[key] is not None for row in of_tasks for key in ("value", "delta"))
    ]


def _intervals(answers: Mapping[str, Answers], rows: Rows, primary: str) -> dict[tuple[str | None, str], dict[str, Sure]]:
    """``{(task, metric): {condition: intervals}}``."""
    values: dict[tuple[str | None, str], dict[str, Value]] = defaultdict(dict)
    for row in rows:
        values[row["task"], row["metric"]][row["condition"]] = row["value"]
    found: dict[tuple[str | None, str], dict[str, Sure]] = {}
    resampled = any(item.of_seeds for item in answers.values())
    of_directions: dict[str, dict[str, tuple[str | None, str]]] = defaultdict(dict)
    for task, metric in values:
        direction, _, name = metric.partition("_")
        given = answers.get(task) if task else None
        if resampled and direction not in answers:
            asked = list(answers.values()) if task is None else [answers[name] for name in (task,) if name in answers]
            found[task, metric] = of_seeds(asked, metric) if asked else {}
        elif task is None and answers:
            found[task, metric] = of_task_means(answers)
        elif given is not None and given.targets is not None:
            found[task, metric] = of_hits(given, metric, values[task, metric])
        elif direction in answers and (answers[direction].ranks or answers[direction].of_seeds):
            of_directions[direction][name] = (task, metric)
    for direction, metrics in of_directions.items():
        found |= {metrics[name]: sure for name, sure in of_ranks(answers[direction], list(metrics)).items()}
    return found


def _row(row: Mapping[str, Any], sure: Sure | None) -> dict[str, Any]:
    strategy, seed = strategy_and_seed(row["condition"])
    original = row["condition"] == ORIGINAL
    empty = not original and row["num_pruned"] == 0  # nothing was silenced: what stands there is the original's
    value, delta, how = sure if sure and not empty else (None, None, None)
    delta = None if original else delta
    return dict.fromkeys(UNCERTAINTY_COLUMNS) | {
        **{key: row[key] for key in ("model", "dataset", "task", "condition", "num_pruned", "metric")},
        **{"strategy": strategy, "seed": seed, "interval": how},
        **{"value": None if empty else row["value"], "value_low": value and value.low, "value_high": value and value.high},
        **{"delta": None if empty or original else row["delta"], "delta_low": delta and delta.low, "delta_high": delta and delta.high},
    }


def _primary_answers(answers: Mapping[str, Answers], task: str | None) -> list[Answers]:
    """The answers behind the primary metric, of several tasks all."""
    if task is None:
        return list(answers.values())
    return [answers[name] for name in (task, "t2v") if name in answers][:1]


def _add_tests(rows: Rows, answers: Sequence[Answers]) -> None:
    """Whether silencing changed the primary metric: McNemar's exact test; where samples come in groups, signs flipped by group."""
    named = {row["condition"]: row for row in rows if row["value"] is not None}
    tested = [name for name in named if name.startswith(SINGLE_HEAD) or is_hypothesis(name)]
    if not answers or not tested:
        return
    hits = [task.hits or {name: ranks <= 1 for name, ranks in task.ranks.items()} for task in answers]
    tested = [name for name in tested if all(name in task and ORIGINAL in task for task in hits)]
    if not tested:
        return
    grouped = len(answers) > 1 or answers[0].targets is None
    for name in tested:
        pairs = [paired(task[ORIGINAL], task[name]) for task in hits]
        known = [pair for pair in pairs if pair is not None]
        named[name] |= {"lost": sum(pair.lost for pair in known), "gained": sum(pair.gained for pair in known)}
        if not grouped and known:
            named[name]["p_original"] = known[0].p
    if grouped:
        tested = [name for name in tested if is_hypothesis(name)]
        count = max(int(task.samples.max()) for task in answers) + 1
        changes = np.zeros((len(tested), count))
        for task, right in zip(answers, hits, strict=True):
            for at, name in enumerate(tested):
                change = right[name].astype(float) - right[ORIGINAL]
                changes[at] += np.bincount(task.samples, change, count) / (len(change) * len(answers))
        for name, p in zip(tested, sign_flip_p(changes), strict=True):
            named[name]["p_original"] = float(p)
    for family in ([name for name in tested if is_hypothesis(name)], [name for name in tested if not is_hypothesis(name)]):
        corrected = holm_in_family({name: named[name]["p_original"] for name in family}, family)
        for name, p in corrected.items():
            named[name]["p_original_holm"] = p


def _add_nulls(rows: Rows, drawn: Iterable[Mapping[str, Any]], number_of_sets: Mapping[str, int]) -> None:
    """Where each condition's cost falls among the sets that match it layer by layer."""
    nulls: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in drawn:
        if row["condition"].startswith(MATCHED) and row["delta"] is not None:
            nulls[strategy_and_seed(row["condition"])[0].removeprefix(MATCHED)].append(row)
    for row in rows:
        draws = nulls.get(row["condition"])
        if draws and row["delta"] is not None:
            sign = 1 if is_rank(row["metric"]) else -1
            all_there_are = number_of_sets.get(row["condition"]) == len(draws)
            found = null_place(sign * row["delta"], [sign * draw["delta"] for draw in draws], all_there_are)
            row |= {"p_matched": found.p, "matched_sets": found.draws}


def _number_of_sets(folder: RunFolder) -> dict[str, int]:
    """How many sets match high and low heads layer by layer, the tested one among them."""
    layers: dict[int, list[str | None]] = defaultdict(list)
    for row in records(folder.read_heads()):
        layers[row["layer"]].append(row["ccs_class"])
    return {
        f"{name}_ccs": math.prod(math.comb(len(classes), classes.count(name)) for classes in layers.values()) for name in ("high", "low")
    }


def _means_over_draws(rows: Rows) -> Rows:
    """The mean over random draws and over matched sets, of every metric, with its interval over sets."""
    families: dict[tuple[str | None, str, str], Rows] = defaultdict(list)
    for row in rows:
        strategy, seed = strategy_and_seed(row["condition"])
        if seed is not None and row["condition"].startswith((RANDOM, MATCHED)) and row["value"] is not None and row["num_pruned"]:
            families[row["task"], row["metric"], strategy].append(row)
    found = []
    for (_, _, strategy), draws in families.items():
        values = {key: [row[key] for row in draws if row[key] is not None] for key in ("value", "delta")}
        means = {key: fmean(of_draws) if of_draws else None for key, of_draws in values.items()}
        sure = Sure(mean_over_sets(values["value"]), mean_over_sets(values["delta"]), SETS)
        found.append(_row({**draws[0], **means, "condition": f"{strategy}/{MEAN}"}, sure) | {"strategy": strategy, "seed": None})
    return found
