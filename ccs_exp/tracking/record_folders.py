"""Where W&B's records lie in run folders: whole, and one for each run of a sweep."""

from __future__ import annotations

import os
import shutil
import tempfile
from fnmatch import fnmatch
from pathlib import Path

from ccs_exp.compute.temporary import use_own_folder


def use_temporary_places() -> None:
    """W&B stages files outside of a run's folder, where a killed process leaves them: from here on in this process's temporary folder,
    unless the user has named other places. Before W&B is imported.
    """
    use_own_folder()
    for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR"):
        os.environ.setdefault(name, tempfile.gettempdir())


def sweep_folder(run_dir: Path) -> Path | None:
    """The folder of the sweep that a run folder belongs to: the nearest above it in which Hydra has left ``multirun.yaml``."""
    return next((parent for parent in run_dir.resolve().parents if (parent / "multirun.yaml").is_file()), None)


def place_aside(run_dir: Path) -> Path:
    """An empty folder to write a record in, because `wandb sync` would take what a killed job leaves for a run, and a run cannot be gone
    on with offline."""
    aside = run_dir / "wandb" / ".unfinished"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    return aside


def take_place(aside: Path, run_dir: Path, run_id: str) -> None:
    """Move the finished record where records lie, in place of others of the same run."""
    sweep = sweep_folder(run_dir)
    for record in _records(sweep or run_dir, run_id):
        shutil.rmtree(record)
    for record in aside.rglob(f"*run-*-{run_id}"):
        record.rename(run_dir / "wandb" / record.name)
    shutil.rmtree(aside)


def _records(folder: Path, run_id: str) -> list[Path]:
    """The finished records of a run below a folder, in which other jobs may be at work."""
    found: list[Path] = []
    for place, below, _ in os.walk(folder):  # unlike a glob, goes on where a folder vanishes meanwhile
        if Path(place).name == "wandb":
            found += [Path(place, name) for name in below if fnmatch(name, f"*run-*-{run_id}")]
            below.clear()
    return found
