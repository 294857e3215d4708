"""Finished jobs kept whole: one that was done before is answered at once, from its files, without loading a model or its libraries."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection
from pathlib import Path, PurePosixPath
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.text import Text

from ccs_exp.errors import CcsError
from ccs_exp.files import write_whole
from ccs_exp.jobs import keys
from ccs_exp.run_folder.folder import RunFolder
from ccs_exp.store import read_entry, write_entry

_KIND, _ABOUT, _SUMMARY = "jobs", "about", "summary.json"
_RECORDS = "wandb"

log = logging.getLogger(__name__)


def asked_keys(overrides: Collection[str]) -> frozenset[str]:
    """The keys that a command line's overrides name."""
    return frozenset(override.lstrip("+~").split("=")[0].split("@")[0] for override in overrides)


def is_kept(cfg: DictConfig, overrides: Collection[str]) -> bool:
    """Whether the job of this command line was finished before."""
    key = keys.cell_key(cfg, asked_keys(overrides))
    return key is not None and read_entry(_KIND, key) is not None


def restore(cfg: DictConfig, run_dir: str, asked: Collection[str]) -> bool:
    """Whether the job was finished before: its run folder is then complete, ``from_store`` in its summary names all its stages.

    A record in W&B that the finished job does not have, and this one asks for, has to be made: then it is not answered from here.
    Raises `CcsError` where the folder cannot be written, or the job reads from it.
    """
    key = keys.cell_key(cfg, asked)
    members = None if key is None else read_entry(_KIND, key)
    if members is None:
        return False
    about = json.loads(members[_ABOUT])
    tracker = _tracker(cfg)
    if tracker is not None and tracker != about["tracker"]:
        return False
    refuse_own_input(cfg, run_dir)
    folder = RunFolder(run_dir)
    folder.prepare()
    folder.clear()
    for name in sorted(set(members) - {_ABOUT, _SUMMARY}, key=lambda name: (name != "heads.csv", name)):
        if tracker is not None or not name.startswith(f"{_RECORDS}/"):
            write_whole(_below(folder.path, name), members[name])
    summary = json.loads(members[_SUMMARY])
    summary["from_store"], summary["computed"] = summary["from_store"] + summary["computed"], []
    folder.write_summary(summary)  # last: where it stands, a job has finished
    _show(summary, folder.path)
    return True


def keep(cfg: DictConfig, run_dir: str, asked: Collection[str]) -> None:
    """Keep the run folder of a job that has just finished, unless a language model still owes it answers."""
    folder = RunFolder(run_dir)
    summary = folder.read_summary()
    unanswered = ((summary.get("language_models") or {}).get("requests") or {}).get("unanswered")
    key = keys.cell_key(cfg, asked)
    if key is None or unanswered or summary["device"] != keys.device_type(cfg.device):
        return
    members = {name: content for name, content in _files(folder) if not name.startswith(f"{_RECORDS}/")}
    tracker = _tracker(cfg)
    if tracker is not None:
        records = {name: content for name, content in _files(folder) if name.startswith(f"{_RECORDS}/")}
        if tracker["mode"] == "offline" and not records:
            tracker = None  # W&B could not write its record
        members |= records
    write_entry(_KIND, key, members | {_ABOUT: json.dumps({"tracker": tracker}).encode()})


def refuse_own_input(cfg: DictConfig, run_dir: str) -> None:
    """A run folder is emptied when its run starts, so nothing in it can be read from. Raises `CcsError`."""
    for key in ("ccs.path", "spans.path", "pool.path", "judge.replies", "labeler.replies"):
        path = OmegaConf.select(cfg, key)
        if path and Path(run_dir).resolve() in (Path(path).expanduser().resolve(), *Path(path).expanduser().resolve().parents):
            raise CcsError(
                f"{key}={path} lies in the run folder {run_dir}, which this run would overwrite. Choose another hydra.run.dir."
            )


def _files(folder: RunFolder) -> list[tuple[str, bytes]]:
    paths = [path for path in folder.files() if path.is_file()]
    paths += [path for path in sorted((folder.path / _RECORDS).rglob("*")) if path.is_file() and not path.is_symlink()]
    return [(path.relative_to(folder.path).as_posix(), path.read_bytes()) for path in paths]


def _below(folder: Path, name: str) -> Path:
    """The file `name` of a run folder; a store that names anything else is none of ours."""
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise CcsError(f"The store names {name!r} as a file of a run folder. Look at it with ccs-exp store verify.")
    return folder / name


def _tracker(cfg: DictConfig) -> dict[str, Any] | None:
    return None if cfg.tracker.name == "none" else OmegaConf.to_container(cfg.tracker, resolve=True)


def _show(summary: dict[str, Any], path: Path) -> None:
    parts = [str(summary["model"]), str(summary["dataset"] or "scores")]
    accuracy = summary["accuracy"]
    if accuracy:
        parts.append(f"{summary.get('metric')} of original {accuracy['original']:.4f}, {len(accuracy)} conditions")
    Console().print(Text(f"{' · '.join(parts)}: finished before, taken from the store. Results: {path}"), soft_wrap=True)
