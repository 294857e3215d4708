"""What a sweep and its jobs say of themselves while they run: ``sweep.json`` in the sweep's folder, ``job.json`` in each job's."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import psutil

from ccs_exp.errors import CcsError
from ccs_exp.files import clean, rounded, write_whole

State = Literal["running", "done", "failed", "interrupted", "killed"]

JOB_FILE, SWEEP_FILE, LOG_FILE = "job.json", "sweep.json", "log.jsonl"
HEARTBEAT_S = 10.0
SILENT_S = 90.0  # without a heartbeat for so long, a job on another machine is taken for dead
_VERSION = 1


@dataclass(frozen=True)
class JobRecord:
    """``job.json``. `state` is what the job wrote: a killed one still says ``running``, see `state_now`. Times are Unix seconds."""

    state: State
    overrides: tuple[str, ...]
    host: str
    pid: int
    process_started: float  # with the pid, this is one process and no later one
    started: float
    heartbeat: float
    attempt: int = 1  # how often a job was started in this folder
    stage: str | None = None
    stages: Mapping[str, float] = field(default_factory=dict)  # seconds of each finished stage
    ended: float | None = None
    reason: str | None = None
    slurm_job: str | None = None
    usage: Mapping[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Raises `CcsError` where the folder cannot be written."""
        write_whole(folder / JOB_FILE, _json({"schema_version": _VERSION} | asdict(self)))

    def state_now(self, host: str, now: float | None = None) -> State:
        """The state as seen from `host`: a running job whose process is gone, or silent on another machine, is ``killed``."""
        if self.state != "running":
            return self.state
        if self.host == host:
            return "running" if _alive(self.pid, self.process_started) else "killed"
        return "running" if (time.time() if now is None else now) - self.heartbeat < SILENT_S else "killed"


@dataclass(frozen=True)
class SweepRecord:
    """``sweep.json``: which cells a sweep has, in the order of its job folders, and what started it."""

    cells: tuple[tuple[str, ...], ...]
    launcher: str
    started: float

    def write(self, folder: Path) -> None:
        write_whole(folder / SWEEP_FILE, _json({"schema_version": _VERSION} | asdict(self)), choose="hydra.sweep.dir=DIR")


def read_job(folder: Path) -> JobRecord | None:
    """The job's record, None where there is none. Raises `CcsError` for a file that is not one."""
    content = _read(folder / JOB_FILE)
    if content is None:
        return None
    return _typed(JobRecord, folder / JOB_FILE, content | {"overrides": tuple(content.get("overrides") or ())})


def read_sweep(folder: Path) -> SweepRecord | None:
    """The sweep's record, None where there is none. Raises `CcsError` for a file that is not one."""
    content = _read(folder / SWEEP_FILE)
    if content is None:
        return None
    return _typed(SweepRecord, folder / SWEEP_FILE, content | {"cells": tuple(map(tuple, content.get("cells") or ()))})


def refuse_company(folder: Path) -> None:
    """Raise `CcsError` while another job of this machine is at work in a run folder: each would take the other's files away."""
    try:
        other = read_job(folder)
    except CcsError:
        return  # no record, which this job's will replace
    if other is None or other.host != socket.gethostname() or other.pid == os.getpid() or other.state_now(other.host) != "running":
        return
    raise CcsError(
        f"Another job (process {other.pid}) is at work in {folder}. Wait for its end, or choose another folder: hydra.run.dir=DIR, of a "
        "sweep hydra.sweep.dir=DIR."
    )


def varied_in(folder: str | Path, overrides: Sequence[str]) -> tuple[str, ...]:
    """Those of a cell's overrides that not all cells of its sweep share; of a sweep whose cells are not known, all. Raises `CcsError`."""
    sweep = read_sweep(Path(folder))
    return varied([overrides, *(sweep.cells if sweep else ())])[0]


def varied(cells: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """Of each cell's overrides those that not all cells share; of a single cell, all."""
    shared = set.intersection(*map(set, cells)) if len(cells) > 1 else set[str]()
    return [tuple(override for override in cell if override not in shared) for cell in cells]


def process_started(pid: int) -> float:
    """When process `pid` of this machine started."""
    return psutil.Process(pid).create_time()


def _alive(pid: int, started: float) -> bool:
    try:
        process = psutil.Process(pid)
        # a clock that is set while a job runs moves create_time a little; a reused pid is later by more than that
        return abs(process.create_time() - started) < 5 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(rounded(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise CcsError(f"{path} cannot be read: {clean(str(error))}.") from error
    if not isinstance(content, dict) or content.pop("schema_version", None) != _VERSION:
        raise CcsError(f"{path} is not of schema version {_VERSION}, which this version of ccs_exp reads.")
    return content


def _typed(kind: type, path: Path, content: dict[str, Any]) -> Any:
    known = {item.name for item in fields(kind)}
    numbers = {item.name for item in fields(kind) if item.type in ("float", "int")}
    try:
        record = kind(**{key: value for key, value in content.items() if key in known})
    except TypeError as error:
        raise CcsError(f"{path} is damaged: {error}.") from error
    wrong: Sequence[str] = [name for name in numbers if not isinstance(getattr(record, name), int | float)]
    if wrong:
        raise CcsError(f"{path} is damaged: {', '.join(sorted(wrong))} must be numbers.")
    return record
