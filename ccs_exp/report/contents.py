"""A run folder, read once and arranged as reports need it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ccs_exp.errors import CcsError
from ccs_exp.heads import ORIGINAL
from ccs_exp.report.answers import Answers, read_answers
from ccs_exp.run_folder.columns import DESCRIPTION_COLUMNS, PRIMARY_METRICS, VERDICT_COLUMNS
from ccs_exp.run_folder.folder import RunFolder
from ccs_exp.scoring.robustness import Rescored
from ccs_exp.scoring.robustness_file import read_rescored
from ccs_exp.statistics.intervals import Interval, Paired, Place, holm, place

_KINDS = {
    ("accuracy", "delta", "random", "ccs_at_k"): (dict, type(None)),
    ("skipped", "warnings"): (list,),
    ("unjudged",): (int,),
    ("model",): (str,),
    ("dataset",): (str, type(None)),
}
SINGLE_HEAD = "head/"  # conditions that silence one head each are many, and are shown apart


@dataclass(frozen=True)
class ConditionResult:
    """One condition: ``{metric: value}``, ``{metric: delta}`` and how sure they are, as far as predictions were kept.

    Attributes:
        intervals: 95% intervals of metrics, the primary one's among them.
        paired: the test of the primary metric's hits against the original's, where heads were silenced.
    """

    name: str
    num_pruned: int
    values: dict[str, float | None]
    deltas: dict[str, float | None]
    intervals: dict[str, Interval]
    paired: Paired | None = None


@dataclass(frozen=True)
class HeadResult:
    """One row of ``heads.csv``; `described` pairs each description with its verdict."""

    name: str
    layer: int
    index: int
    label: str | None
    ccs: int | None
    ccs_class: str | None
    described: tuple[tuple[str, str | None], ...]
    explained_variance: float | None


@dataclass(frozen=True)
class Contents:
    """All of a run folder. `ccs_at_k` is None where no head was judged; `conditions` is empty without a data set."""

    path: Path
    summary: dict[str, Any]
    heads: tuple[HeadResult, ...]
    ccs_at_k: dict[int, float] | None
    metrics: tuple[str, ...]
    primary: str | None
    conditions: tuple[ConditionResult, ...]
    rescored: tuple[Rescored, ...] = ()

    @property
    def groups(self) -> tuple[ConditionResult, ...]:
        """The conditions other than ``head/...``."""
        return tuple(item for item in self.conditions if not item.name.startswith(SINGLE_HEAD))

    @property
    def single_heads(self) -> dict[str, ConditionResult]:
        """The conditions ``head/<head>``, by the head's name."""
        return {item.name.removeprefix(SINGLE_HEAD): item for item in self.conditions if item.name.startswith(SINGLE_HEAD)}

    @property
    def class_of_k(self) -> dict[int, str]:
        """The class of each CCS that some head has."""
        return {head.ccs: head.ccs_class for head in self.heads if head.ccs is not None and head.ccs_class}

    @property
    def class_counts(self) -> dict[str, int]:
        return {name: sum(head.ccs_class == name for head in self.heads) for name in ("high", "moderate", "low")}

    @property
    def random_delta(self) -> float | None:
        """Mean of ``random/<seed>`` minus the original."""
        random, accuracy = self.summary["random"], self.summary["accuracy"]
        if not random or not accuracy or random.get("mean") is None or ORIGINAL not in accuracy:
            return None
        return random["mean"] - accuracy[ORIGINAL]

    @cached_property
    def adjusted(self) -> dict[str, float | None]:
        """The paired tests' p-values after Holm's correction, over the conditions in `groups` and over single heads apart."""
        kinds = (self.groups, tuple(self.single_heads.values()))
        return {
            item.name: p for items in kinds for item, p in zip(items, holm([x.paired and x.paired.p for x in items]), strict=True)
        }

    @property
    def high_among_random(self) -> Place | None:
        """Where the primary metric without high heads falls among the random draws of as many heads."""
        named = {item.name: item for item in self.conditions}
        high = named.get("high_ccs")
        if high is None or not high.num_pruned or high.values.get(self.primary) is None:
            return None
        draws = [item.values.get(self.primary) for item in self.conditions if item.name.startswith("random/")]
        return place(high.values[self.primary], [draw for draw in draws if draw is not None])

    @property
    def notices(self) -> list[str]:
        """What a reader must be told before any number."""
        summary = self.summary
        notices = [str(warning) for warning in summary["warnings"]]
        told = " ".join(notices)
        if summary["skipped"] and "skipped" not in told:
            notices.append(f"Samples that could not be read and were skipped: {len(summary['skipped'])}.")
        if summary["unjudged"] and "unjudged" not in told:
            notices.append(f"Descriptions that are unjudged: {summary['unjudged']}. Their heads have no CCS.")
        return notices


def gather(run_dir: Path, thorough: bool = False) -> Contents:
    """Read a finished run's folder. Raises `CcsError` where a file is missing that every run has, or is damaged.

    `thorough`: also the intervals that have to be bootstrapped.
    """
    folder = RunFolder(run_dir)
    summary = folder.read_summary()
    _check_kinds(summary, run_dir)
    accuracy = folder.read_accuracy()
    at_k = folder.read_ccs_at_k()
    heads = tuple(_head(row) for row in folder.read_heads().to_dict("records"))
    metrics: tuple[str, ...] = ()
    primary, conditions = None, ()
    if accuracy is not None and len(accuracy):
        metrics = tuple(dict.fromkeys(accuracy["metric"]))
        primary = next((name for name in (summary.get("metric"), *PRIMARY_METRICS) if name in metrics), metrics[0])
        metrics = (primary, *(name for name in metrics if name != primary))
        conditions = _conditions(accuracy.to_dict("records"), read_answers(run_dir), primary, thorough)
    by_k = None if at_k is None else {row["k"]: row["fraction"] for row in at_k.to_dict("records")}
    return Contents(run_dir, summary, heads, by_k, metrics, primary, conditions, read_rescored(run_dir))


def _check_kinds(summary: dict[str, Any], run_dir: Path) -> None:
    for keys, kinds in _KINDS.items():
        for key in keys:
            if not isinstance(summary.get(key), kinds):
                raise CcsError(
                    f"{run_dir}/summary.json: {key} is {str(summary.get(key))[:40]!r}, which no run writes. Run the job again."
                )


def _conditions(rows: list[dict], answers: dict[str, Answers], primary: str, thorough: bool) -> tuple[ConditionResult, ...]:
    found: dict[str, ConditionResult] = {}
    for row in rows:
        name = row["condition"]
        item = found.setdefault(name, ConditionResult(name, row["num_pruned"], {}, {}, {}))
        item.values[row["metric"]], item.deltas[row["metric"]] = row["value"], row["delta"]
    original = answers.get(ORIGINAL)
    for name, item in found.items():
        given = answers.get(name)
        if given is None:
            continue
        every = thorough and not name.startswith(SINGLE_HEAD)
        for metric in item.values if every else (primary,):
            interval = given.interval_of(metric, item.values.get(metric))
            if interval is not None:
                item.intervals[metric] = interval
        if item.num_pruned and original is not None:
            found[name] = replace(item, paired=given.against(original))
    return tuple(found.values())


def _head(row: dict[str, Any]) -> HeadResult:
    described = tuple(
        (row[text], row[verdict])
        for text, verdict in zip(DESCRIPTION_COLUMNS, VERDICT_COLUMNS, strict=True)
        if row[text] is not None
    )
    index = int(row["head"].rpartition("H")[2]) if row["head"].rpartition("H")[2].isdigit() else 0
    return HeadResult(
        *(row["head"], row["layer"], index, row["label"], row["ccs"], row["ccs_class"]), described, row["explained_variance"]
    )
