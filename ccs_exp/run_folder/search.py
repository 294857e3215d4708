"""Run folders below given folders, which others may have made: found, and measured before anything in them is read."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from ccs_exp.errors import CcsError

_NO_RUNS_BELOW = {".hydra", "wandb", "figures", "atlas"}
# far beyond what any run writes; more would only fill the memory of who reads it
_MOST_BYTES = {".yaml": 1 << 22, ".json": 1 << 26, ".png": 1 << 26, ".csv": 1 << 28, ".html": 1 << 28, ".parquet": 1 << 32}
_MOST_SAMPLES = 200_000_000  # rows of predictions.parquet


def folders_below(directories: Iterable[str | Path]) -> list[Path]:
    """The given folders and all below them in which runs can lie, each once, in order. Raises `CcsError` where one is no folder."""
    found: dict[Path, Path] = {}
    for directory in map(Path, directories):
        if not directory.is_dir():
            raise CcsError(f"{directory} is not a folder. Name folders with runs in or below them, such as multirun or outputs.")
        for path, below, _ in os.walk(directory):
            below[:] = sorted(set(below) - _NO_RUNS_BELOW)
            found.setdefault(Path(path).resolve(), Path(path))  # given twice, read once
    return list(found.values())


def check_files(folder: Path) -> None:
    """Raise `CcsError` where a file of a run is larger than runs write, or not a plain file of its own: a link names anything."""
    for path in (*folder.glob("*"), *folder.glob("figures/*"), *folder.glob("atlas/**/*"), *folder.glob(".hydra/*")):
        state = path.lstat()
        in_atlas = folder / "atlas" in path.parents and not stat.S_ISDIR(state.st_mode)  # which is sent as it is
        if path.suffix not in _MOST_BYTES and not in_atlas:
            continue
        if path.parent.resolve() != folder.resolve() / path.parent.relative_to(folder) or not stat.S_ISREG(state.st_mode):
            raise CcsError(f"{path} is not a file of its own but a link or a device, which no run writes. Copy the run's files there.")
        if state.st_size > _MOST_BYTES.get(path.suffix, math.inf):
            raise CcsError(f"{path} has {state.st_size >> 20:,} MiB, more than any run writes. Run the job again, or leave the folder out.")


def check_rows(path: Path) -> None:
    """The same of a Parquet file's rows, which take no room on disk where they are alike. Raises `CcsError`, also if it is damaged."""
    import pyarrow
    from pyarrow import parquet

    try:
        rows = parquet.read_metadata(path).num_rows
    except (OSError, pyarrow.ArrowException) as error:
        raise CcsError(f"{path} cannot be read: {error}. Run the job again.") from error
    if rows > _MOST_SAMPLES:
        raise CcsError(f"{path} says that it has {rows:,} rows, more than any run writes. Run the job again, or leave the folder out.")
