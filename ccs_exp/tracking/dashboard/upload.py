"""Runs rebuilt in W&B from their folders alone."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ccs_exp.config.schema import register
from ccs_exp.errors import CcsError
from ccs_exp.run_folder.folder import RunFolder
from ccs_exp.tracking.record_folders import sweep_folder
from ccs_exp.tracking.tracker import WandbTracker

_NO_RUNS_BELOW = {".hydra", "wandb", "figures"}


@dataclass
class Uploaded:
    """What became of the runs found: `recorded` as asked; `failed`: which were not, and why; `older` runs of cells that were run again."""

    recorded: list[Path] = field(default_factory=list)
    failed: list[tuple[Path, str]] = field(default_factory=list)
    older: list[Path] = field(default_factory=list)


def upload(directories: Iterable[str | Path], tracker: WandbTracker) -> Uploaded:
    """Record every finished run below the folders, of each cell the newest: in W&B a cell is one run, whose id comes from its key.

    Raises `CcsError` where a folder does not exist or there is no finished run.
    """
    result = Uploaded()
    newest: dict[str, Path] = {}
    for path in _finished(directories):
        try:
            cell = str(RunFolder(path).read_summary()["config_hash"])
        except CcsError as error:
            result.failed.append((path, str(error)))
            continue
        older = newest.get(cell)
        if older is None or _age(path) >= _age(older):
            newest[cell] = path
        result.older += [path if newest[cell] != path else older] if older is not None else []
    if not newest and not result.failed:
        raise CcsError(
            f"There is no finished run below {', '.join(map(str, directories))}. Name folders such as outputs or multirun."
        )
    for path in newest.values():
        try:
            mode = _record(path, tracker)
        except CcsError as error:
            result.failed.append((path, str(error)))
            continue
        if mode == tracker.mode:
            result.recorded.append(path)
        else:
            result.failed.append((path, "recorded offline only" if mode else "not recorded"))
    return result


def configuration(run_dir: Path) -> dict[str, Any]:
    """The configuration that Hydra left in a run folder, with nothing left to fill in. Raises `CcsError` if it cannot be read."""
    path = run_dir / ".hydra" / "config.yaml"
    register()
    try:
        found = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    except (OSError, yaml.YAMLError, OmegaConfBaseException, UnicodeDecodeError) as error:
        raise CcsError(f"{path} cannot be read: {' '.join(str(error).split())}. Run the job again.") from error
    if not isinstance(found, dict):
        raise CcsError(f"{path} is not a configuration. Run the job again.")
    return found


def _record(path: Path, tracker: WandbTracker) -> str | None:
    summary, sweep = RunFolder(path).read_summary(), sweep_folder(path)
    tags = [summary["model"], summary["dataset"] or "scores"]
    return tracker.track(path, config=configuration(path), name="-".join(tags), group=sweep and sweep.name, tags=tags)


def _finished(directories: Iterable[str | Path]) -> list[Path]:
    found = {}
    for directory in map(Path, directories):
        if not directory.is_dir():
            raise CcsError(f"{directory} is not a folder. Name folders with runs in or below them, such as outputs or multirun.")
        for folder, below, files in os.walk(directory):
            below[:] = sorted(set(below) - _NO_RUNS_BELOW)
            if "summary.json" in files:
                found.setdefault(Path(folder).resolve(), Path(folder))
    return list(found.values())


def _age(path: Path) -> float:
    return (path / "summary.json").stat().st_mtime
