"""Cells in processes of this machine: one cell in such a process, and what the process that leads them asks and tells."""

from __future__ import annotations

import functools
import os
import pickle
import signal
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import psutil
from hydra.core.utils import JobReturn, JobStatus

from ccs_exp.compute.parent import end_with
from ccs_exp.compute.temporary import remove_own_folder
from ccs_exp.errors import CcsError
from ccs_exp.journal import stop
from ccs_exp.journal.state import JobRecord, read_job
from ccs_exp.sweeps.gpus import claim_gpu

_PATIENCE_S = 10.0


def run_cell(
    number: int,
    cell: Sequence[str],
    context: Any,
    config: Any,
    task: Any,
    state: Any,
    gpus: Sequence[str],
    at_once: int,
    leader: int,
) -> tuple[int, JobReturn]:
    """One cell, in a process of the pool that the process `leader` has started."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the sweep's own tells the others by SIGTERM
    _end_with(leader)
    claim_gpu(gpus, at_once)
    try:
        return number, executed(number, cell, context, config, task, state)
    except SystemExit:
        # The journal is closed. As an exception this would end the sweep; and joblib kills all processes as soon as one has gone, so
        # that one waits for the others.
        deadline = time.monotonic() + _PATIENCE_S
        while os.getppid() == leader and time.monotonic() < deadline:
            time.sleep(0.1)
        remove_own_folder()
        os._exit(143)


def executed(number: int, cell: Sequence[str], *around: Any) -> JobReturn:
    """What Hydra's ``execute_job`` returns, with an error that the sweep's own process can read."""
    from hydra_plugins.hydra_joblib_launcher._core import execute_job

    result = execute_job(number, cell, *around)
    if result.status is JobStatus.FAILED:
        result._return_value = _portable(result._return_value)
    return result


@functools.cache  # one watch for each process, however many cells it runs
def _end_with(leader: int) -> None:
    end_with(leader)


@contextmanager
def told_before_killed(sweep_dir: Path, cells: Iterable[int]) -> Iterator[None]:
    """When the sweep is told to end, tell its processes and wait for them a moment: joblib would kill them in the middle of a file."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(sent: int, frame: FrameType | None) -> None:
        signal.signal(sent, stop.tell)  # who asks again does not want to wait
        try:
            for worker in psutil.Process().children():
                with suppress(psutil.NoSuchProcess):
                    if "popen_loky_posix" in " ".join(worker.cmdline()):
                        worker.terminate()
            deadline = time.monotonic() + _PATIENCE_S
            while _any_runs(sweep_dir, cells) and time.monotonic() < deadline:
                time.sleep(0.1)
        finally:
            stop.tell(sent)

    taken = [sent for sent in stop.SIGNALS if signal.getsignal(sent) is not signal.SIG_IGN]
    for sent in taken:
        signal.signal(sent, end)
    try:
        yield
    finally:
        stop.listen()


def tracker_anew() -> None:
    """Where joblib's process that takes away what killed ones leave has been killed itself: another one, which says nothing.

    joblib starts one at the next occasion, and that shows a traceback for everything that it is told to forget and has never seen.
    """
    from joblib.externals.loky.backend import resource_tracker

    if resource_tracker._resource_tracker._check_alive():
        return
    shown = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)  # which it inherits
        resource_tracker.ensure_running()
    finally:
        os.dup2(shown, 2)
        os.close(shown)


def _portable(error: Exception) -> Exception:
    """`error` if another process can read it, else what it says: an exception that cannot be unpickled would end the sweep."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever its constructor does with what it gets
        return CcsError(f"{type(error).__name__}: {error}")
    return error


def beginnings(sweep_dir: Path, cells: Iterable[int]) -> dict[int, float | None]:
    """When the cells' jobs last began, None for those that never did."""
    return {number: record.started if record else None for number, record in _records(sweep_dir, cells).items()}


def _any_runs(sweep_dir: Path, cells: Iterable[int]) -> bool:
    host = socket.gethostname()
    return any(record is not None and record.state_now(host) == "running" for record in _records(sweep_dir, cells).values())


def _records(sweep_dir: Path, cells: Iterable[int]) -> dict[int, JobRecord | None]:
    return {number: read_job(sweep_dir / str(number)) for number in cells}
