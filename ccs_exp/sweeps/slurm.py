"""Waiting for the jobs of a Slurm array, including those that end without a word."""

from __future__ import annotations

import logging
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from typing import Any

log = logging.getLogger(__name__)

_ASK_EVERY_S = 15.0  # squeue is a question to the cluster's one controller
_GONE_AFTER = 2  # questions in a row that know nothing of a job: while it is requeued it may be absent from one


def wait(jobs: Sequence[Any], poll_s: float) -> Iterator[tuple[int, Any]]:
    """The position of each job as it ends, and what it returned, or as text why it returned nothing.

    Args:
        jobs: submitit's jobs, which write a result file when they end by themselves.
        poll_s: seconds between two looks for result files.
    """
    waiting = {index: job.task(0) for index, job in enumerate(jobs)}  # a job of several processes is led by the first
    absent = dict.fromkeys(waiting, 0)
    next_question = time.monotonic() + min(_ASK_EVERY_S, 3 * poll_s)
    while waiting:
        for index, job in list(waiting.items()):
            if job.paths.result_pickle.exists():
                del waiting[index]
                yield index, _outcome(job)
        if waiting and time.monotonic() >= next_question:
            known = _queued({job.job_id.split("_")[0] for job in waiting.values()})
            next_question = time.monotonic() + _ASK_EVERY_S
            for index, job in list(waiting.items()):
                absent[index] = absent[index] + 1 if known is not None and job.job_id not in known else 0
                if absent[index] >= _GONE_AFTER and not job.paths.result_pickle.exists():
                    del waiting[index]
                    yield index, _why_gone(job)
        if waiting:
            time.sleep(poll_s)


def _outcome(job: Any) -> Any:
    try:
        return job.results()[0]
    except Exception as error:  # whatever ended the job, and whatever reading its result may raise
        return f"{' '.join(str(error).split())} Log: {job.paths.stderr}"


def _queued(arrays: set[str]) -> set[str] | None:
    """The tasks of job arrays that Slurm still has, as ``<array>_<task>``; None where it does not say."""
    command = ["squeue", "--noheader", "--array", "--format=%i", "--jobs", ",".join(sorted(arrays))]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    if asked.returncode and "Invalid job id" not in asked.stderr:
        log.warning("squeue does not answer: %s", " ".join(asked.stderr.split()))
        return None
    return {line.strip() for line in asked.stdout.split("\n") if line}


def _why_gone(job: Any) -> str:
    shown = subprocess.run(["scontrol", "show", "job", job.job_id], capture_output=True, text=True, check=False).stdout
    told = {key: value for key, value in re.findall(r"\b(JobState|Reason|ExitCode)=(\S+)", shown)}
    state = ", ".join(f"{key} {value}" for key, value in told.items() if value != "None") or "it no longer knows of it"
    return f"Slurm job {job.job_id} ended without a result ({state}). Log: {job.paths.stderr}"
