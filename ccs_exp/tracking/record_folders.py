"""Where W&B's records lie in run folders: whole, one for each run of a sweep, and nothing of them elsewhere."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

from ccs_exp.errors import CcsError

_PLACES = {"WANDB_DATA_DIR": "data", "WANDB_CACHE_DIR": "cache", "WANDB_ARTIFACT_DIR": "artifacts"}


def sweep_folder(run_dir: Path) -> Path | None:
    """The folder of the sweep that a run folder belongs to: the nearest above it in which Hydra has left ``multirun.yaml``."""
    return next((parent for parent in run_dir.resolve().parents if (parent / "multirun.yaml").is_file()), None)


@contextmanager
def own_places(folder: Path, **more: str) -> Iterator[None]:
    """What W&B keeps beside records, in the user's home otherwise, lies in `folder` meanwhile, which then goes; `more` is in the
    environment too."""
    found = {name: str(folder.resolve() / place) for name, place in _PLACES.items()} | more
    before = {name: os.environ.get(name) for name in found}
    os.environ.update(found)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def place_aside(run_dir: Path) -> Iterator[Path]:
    """An empty folder to write a record in, because `wandb sync` would take what a killed job leaves for a run, and a run cannot be gone
    on with offline."""
    aside = run_dir / "wandb" / ".unfinished"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    with own_places(aside, WANDB_MODE="offline"):  # whatever it is otherwise: W&B refuses a word that it does not know
        yield aside


def take_place(aside: Path, run_dir: Path, run_id: str) -> Path:
    """Move the finished record where records lie, in place of others of the same run; its folder. Raises `CcsError`."""
    found = list(aside.rglob(f"*run-*-{run_id}"))
    if len(found) != 1:
        raise CcsError("another process writes the record of this run at the same time")
    record = found[0]
    for link in [path for path in record.rglob("*") if path.is_symlink()]:
        link.unlink()  # to W&B's log beside the record, which goes
    for other in _records(sweep_folder(run_dir) or run_dir, run_id):
        shutil.rmtree(other)
    return record.rename(run_dir / "wandb" / record.name)


def _records(folder: Path, run_id: str) -> list[Path]:
    """The finished records of a run below a folder, in which other jobs may be at work."""
    found: list[Path] = []
    for place, below, _ in os.walk(folder):  # unlike a glob, goes on where a folder vanishes meanwhile
        if Path(place).name == "wandb":
            found += [Path(place, name) for name in below if fnmatch(name, f"*run-*-{run_id}")]
            below.clear()
    return found
