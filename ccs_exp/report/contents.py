"""A run folder, read once and arranged as reports need it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccs_exp.results import DESCRIPTION_COLUMNS, VERDICT_COLUMNS, RunFolder
from ccs_exp.scoring.robustness import Rescored
from ccs_exp.scoring.robustness_file import read_rescored

PRIMARY_METRICS = ("top1", "t2v_R@1")
ORIGINAL = "original"
SINGLE_HEAD = "head/"  # conditions that silence one head each are many, and are shown apart


@dataclass(frozen=True)
class ConditionResult:
    """One condition: ``{metric: value}``, ``{metric: delta}`` and the primary metric's 95% interval, if it has one."""

    name: str
    num_pruned: int
    values: dict[str, float]
    deltas: dict[str, float]
    interval: tuple[float, float] | None


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


def gather(run_dir: Path) -> Contents:
    """Read a finished run's folder. Raises `CcsError` where a file is missing that every run has, or is damaged."""
    folder = RunFolder(run_dir)
    summary = folder.read_summary()
    accuracy = folder.read_accuracy()
    at_k = folder.read_ccs_at_k()
    heads = tuple(_head(row) for row in folder.read_heads().to_dict("records"))
    metrics: tuple[str, ...] = ()
    primary, conditions = None, ()
    if accuracy is not None and len(accuracy):
        metrics = tuple(dict.fromkeys(accuracy["metric"]))
        primary = next((name for name in (summary.get("metric"), *PRIMARY_METRICS) if name in metrics), metrics[0])
        metrics = (primary, *(name for name in metrics if name != primary))
        conditions = _conditions(accuracy.to_dict("records"), intervals(run_dir))
    by_k = None if at_k is None else {row["k"]: row["fraction"] for row in at_k.to_dict("records")}
    return Contents(run_dir, summary, heads, by_k, metrics, primary, conditions, read_rescored(run_dir))


def intervals(run_dir: Path) -> dict[str, tuple[float, float]]:
    """95% Wilson intervals of each condition's share of correct samples (of retrieval: text to video, rank 1)."""
    from pyarrow import parquet
    from scipy.stats import binomtest

    path = run_dir / "predictions.parquet"
    if not path.exists():
        return {}
    if "rank" in parquet.read_schema(path).names:
        table = parquet.read_table(path, columns=["condition", "rank"], filters=[("direction", "=", "t2v")]).to_pandas()
        hits = (table["rank"] <= 1).groupby(table["condition"])
    else:
        table = parquet.read_table(path, columns=["condition", "correct"]).to_pandas()
        hits = table["correct"].groupby(table["condition"])
    result = {}
    for condition, (correct, count) in hits.agg(["sum", "count"]).iterrows():
        interval = binomtest(int(correct), int(count)).proportion_ci(0.95, method="wilson")
        result[condition] = (float(interval.low), float(interval.high))
    return result


def _conditions(rows: list[dict], interval: dict[str, tuple[float, float]]) -> tuple[ConditionResult, ...]:
    found: dict[str, ConditionResult] = {}
    for row in rows:
        name = row["condition"]
        item = found.setdefault(name, ConditionResult(name, row["num_pruned"], {}, {}, interval.get(name)))
        item.values[row["metric"]], item.deltas[row["metric"]] = row["value"], row["delta"]
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
