"""Skews of a run's rankings of people: of each attribute the conditions beside the original, from the run folder's files alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccs_exp.errors import CcsError
from ccs_exp.heads import MEAN, ORIGINAL
from ccs_exp.run_folder.evidence_files import read_evidence
from ccs_exp.run_folder.wording import number, p_value, plain, signed

SKEWS = ("min_skew", "max_skew")
_WIDTH, _MARGIN = 260, 8

Cell = Mapping[str, Any]


@dataclass(frozen=True)
class SkewRow:
    """A condition, or the mean of its draws: `cells` by measure, those of the accuracy of groups ``worst`` and ``gap`` among them.

    `ends`: for each of `SKEWS` where the original and this condition stand in the drawing.
    """

    condition: str
    num_pruned: int
    cells: Mapping[str, Cell]
    ends: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class AttributeSkews:
    """One attribute; `zero` and `random` are places in the drawing, of no skew, and of random rankings' skews where these are known."""

    attribute: str
    rows: tuple[SkewRow, ...]
    zero: float
    random: tuple[float, ...]
    levels: Mapping[str, float | None]


def skew_view(run_dir: Path) -> tuple[AttributeSkews, ...]:
    """Of every attribute that images were ranked by; empty where none were. Draws of one condition are shown as their mean.

    Raises `CcsError` for a file that no run writes.
    """
    means, groups = read_evidence(run_dir, "skew_means.csv"), read_evidence(run_dir, "group_accuracy.csv")
    if means is None:
        return ()
    try:
        of_groups = [{**row, "measure": row["of"], "value": row["accuracy"]} for row in _records(groups) if row["of"] != "group"]
        rows, attributes = [*_records(means), *of_groups], dict.fromkeys(means["attribute"])
        return tuple(_attribute(name, [row for row in rows if row["attribute"] == name]) for name in attributes)
    except (KeyError, TypeError, ValueError) as error:
        what = f"{type(error).__name__}: {error}"
        raise CcsError(
            f"{run_dir}: skew_means.csv or group_accuracy.csv is not as a run writes it ({what}). Run the job again."
        ) from error


def skew_findings(summary: Mapping[str, object]) -> list[str]:
    """A sentence for each attribute and condition asked about."""
    evidence: Any = summary.get("evidence") or {}
    return [_finding(row) for row in evidence.get("skew") or []]


def _finding(row: Mapping[str, Any]) -> str:
    told = (
        f"Silencing {plain(row['condition'])} changes MaxSkew of {plain(row['attribute'])} by {signed(row['delta'], True)} "
        f"({signed(row['delta_low'], True)} to {signed(row['delta_high'], True)}) to {signed(row['value'])}, mean of {row['occupations']} "
        f"occupations, p {p_value(row['p_holm'])} (Holm)"
    )
    if row["p_matched"] is None:
        return f"{told}; whether other heads of its layers do the same is not tested here."
    sets = f"{row['matched_sets']} random sets with as many heads in each layer reach {signed(row['matched_mean'])}"
    return f"{told}; {sets}, p {p_value(row['p_matched'])}, two-sided."


def _attribute(name: str, rows: list[dict[str, Any]]) -> AttributeSkews:
    names = list(dict.fromkeys(row["condition"] for row in rows if row["measure"] == "max_skew"))
    mean = f"/{MEAN}"
    drawn = {name.removesuffix(mean) for name in names if name.endswith(mean)}
    conditions = [name for name in names if name.rpartition("/")[0] not in drawn or name.endswith(mean)]
    cells = {(row["condition"], row["measure"]): row for row in rows}
    levels = {measure: cells[ORIGINAL, measure]["random"] for measure in SKEWS}
    known = [level for level in levels.values() if level is not None]
    values = [*known, *(cells[one, measure]["value"] for one in conditions for measure in SKEWS)]
    low, high = min(*values, 0.0), max(*values, 0.0)

    def at(value: float) -> float:
        return round(_MARGIN + (_WIDTH - 2 * _MARGIN) * (value - low) / ((high - low) or 1.0), 2)

    found = []
    for one in conditions:
        own = {measure: row for (condition, measure), row in cells.items() if condition == one}
        ends = tuple((at(cells[ORIGINAL, measure]["value"]), at(own[measure]["value"])) for measure in SKEWS)
        found.append(SkewRow(one, int(own["max_skew"]["num_pruned"]), own, ends))
    return AttributeSkews(name, tuple(found), at(0.0), tuple(map(at, known)), levels)


def _records(table: Any) -> list[dict[str, Any]]:
    """The rows of a table, numbers that are absent as None."""
    if table is None:
        return []
    texts = ("attribute", "measure", "condition", "of", "group")
    return [{name: value if name in texts else number(value) for name, value in row.items()} for row in table.to_dict("records")]
