"""A job's journal: ``log.jsonl``, one JSON object an event, and the heartbeat in ``job.json``.

Stages report to the journal of the job that runs; outside a job (in a notebook) they report to nobody.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from pythonjsonlogger.json import JsonFormatter

from ccs_exp.errors import CcsError
from ccs_exp.files import clean
from ccs_exp.journal import stop
from ccs_exp.journal.state import HEARTBEAT_S, LOG_FILE, JobRecord, process_started, read_job

log = logging.getLogger(__name__)

_events = logging.getLogger(f"{__name__}.events")  # for the file alone: people see progress bars instead
_events.setLevel(logging.INFO)
_events.propagate = False

_current: Journal | None = None


class SoFar(NamedTuple):
    """When a job began and the seconds that it has taken; seconds and images a second of its finished stages."""

    started: str | None
    seconds: float | None
    stages: dict[str, float]
    images_per_second: dict[str, float]


class Journal:
    """Keeps ``job.json`` up to date, from the job's thread and from that of the heartbeat."""

    def __init__(self, folder: Path, record: JobRecord):
        self.folder, self.record = folder, record
        self.facts: list[dict[str, Any]] = []  # of the stages that are open, the innermost last
        self.images_per_second: dict[str, float] = {}  # of the stages that are over
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._process = psutil.Process()
        self._warned = False
        self._heart = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._heart.start()

    def update(self, **changes: Any) -> None:
        """Change the record and write it. A full disk costs a warning: it will end the job where results are written."""
        with self._lock:
            self.record = replace(self.record, heartbeat=time.time(), usage=usage(self._process), **changes)
            try:
                self.record.write(self.folder)
            except CcsError as error:
                if not self._warned:
                    log.warning("What becomes of this job is not on record: %s", error)
                self._warned = True

    def end(self, state: str, reason: str | None) -> None:
        self._ended.set()
        self._heart.join()
        # where a job failed or was stopped, its stage says how far it had come
        self.update(state=state, reason=reason, ended=time.time(), **({"stage": None} if state == "done" else {}))

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT_S):
            self.update()


@contextmanager
def recorded(folder: str | Path, overrides: Sequence[str]) -> Iterator[None]:
    """Keep the journal of the job that runs inside, in its run folder; how it ends is recorded, and raised on.

    Raises `CcsError` where the folder cannot be written.
    """
    global _current
    folder, now = Path(folder), time.time()
    record = JobRecord(
        "running",
        tuple(clean(override) for override in overrides),
        socket.gethostname(),
        os.getpid(),
        process_started(os.getpid()),
        started=now,
        heartbeat=now,
        attempt=_earlier_attempts(folder) + 1,
        slurm_job=_slurm_job(),
    )
    record.write(folder)
    handler = logging.FileHandler(folder / LOG_FILE, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(
        JsonFormatter("%(levelname)s%(name)s%(message)s", timestamp=True, rename_fields={"levelname": "level", "name": "logger"})
    )
    for logger in (logging.getLogger(), _events):
        logger.addHandler(handler)
    _current = journal = Journal(folder, record)
    _event("job started", overrides=list(record.overrides), host=record.host, pid=record.pid, attempt=record.attempt)
    state, reason = "failed", None
    try:
        yield
        state = "done"
    except BaseException as error:
        if stop.told() or isinstance(error, (KeyboardInterrupt, SystemExit)):
            state, reason = "interrupted", "stopped by a signal"
            raise
        named = "" if isinstance(error, CcsError) else f"{type(error).__name__}: "
        reason = named + " ".join(clean(str(error)).split())
        _events.error("job failed", exc_info=None if isinstance(error, CcsError) else error, extra={"reason": reason})
        raise
    finally:
        _current = None
        journal.end(state, reason)
        _event(f"job {state}", seconds=round(time.time() - now, 3), **journal.record.usage)
        for logger in (logging.getLogger(), _events):
            logger.removeHandler(handler)
        handler.close()


@contextmanager
def stage(name: str) -> Iterator[None]:
    """A stage of the job, with a record of when it began and how it ended. Also a decorator. Stages may lie in each other.

    A job that was told to stop (`stop`) begins no stage, and ends with the one that is open.
    """
    stop.check()
    journal, started = _current, time.perf_counter()
    if journal is None:
        yield
        return
    outer = journal.record.stage
    facts: dict[str, Any] = {}
    journal.facts.append(facts)
    _event("stage started", stage=name)
    journal.update(stage=name)
    failed = True
    try:
        yield
        stop.check()
        failed = False
    finally:
        journal.facts.pop()
        seconds = round(time.perf_counter() - started, 3)
        if facts.get("images") and facts.get("pass_seconds"):
            facts["images_per_second"] = journal.images_per_second[name] = round(facts["images"] / facts["pass_seconds"], 1)
        _event("stage failed" if failed else "stage ended", stage=name, seconds=seconds, **facts, **usage())
        stages = dict(journal.record.stages)
        if not failed:
            stages[name] = round(stages.get(name, 0.0) + seconds, 3)
        journal.update(stages=stages, **({} if failed else {"stage": outer}))


def note(**facts: Any) -> None:
    """Add facts to the stage that is open: numbers of images, requests, a device."""
    if _current is not None and _current.facts:
        _current.facts[-1].update(facts)


def so_far() -> SoFar:
    """How far the job is that runs; all absent outside a job."""
    if _current is None:
        return SoFar(None, None, {}, {})
    record = _current.record
    started = datetime.fromtimestamp(record.started, UTC).isoformat(timespec="seconds")
    return SoFar(started, round(time.time() - record.started, 3), dict(record.stages), dict(_current.images_per_second))


def usage(process: psutil.Process | None = None) -> dict[str, Any]:
    """Memory in MiB, of this process and, where it computes on one, of its GPU."""
    process = process or psutil.Process()
    found: dict[str, Any] = {"memory_mib": process.memory_info().rss >> 20}
    torch = sys.modules.get("torch")  # nothing is imported only to say that it is not used
    cuda = getattr(torch, "cuda", None)
    if cuda is not None and cuda.is_initialized():
        index = cuda.current_device()
        found |= {
            "gpu": cuda.get_device_name(index),
            "gpu_memory_mib": cuda.memory_allocated(index) >> 20,
            "gpu_peak_memory_mib": cuda.max_memory_allocated(index) >> 20,
        }
    return found


def _event(message: str, **facts: Any) -> None:
    _events.info(message, extra=facts)


def _earlier_attempts(folder: Path) -> int:
    try:
        earlier = read_job(folder)
    except CcsError as error:
        log.warning("%s It is replaced.", error)
        return 0
    return earlier.attempt if earlier else 0


def _slurm_job() -> str | None:
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")
