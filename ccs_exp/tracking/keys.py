"""The names under which a run is found in W&B: keys of numbers, tables and pictures, and what runs are grouped by."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from ccs_exp.run_folder.summary import Asked, Summary

ACCURACY, DELTA, NUM_PRUNED, CCS_AT_K = "accuracy", "delta", "num_pruned", "ccs_at_k"
SKEW, SKEW_DELTA = "skew", "skew_delta"
SECONDS, IMAGES_PER_SECOND, MEMORY = "seconds", "images_per_second", "peak_memory_mib"
RANDOM_MEAN, RANDOM_SD = "random/mean", "random/sd"  # stand where a condition does
HEADS, CONDITIONS, PAGE, FIGURES = "heads", "accuracy", "report", "figures"
EVIDENCE, CAUSAL_MAP = "evidence", "causal_map"
CELL = ("model", "dataset", "strategy")

_OWN_COLUMNS = re.compile(r"\+*(model|dataset|prune)=")
_DATE, _TIME = re.compile(r"\d{4}-\d{2}-\d{2}"), re.compile(r"\d{2}-\d{2}-\d{2}.*")
_LONGEST_NAME, _LONGEST_TAG = 128, 64


def key(kind: str, *names: object) -> str:
    """
    >>> key(ACCURACY, "high_ccs"), key(ACCURACY, "shape", "high_ccs")
    ('accuracy/high_ccs', 'accuracy/shape/high_ccs')
    """
    return "/".join(map(str, (kind, *names)))


def column(name: str) -> str:
    """How W&B's server calls one of `CELL` in a run's configuration: of a nested setting, ``value`` stands after the first part."""
    return f"cell.value.{name}"


def strategies(asked: Asked | None) -> list[str]:
    """The strategies that a job was asked for."""
    prune = asked["config"].get("prune") if asked else None
    return [name for name, node in prune.items() if isinstance(node, Mapping) and "_target_" in node] if isinstance(prune, Mapping) else []


def cell(summary: Summary) -> dict[str, str]:
    """The cell of a sweep that a run fills, by `CELL`."""
    asked = strategies(summary["asked"]) if summary["dataset"] else []
    return dict(zip(CELL, (summary["model"], summary["dataset"] or "scores", "+".join(asked) or "none"), strict=True))


def run_name(summary: Summary) -> str:
    """The cell, and what else tells it from others of its sweep: ``tiny/digits/high_ccs seed=1``."""
    varied = summary["asked"]["varied"] if summary["asked"] else []
    return " ".join(["/".join(cell(summary).values()), *(text for text in varied if not _OWN_COLUMNS.match(text))])[:_LONGEST_NAME]


def tags(summary: Summary, own: Iterable[object]) -> list[str]:
    """The user's own, then model, data set and each strategy."""
    named = (*own, summary["model"], summary["dataset"] or "scores", *strategies(summary["asked"]))
    return list(dict.fromkeys(str(tag)[:_LONGEST_TAG] for tag in named if tag))


def sweep_name(folder: str | Path) -> str:
    """A sweep by its folder's name; by date and time, where these are what Hydra named it after.

    >>> sweep_name("multirun/2026-01-31/12-00-05-1234"), sweep_name("/data/table4")
    ('2026-01-31 12-00-05-1234', 'table4')
    """
    path = Path(folder)
    dated = _DATE.fullmatch(path.parent.name) and _TIME.fullmatch(path.name)
    return f"{path.parent.name} {path.name}" if dated else path.name
