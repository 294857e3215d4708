"""A run folder, read once and arranged as reports need it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ccs_exp.errors import CcsError
from ccs_exp.heads import MATCHED, MEAN, ORIGINAL, RANDOM, SINGLE_HEAD, Head
from ccs_exp.report.uncertainty import records, uncertainty
from ccs_exp.run_folder.columns import DESCRIPTION_COLUMNS, VERDICT_COLUMNS
from ccs_exp.run_folder.folder import RunFolder
from ccs_exp.run_folder.robustness_file import Rescored, read_rescored
from ccs_exp.run_folder.search import check_files
from ccs_exp.run_folder.summary import Summary, read_summary
from ccs_exp.run_folder.wording import percent
from ccs_exp.statistics.intervals import Interval

_CLASS_STEP = {"high": 5, "moderate": 3, "low": 1}
_MOST_HEADS, _LARGEST_INDEX = 10_000, 999  # beyond any encoder; a page has a place for each


@dataclass(frozen=True)
class ConditionResult:
    """One condition, or the mean over the draws of a family: of every metric the value, the delta and how sure they are.

    A set without heads has no values. Tests are of the primary metric, and only of what is a hypothesis or a single head.

    Attributes:
        how: which interval each metric has.
        p_original, p_original_holm: that silencing changed nothing; `lost` and `gained` are the samples that it changed.
        p_matched: that it costs what sets do that match it layer by layer (two-sided), of which there are `matched_sets`.
    """

    name: str
    strategy: str
    num_pruned: int
    values: dict[str, float | None] = field(default_factory=dict)
    deltas: dict[str, float | None] = field(default_factory=dict)
    intervals: dict[str, Interval] = field(default_factory=dict)
    delta_intervals: dict[str, Interval] = field(default_factory=dict)
    how: dict[str, str] = field(default_factory=dict)
    lost: int | None = None
    gained: int | None = None
    p_original: float | None = None
    p_original_holm: float | None = None
    p_matched: float | None = None
    matched_sets: int | None = None

    @property
    def empty(self) -> bool:
        """Whether there was nothing to silence."""
        return self.name != ORIGINAL and self.num_pruned == 0


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

    @property
    def step(self) -> int | None:
        """Which of the six colours a head has: its CCS, or where only its class is known, one that stands for the class."""
        return self.ccs if self.ccs is not None else _CLASS_STEP.get(self.ccs_class or "")


@dataclass(frozen=True)
class Contents:
    """All of a run folder. `ccs_at_k` is None where no head was judged; without a data set `conditions` is empty and `primary` "".

    `metrics`: the primary one first; of several tasks its mean over them, then that of each task. `means`: over random draws, and over
    the sets that match a condition.
    """

    path: Path
    summary: Summary
    heads: tuple[HeadResult, ...]
    ccs_at_k: dict[int, float] | None
    metrics: tuple[str, ...]
    primary: str
    conditions: tuple[ConditionResult, ...]
    means: tuple[ConditionResult, ...]
    tasks: tuple[str, ...]
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
    def original(self) -> ConditionResult | None:
        return next((item for item in self.conditions if item.name == ORIGINAL), None)

    @property
    def random(self) -> ConditionResult | None:
        """The mean over the random draws."""
        return next((item for item in self.means if item.name == f"{RANDOM}{MEAN}"), None)

    def matched(self, condition: str) -> ConditionResult | None:
        """The mean over the sets that match a condition layer by layer."""
        return next((item for item in self.means if item.name == f"{MATCHED}{condition}/{MEAN}"), None)

    @property
    def tested(self) -> tuple[ConditionResult, ...]:
        """The conditions that have a matched null."""
        return tuple(item for item in self.groups if item.p_matched is not None)

    @property
    def class_of_k(self) -> dict[int, str]:
        """The class of each CCS that some head has."""
        return {head.ccs: head.ccs_class for head in self.heads if head.ccs is not None and head.ccs_class}

    @property
    def over_all_heads(self) -> str | None:
        """CCS@K over all scored heads, which is the paper's definition, where some are unjudged and the shares are of the others."""
        judged = sum(head.ccs is not None for head in self.heads)
        if not self.ccs_at_k or judged == len(self.heads):
            return None
        shares = ", ".join(percent(share * judged / len(self.heads)) for _, share in sorted(self.ccs_at_k.items()))
        return f"Shares of the {judged} judged heads. Of all {len(self.heads)}, as the paper defines it, in per cent: {shares}."

    @property
    def class_counts(self) -> dict[str, int]:
        return {name: sum(head.ccs_class == name for head in self.heads) for name in ("high", "moderate", "low")}

    @property
    def notices(self) -> list[str]:
        """What a reader must be told before any number."""
        summary = self.summary
        notices = list(summary["warnings"])
        told = " ".join(notices)
        if summary["skipped"] and "skipped" not in told:
            notices.append(f"Samples that could not be read and were skipped: {len(summary['skipped'])}.")
        if summary["unjudged"] and "unjudged" not in told:
            notices.append(f"Descriptions that are unjudged: {summary['unjudged']}. Their heads have no CCS.")
        return notices


def gather(run_dir: Path, rows: Sequence[dict[str, Any]] | None = None, summary: Summary | None = None) -> Contents:
    """Read a finished run's folder. `rows`: those of its ``uncertainty.csv``, where they are at hand; without any, no condition is read.

    `summary`: of a run that has not finished, and is this job's own. Raises `CcsError` where a file is missing that every run has, or
    is not as a run writes it.
    """
    folder = RunFolder(run_dir)
    if summary is None:
        check_files(run_dir)
        summary = read_summary(run_dir)
    if rows is None:
        rows = records(folder.read_uncertainty()) or uncertainty(folder, summary)
    at_k, heads = folder.read_ccs_at_k(), folder.read_heads()
    if len(heads) > _MOST_HEADS:
        raise CcsError(f"{run_dir}/heads.csv has {len(heads):,} heads, more than any encoder. Run the job again.")
    tasks = tuple(dict.fromkeys(row["task"] for row in rows if row["task"] is not None))
    primary = rows[0]["metric"] if rows else ""
    conditions = _conditions(rows, primary, len(tasks) > 1)
    return Contents(
        run_dir,
        summary,
        tuple(_head(row, run_dir) for row in records(heads)),
        None if at_k is None else dict(at_k.values.tolist()),
        tuple(dict.fromkeys(metric for item in conditions for metric in item.values)),
        primary,
        tuple(item for item in conditions if not _is_mean(item)),
        tuple(item for item in conditions if _is_mean(item)),
        tasks,
        read_rescored(run_dir),
    )


def _conditions(rows: Sequence[dict[str, Any]], primary: str, several: bool) -> list[ConditionResult]:
    found: dict[str, ConditionResult] = {}
    for row in rows:
        metric = row["metric"] if row["task"] is None or not several else f"{row['task']} {row['metric']}"
        if several and row["metric"] != primary:
            continue  # the file has them; a page of all metrics of all tasks is none
        name = row["condition"]
        tests = {key: row[key] for key in ("lost", "gained", "p_original", "p_original_holm", "p_matched", "matched_sets")}
        if name not in found:
            found[name] = ConditionResult(name, row["strategy"], row["num_pruned"], **(tests if metric == primary else {}))
        item = found[name]
        item.values[metric], item.deltas[metric] = row["value"], row["delta"]
        for kind, intervals in (("value", item.intervals), ("delta", item.delta_intervals)):
            if row[f"{kind}_low"] is not None:
                intervals[metric] = Interval(row[f"{kind}_low"], row[f"{kind}_high"])
                item.how[metric] = row["interval"]
    return list(found.values())


def _is_mean(item: ConditionResult) -> bool:
    return item.name.startswith((RANDOM, MATCHED)) and item.name.endswith(f"/{MEAN}")


def _head(row: dict[str, Any], run_dir: Path) -> HeadResult:
    head = Head.parse(row["head"] or "")
    if max(head) > _LARGEST_INDEX or head.layer != row["layer"]:
        raise CcsError(f"{run_dir}/heads.csv: {head} stands in layer {row['layer']}, which no run writes. Run the job again.")
    described = tuple(
        (row[text], row[verdict])
        for text, verdict in zip(DESCRIPTION_COLUMNS, VERDICT_COLUMNS, strict=True)
        if row[text] is not None
    )
    return HeadResult(str(head), *head, row["label"], row["ccs"], row["ccs_class"], described, row["explained_variance"])
