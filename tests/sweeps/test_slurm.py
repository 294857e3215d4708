"""Sweeps on a real Slurm, started for these tests on this machine; and how its silence is read."""

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from slurm_cluster import slurm, why_not
from small_jobs import ONE_TASK

from ccs_exp.config.schema import configure
from ccs_exp.jobs.experiment import Job, run
from ccs_exp.journal.state import read_job
from ccs_exp.sweeps import slurm as waiting
from ccs_exp.sweeps.status import read_status

SMALL = [ONE_TASK, "tracker=none", "dataset.source.num_images=40", "probe.num_images=150"]
ON_SLURM = ["hydra/launcher=slurm", "hydra.launcher.cpus_per_task=1", "hydra.launcher.poll_s=1", "hydra.sweep.dir=sweep"]
ROWS = ("heads.csv", "ccs_at_k.csv", "accuracy.csv", "predictions.parquet")
HEADS = ("L5.H1", "L9.H0", "L2.H3")


@pytest.fixture(scope="module")
def cluster():
    if why_not():
        pytest.skip(why_not())
    with slurm() as environment:
        yield environment


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The rows of the cells that can work, each run by itself."""
    folder = tmp_path_factory.mktemp("alone")
    for number in (0, 2):
        run(configure(*SMALL, "prune=heads", f"prune.heads.list=[{HEADS[number]}]"), Job(str(folder / str(number))))
    return rows(folder, (0, 2))


def rows(sweep, numbers):
    return {(number, name): (sweep / str(number) / name).read_bytes() for number in numbers for name in ROWS}


def start(*arguments, cwd, environment):
    environment = environment | {"CCS_EXP_CACHE": str(cwd / "store")}  # so that every cell is computed, by Slurm's jobs
    command = [sys.executable, "-m", "ccs_exp", "-m", *SMALL, "prune=heads", *ON_SLURM, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=cwd, env=environment)


def ask(environment, *command):
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def running(folder, process, attempt=1):
    """The record of the job in `folder`, once it runs."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        job = read_job(folder)
        if job and job.attempt == attempt and job.state == "running":
            return job
        time.sleep(0.05)
    raise AssertionError(f"{folder} did not run: {process.communicate()[0] if process.poll() is not None else 'still waiting'}")


@pytest.mark.full
def test_the_same_rows_as_in_turn_and_a_failed_cell_is_one_cell(cluster, alone, tmp_path):
    process = start(f"prune.heads.list={','.join(f'[{head}]' for head in HEADS)}", cwd=tmp_path, environment=cluster)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 1 and "L9.H0: tiny has layers 0-5" in output, output
    assert rows(tmp_path / "sweep", (0, 2)) == alone
    status = read_status(tmp_path / "sweep")
    assert [cell.state for cell in status.cells] == ["done", "failed", "done"]
    for number, cell in enumerate(status.cells):
        array, task = cell.record.slurm_job.split("_")
        assert task == str(number)
        assert (tmp_path / "sweep" / "slurm" / f"{array}_{task}" / f"{array}_{task}_0_log.err").is_file()


@pytest.mark.full
def test_a_requeued_cell_starts_again_and_a_cancelled_one_fails_alone(cluster, alone, tmp_path):
    process = start(f"prune.heads.list=[{HEADS[0]}],[L5.H2],[{HEADS[2]}]", cwd=tmp_path, environment=cluster)
    first, second = (running(tmp_path / "sweep" / str(number), process) for number in (0, 1))
    ask(cluster, "scontrol", "requeue", first.slurm_job)
    ask(cluster, "scancel", second.slurm_job)
    again = running(tmp_path / "sweep" / "0", process, attempt=2)
    assert again.slurm_job == first.slurm_job
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 1, output
    assert [cell.state for cell in read_status(tmp_path / "sweep").cells] == ["done", "interrupted", "done"]
    assert f"Slurm job {second.slurm_job} ended without a result" in output and "CANCELLED" in output
    assert rows(tmp_path / "sweep", (0, 2)) == alone


@pytest.mark.full
def test_a_preempted_cell_starts_again(cluster, alone, tmp_path):
    cells = f"prune.heads.list=[{HEADS[0]}],[{HEADS[2]}]"
    process = start(cells, "hydra.launcher.partition=usual", "hydra.launcher.cpus_per_task=2", cwd=tmp_path, environment=cluster)
    running(tmp_path / "sweep" / "0", process)
    ask(cluster, "srun", "--partition=urgent", "--cpus-per-task=2", "true")  # takes the node, so the cell has to go
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    assert read_job(tmp_path / "sweep" / "0").attempt == 2
    assert {name: content for (number, name), content in rows(tmp_path / "sweep", (0,)).items()} == {
        name: content for (number, name), content in alone.items() if number == 0
    }
    assert "PREEMPTED" not in output


def test_a_job_that_slurm_no_longer_knows_has_ended(tmp_path, monkeypatch):
    """With commands of the same names in Slurm's place, so that it runs anywhere."""
    for name, script in {"squeue": f"cat {tmp_path}/queue", "scontrol": "echo JobState=OUT_OF_MEMORY Reason=None"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "queue").write_text("7_0\n7_2\n")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(waiting, "_ASK_EVERY_S", 0.1)
    results = [tmp_path / str(number) for number in range(3)]
    jobs = [
        SimpleNamespace(
            job_id=f"7_{number}", paths=SimpleNamespace(result_pickle=path, stderr=Path("log")), results=lambda: ["x"]
        )
        for number, path in enumerate(results)
    ]
    for job in jobs:
        job.task = lambda _, job=job: job
    ended = waiting.wait(jobs, 0.02)
    results[2].write_text("")
    assert next(ended) == (2, "x")
    index, why = next(ended)
    assert index == 1 and "Slurm job 7_1 ended without a result (JobState OUT_OF_MEMORY). Log: log" in why
    (tmp_path / "squeue").write_text("#!/bin/sh\necho the controller is away >&2\nexit 1\n")
    deadline = time.monotonic() + 0.5
    monkeypatch.setattr(waiting.time, "sleep", lambda _: results[0].touch() if time.monotonic() > deadline else None)
    assert list(ended) == [(0, "x")]  # an answer that does not come is no answer
