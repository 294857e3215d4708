"""Finished jobs kept whole: one that was done before is answered at once, from its files, without loading a model or its libraries."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.text import Text

from ccs_exp.config.plain import plain
from ccs_exp.errors import CcsError
from ccs_exp.files import write_whole
from ccs_exp.jobs import keys
from ccs_exp.run_folder.folder import SUMMARY_FILE, RunFolder, check_summary
from ccs_exp.run_folder.wording import plain as in_plain_text
from ccs_exp.store import Members, read_entry, write_entry

JOBS = "jobs"  # the kind of entry
_ABOUT, _RECORDS = "about", "wandb"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class KeptJob:
    """A finished job as the store has it. `files` are those of the run folder but the summary; `records` those of W&B below it."""

    tracker: dict[str, Any] | None
    summary: dict[str, Any]
    files: dict[str, bytes]
    records: dict[str, bytes]


def asked_keys(overrides: Collection[str]) -> frozenset[str]:
    """The keys that a command line's overrides name."""
    return frozenset(override.lstrip("+~").split("=")[0].split("@")[0] for override in overrides)


def is_kept(cfg: DictConfig, overrides: Collection[str]) -> bool:
    """Whether the job of this command line was finished before."""
    return _kept(cfg, asked_keys(overrides)) is not None


def restore(cfg: DictConfig, run_dir: str, asked: Collection[str]) -> bool:
    """Whether the job was finished before: its run folder is then complete, ``from_store`` in its summary names all its stages.

    A record in W&B that the finished job does not have, and this one asks for, has to be made: then it is not answered from here.
    Raises `CcsError` where the folder cannot be written, or the job reads from it.
    """
    job, tracker = _kept(cfg, asked), _tracker(cfg)
    if job is None or (tracker is not None and tracker != job.tracker):
        return False
    refuse_own_input(cfg, run_dir)
    folder = RunFolder(run_dir)
    folder.prepare()
    folder.clear()
    for name in sorted(job.files, key=lambda name: (name != "heads.csv", name)):
        write_whole(folder.path / name, job.files[name])
    summary = job.summary
    summary["from_store"], summary["computed"] = summary["from_store"] + summary["computed"], []
    folder.write_summary(summary)  # last: where it stands, a job has finished
    if tracker is not None:
        _restore_records(folder.path, job.records)
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
    members = _content(folder.path, folder.files())
    tracker = _tracker(cfg)
    if tracker is not None and "mode" not in tracker:
        tracker = None  # a logger's: what it wrote lies where it likes, so that a job that comes again is tracked again
    if tracker is not None:
        records = _content(folder.path, (folder.path / _RECORDS).rglob("*"))
        if tracker["mode"] == "offline" and not records:
            tracker = None  # W&B could not write its record
        members |= records
    write_entry(JOBS, key, members | {_ABOUT: json.dumps({"tracker": tracker}).encode()})


def unpack_job(members: Members) -> KeptJob:
    """Raises on anything that `keep` did not leave, and on names of files outside of a run folder."""
    tracker = json.loads(members[_ABOUT])["tracker"]
    if not isinstance(tracker, dict | None):
        raise ValueError(f"{tracker!r} is no tracker")
    names = set(members) - {_ABOUT, SUMMARY_FILE}
    outside = [name for name in names if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts]
    if outside or "heads.csv" not in names:
        raise ValueError(f"it names {outside[0]!r} as a file of a run" if outside else "it has no heads.csv")
    parts: tuple[dict[str, bytes], dict[str, bytes]] = {}, {}
    for name in names:
        parts[name.startswith(f"{_RECORDS}/")][name] = members[name]
    return KeptJob(tracker, _summary(members[SUMMARY_FILE]), *parts)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number of a summary")


def _summary(content: bytes) -> dict[str, Any]:
    """As much of a summary as is read here; numbers that a summary cannot hold are refused."""
    summary = check_summary(json.loads(content, parse_constant=_refuse), SUMMARY_FILE)
    accuracy = summary["accuracy"]
    numbers = [summary["accuracy"]["original"], *accuracy.values()] if accuracy else []
    if not all(isinstance(number, float | int) for number in numbers):
        raise ValueError("its accuracies are no numbers")
    if not all(isinstance(stage, str) for stage in [*summary["from_store"], *summary["computed"]]):
        raise ValueError("its stages have no names")
    return summary


def refuse_own_input(cfg: DictConfig, run_dir: str) -> None:
    """A run folder is emptied when its run starts, so nothing in it can be read from. Raises `CcsError`."""
    for key in ("ccs.path", "spans.path", "pool.path", "judge.replies", "labeler.replies"):
        path = OmegaConf.select(cfg, key)
        if path and Path(run_dir).resolve() in (Path(path).expanduser().resolve(), *Path(path).expanduser().resolve().parents):
            raise CcsError(
                f"{key}={path} lies in the run folder {run_dir}, which this run would overwrite. Choose another hydra.run.dir."
            )


def _kept(cfg: DictConfig, asked: Collection[str]) -> KeptJob | None:
    key = keys.cell_key(cfg, asked)
    return None if key is None else read_entry(JOBS, key, unpack_job)


def _content(folder: Path, paths: Iterable[Path]) -> dict[str, bytes]:
    found = (path for path in paths if path.is_file() and not path.is_symlink())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def _restore_records(folder: Path, records: dict[str, bytes]) -> None:
    """W&B's record is a mirror of the folder: a disk too full for it costs a warning, not the job."""
    try:
        for name, content in sorted(records.items()):
            write_whole(folder / name, content)
    except CcsError as error:
        for record in {PurePosixPath(name).parts[1] for name in records}:
            shutil.rmtree(folder / _RECORDS / record, ignore_errors=True)
        log.warning("The W&B record of this run is not restored, all else is: %s", error)


def _tracker(cfg: DictConfig) -> dict[str, Any] | None:
    return None if cfg.tracker.name == "none" else plain(cfg.tracker)


def _show(summary: dict[str, Any], path: Path) -> None:
    parts = [str(summary["model"]), str(summary["dataset"] or "scores")]
    accuracy = summary["accuracy"]
    if accuracy:
        parts.append(f"{summary['metric']} of original {accuracy['original']:.4f}, {len(accuracy)} conditions")
    line = f"{' · '.join(parts)}: finished before, taken from the store. Results: {path}"
    Console().print(Text(in_plain_text(line)), soft_wrap=True)
