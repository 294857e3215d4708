"""The names under which a run is found in W&B: keys of numbers, tables and pictures, and what runs are grouped by."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

# a finished job is answered without pydantic
if TYPE_CHECKING:
    from ccs_exp.run_folder.summary import Asked, Summary

ACCURACY, DELTA, NUM_PRUNED, CCS_AT_K = "accuracy", "delta", "num_pruned", "ccs_at_k"
SKEW, SKEW_DELTA = "skew", "skew_delta"
SECONDS, IMAGES_PER_SECOND, MEMORY = "seconds", "images_per_second", "peak_memory_mib"
RANDOM_MEAN, RANDOM_SD = "random/mean", "random/sd"  # stand where a condition does
HEADS, CONDITIONS, PAGE, FIGURES = "heads", "accuracy", "report", "figures"
EVIDENCE, CAUSAL_MAP = "evidence", "causal_map"
CELL = ("model", "dataset", "strategy", "ablation", "task")

_IN_THE_NAME = re.compile(r"\+*(model|dataset|prune|ablation)=")
_DATE, _TIME = re.compile(r"\d{4}-\d{2}-\d{2}"), re.compile(r"\d{2}-\d{2}-\d{2}.*")
LONGEST, LONGEST_TAG = 128, 64  # what W&B takes of names, and of tags


def key(kind: str, *names: object) -> str:
    """
    >>> key(ACCURACY, "high_ccs"), key(ACCURACY, "shape", "high_ccs")
    ('accuracy/high_ccs', 'accuracy/shape/high_ccs')
    """
    return "/".join(map(str, (kind, *names)))


def column(name: str) -> str:
    """How W&B's server calls one of `CELL` in a run's configuration: of a nested setting, ``value`` stands after the first part."""
    return f"cell.value.{name}"


def group(asked: Asked | None, name: str) -> Mapping[str, Any]:
    """A group of the configuration that a job was asked for; nothing where others have written something else there."""
    found = asked["config"].get(name) if asked else None
    return found if isinstance(found, Mapping) else {}


def strategies(asked: Asked | None) -> list[str]:
    """The strategies that a job was asked for."""
    return [name for name, node in group(asked, "prune").items() if isinstance(node, Mapping) and "_target_" in node]


def cell(summary: Summary) -> dict[str, str]:
    """The cell of a sweep that a run fills, by `CELL`. Task: of the data set, as its configuration names it."""
    if not summary["dataset"]:
        return dict(zip(CELL, (summary["model"], "scores", "none", "none", "none"), strict=True))
    asked = summary["asked"]
    ablation, task = (asked["config"] if asked else {}).get("ablation", "zero"), group(asked, "dataset").get("task", "classification")
    found = (summary["model"], summary["dataset"], "+".join(strategies(asked)) or "none", str(ablation), str(task))
    return dict(zip(CELL, found, strict=True))


def run_name(summary: Summary) -> str:
    """The cell, and what else tells it from others of its sweep: ``tiny/digits/high_ccs ablation=mean seed=1``."""
    found = cell(summary)
    varied = summary["asked"]["varied"] if summary["asked"] else []
    ablation = [] if found["ablation"] in ("zero", "none") else [f"ablation={found['ablation']}"]  # zero is the usual one
    own = "/".join(found[part] for part in ("model", "dataset", "strategy"))
    return " ".join([own, *ablation, *(text for text in varied if not _IN_THE_NAME.match(text))])[:LONGEST]


def tags(summary: Summary, own: Iterable[object]) -> list[str]:
    """The user's own, then model, data set and each strategy."""
    named = (*own, summary["model"], summary["dataset"] or "scores", *strategies(summary["asked"]))
    return list(dict.fromkeys(str(tag)[:LONGEST_TAG] for tag in named if tag))


def sweep_name(folder: str | Path) -> str:
    """A sweep by its folder's name; by date and time, where these are what Hydra named it after.

    >>> sweep_name("multirun/2026-01-31/12-00-05-1234"), sweep_name("/data/table4")
    ('2026-01-31 12-00-05-1234', 'table4')
    """
    path = Path(folder)
    dated = _DATE.fullmatch(path.parent.name) and _TIME.fullmatch(path.name)
    return f"{path.parent.name} {path.name}" if dated else path.name
