"""What a run's evidence says: three findings in words, and the causal map; from the run folder's files alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ccs_exp.report.contents import Contents
from ccs_exp.run_folder.evidence_files import read_evidence
from ccs_exp.run_folder.evidence_summary import AgainstMatched, Correlation, EvidenceSummary, ForemostHead, Senses
from ccs_exp.run_folder.wording import number, p_value, percent, plain, signed

if TYPE_CHECKING:
    import pandas

_DARKEST = 5  # of the shades 0..5
_STRONG = 0.05  # p below which a finding is one
_LEAST = 0.1  # standard deviations: what is printed with one decimal


@dataclass(frozen=True)
class MapRow:
    """A head of the causal map. `cells`: for each task the standardised cost, its shade 0..5, and whether its label names the task."""

    head: str
    label: str | None
    ccs: int | None
    cells: tuple[tuple[float | None, int, bool], ...]
    represents: str | None
    right: bool | None


@dataclass(frozen=True)
class CausalMapView:
    tasks: tuple[str, ...]
    rows: tuple[MapRow, ...]


class MapTables(NamedTuple):
    """``causal_map.csv`` and ``evidence.csv`` of one data set."""

    cells: pandas.DataFrame
    heads: pandas.DataFrame


def map_tables(folder: Path) -> MapTables | None:
    """None for a run in which not every scored head was silenced alone. Raises `CcsError` for files that no run writes."""
    cells = read_evidence(folder, "causal_map.csv", ("head", "task"), ("standardised",))
    heads = read_evidence(folder, "evidence.csv", ("head", "label", "label_tasks", "represents", "label_most_affected"), ("ccs",))
    return None if cells is None or heads is None else MapTables(cells, heads)


def causal_map_view(contents: Contents) -> CausalMapView | None:
    tables = map_tables(contents.path)
    return None if tables is None else causal_map([tables])


def causal_map(of_datasets: Sequence[MapTables]) -> CausalMapView:
    """The map over the tasks of several data sets; heads, and what they represent, as the first has them."""
    found = {(row["head"], row["task"]): number(row["standardised"]) for of in of_datasets for row in of.cells.to_dict("records")}
    tasks = tuple(dict.fromkeys(task for of in of_datasets for task in of.cells["task"]))
    named = {(row["head"], task) for of in of_datasets for row in of.heads.to_dict("records") for task in _tasks(row["label_tasks"])}
    largest = max((value for value in found.values() if value is not None), default=0.0) or 1.0
    rows = []
    for row in of_datasets[0].heads.to_dict("records"):
        values = [found.get((row["head"], task)) for task in tasks]
        shaded = [(value, _shade(value, largest), (row["head"], task) in named) for value, task in zip(values, tasks, strict=True)]
        represents = row["represents"] if isinstance(row["represents"], str) else None
        right = {"True": True, "False": False}.get(str(row["label_most_affected"]))
        ccs = number(row["ccs"])
        rows.append(MapRow(row["head"], row["label"] or None, None if ccs is None else int(ccs), tuple(shaded), represents, right))
    return CausalMapView(tasks, tuple(rows))


def findings(evidence: EvidenceSummary | None) -> list[str]:
    """What follows from a run's evidence, in words that say no more than the numbers; empty where there is none."""
    evidence = evidence or {}
    return [
        *_correlation(evidence.get("ccs_against_cost")),
        *_labels(evidence.get("labels_right") or {}),
        *_foremost(evidence.get("heads") or []),
        *(_null(row) for row in evidence.get("nulls") or []),
    ]


def _correlation(found: Correlation | None) -> list[str]:
    if not found:
        return []
    if found["rho"] is None:
        return [f"Whether heads of higher CCS matter more cannot be told: {found['reason']}."]
    low, high = found["low"], found["high"]
    interval = "" if low is None or high is None else f", 95% interval {signed(low)} to {signed(high)}"
    told = f"rho {signed(found['rho'])} within layers{interval}, p {p_value(found['p'])}, {found['heads']} heads"
    if found["p"] is None or found["p"] >= _STRONG:
        return [f"CCS does not tell here which heads matter ({told})."]
    return [f"Heads of higher CCS matter {'more' if found['rho'] > 0 else 'less'} here ({told})."]


def _labels(found: Senses) -> list[str]:
    ways = ((found.get("most_affected"), "what silencing the head hurts most"), (found.get("represents"), "what the head represents"))
    parts = []
    for shares, way in ways:
        if shares and shares["all"]["tested"]:
            both = (("high", shares["high"]), ("others", shares["others"]))
            counts = [f"{of_some['right']} of {of_some['tested']} {name}" for name, of_some in both if of_some["tested"]]
            chance = percent(shares["all"]["permuted"], 0)
            parts.append(f"{way}: {' and '.join(counts)} (labels dealt out at random: {chance}%)")
    return [f"Labels that name {'; '.join(parts)}."] if parts else []


def _foremost(heads: Sequence[ForemostHead]) -> list[str]:
    named = [
        f"{item['head']} ({plain(item['label'] or 'no label')}, CCS {'–' if item['ccs'] is None else item['ccs']}) for "
        f"{item['task'].rpartition('/')[2]}, {item['standardised']:.1f} sd"
        for item in heads[:3]
        if item["standardised"] >= _LEAST
    ]
    if heads and not named:
        return [f"No head alone costs a task {_LEAST} sd of its margins."]
    return [f"Heads that matter most: {'; '.join(named)}."] if named else []


def _null(row: AgainstMatched) -> str:
    return (
        f"Silencing {plain(row['condition'])} costs {row['cost']:.2f} sd on average over tasks; {row['draws']} random sets with as many "
        f"heads in each layer cost {row['null_mean']:.2f} ({row['null_low']:.2f} to {row['null_high']:.2f}), "
        f"p {p_value(row['p'])}, two-sided."
    )


def _tasks(listed: Any) -> list[str]:
    return listed.split("; ") if isinstance(listed, str) else []


def _shade(value: float | None, largest: float) -> int:
    return 0 if value is None else max(0, min(_DARKEST, round(_DARKEST * value / largest)))
