"""Runs rebuilt in W&B from their folders alone, which others may have made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ccs_exp.errors import CcsError
from ccs_exp.run_folder.search import check_files, folders_below
from ccs_exp.run_folder.summary import read_summary
from ccs_exp.tracking.tracker import WandbTracker


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
    directories, result = list(directories), Uploaded()
    newest: dict[str, Path] = {}
    for path in sorted((path for path in folders_below(directories) if (path / "summary.json").exists()), key=_age):
        try:
            cell = _cell(path)
        except CcsError as error:
            result.failed.append((path, str(error)))
            continue
        result.older += [newest[cell]] if cell in newest else []
        newest[cell] = path
    if not newest and not result.failed:
        raise CcsError(
            f"There is no finished run below {', '.join(map(str, directories))}. Name folders such as outputs or multirun."
        )
    for path in newest.values():
        try:
            mode = tracker.track(path)
        except CcsError as error:
            result.failed.append((path, str(error)))
            continue
        if mode == tracker.mode:
            result.recorded.append(path)
        else:
            result.failed.append((path, "recorded offline only" if mode else "not recorded"))
    return result


def _cell(path: Path) -> str:
    """The key of the cell that a run fills. Raises `CcsError` for a folder that is not to be sent."""
    check_files(path)
    summary = read_summary(path)
    if summary["asked"] is None:
        raise CcsError(f"{path}/summary.json does not say what its job was asked: an older version of ccs_exp wrote it. Run the job again.")
    for key, text in _texts(summary["asked"]["config"]):
        if "${" in text:  # would be filled in from the environment of whoever reads it as a configuration
            raise CcsError(
                f"{path}/summary.json: {key} is {text[:60]!r}, an interpolation, where a run writes what it was filled in with. Nothing "
                "of this folder is sent; run the job again."
            )
    return summary["config_hash"]


def _texts(node: Any, key: str = "asked.config") -> Iterator[tuple[str, str]]:
    """Every name and text of a configuration, with the key it stands under."""
    if isinstance(node, Mapping):
        for name, value in node.items():
            yield key, str(name)
            yield from _texts(value, f"{key}.{name}")
    elif isinstance(node, list):
        for value in node:
            yield from _texts(value, key)
    elif isinstance(node, str):
        yield key, node


def _age(path: Path) -> float:
    return (path / "summary.json").stat().st_mtime
