"""Sweeps by several processes of this machine: the same rows as in turn, and one cell's end is not the others'."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from command import ccs_exp
from hydra import initialize_config_dir
from small_jobs import ONE_TASK

from ccs_exp.config.schema import config_dir, configure, register
from ccs_exp.errors import CcsError
from ccs_exp.jobs.experiment import Job, run
from ccs_exp.journal.state import read_job, read_sweep
from ccs_exp.sweeps.gpus import claim_gpu, visible_gpus
from ccs_exp.sweeps.plan import plan_sweep
from ccs_exp.sweeps.status import read_status

SMALL = [ONE_TASK, "tracker=none", "dataset.source.num_images=40", "probe.num_images=150"]
CELLS = ["prune=heads", "prune.heads.list=[L5.H1],[L9.H0],[L2.H3]"]
STAGES = ("load", "decompose", "textspan", "score", "evaluate", "report")
ROWS = ("heads.csv", "ccs_at_k.csv", "accuracy.csv", "predictions.parquet")


def start(*arguments, cwd, start_new_session=False, **environment):
    environment["CCS_EXP_CACHE"] = str(cwd / "store")  # so that every cell is computed, by this launcher
    return subprocess.Popen(
        [sys.executable, "-m", "ccs_exp", "-m", *SMALL, "hydra.sweep.dir=sweep", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=cwd, env=os.environ | environment,
        start_new_session=start_new_session,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # background jobs of a shell inherit it ignored
    )  # fmt: skip


def rows(sweep, numbers):
    return {(number, name): (sweep / str(number) / name).read_bytes() for number in numbers for name in ROWS}


@pytest.fixture(scope="module")
def parallel(tmp_path_factory):
    """Three cells, the second of which fails, by `hydra/launcher=parallel`."""
    folder = tmp_path_factory.mktemp("parallel")
    process = start(*CELLS, "hydra/launcher=parallel", cwd=folder, CUDA_VISIBLE_DEVICES="")
    output, _ = process.communicate(timeout=300)
    return folder / "sweep", process, output


def test_in_parallel_the_rows_are_those_of_each_job_alone(parallel, tmp_path):
    sweep, _, output = parallel
    for number, head in ((0, "L5.H1"), (2, "L2.H3")):
        run_dir = tmp_path / str(number)
        run(configure(*SMALL, "prune=heads", f"prune.heads.list=[{head}]"), Job(str(run_dir)))
    assert rows(sweep, (0, 2)) == rows(tmp_path, (0, 2)), output


def test_a_failed_cell_is_one_cell(parallel):
    sweep, process, output = parallel
    assert process.returncode == 1 and "#1 (" in output and "failed: L9.H0: tiny has layers 0-5" in output
    status = read_status(sweep)
    assert [cell.state for cell in status.cells] == ["done", "failed", "done"] and status.complete
    assert status.cells[1].reason.startswith("L9.H0: tiny has layers 0-5")
    assert read_sweep(sweep).launcher == "parallel"
    pids = {read_job(sweep / str(number)).pid for number in range(3)}
    assert process.pid not in pids and len(pids) >= 2


def test_a_jobs_journal_has_the_facts_of_its_stages(parallel):
    """Of two jobs: what both need, the first of them finds."""
    lines = [line for cell in "02" for line in (parallel[0] / cell / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    events = [event for event in map(json.loads, lines) if event["message"] == "stage ended"]
    ended = {stage: {key: value for event in events if event["stage"] == stage for key, value in event.items()} for stage in STAGES}
    assert all(ended.values()) and ended["decompose"]["images"] == 150 and ended["evaluate"]["images_per_second"] > 0
    evaluated = {event["conditions"] for event in events if event["stage"] == "evaluate"}
    assert ended["score"]["requests_sent"] == 0 and 2 in evaluated


def test_a_planned_sweep_starts_nothing_and_finds_what_is_done(parallel):
    sweep, _, _ = parallel
    before = sorted(path for path in sweep.parent.rglob("*"))
    options = ("-m", *SMALL, "hydra.sweep.dir=sweep", *CELLS, "plan=true", "hydra/launcher=slurm")
    planned = ccs_exp(*options, cwd=sweep.parent, CCS_EXP_CACHE=str(sweep.parent / "store"))
    assert planned.returncode == 0 and "3: 2 done, 1 to do" in planned.stdout, planned
    assert planned.stdout.count("done: in the store") == 2 and sorted(path for path in sweep.parent.rglob("*")) == before


@pytest.mark.full
@pytest.mark.parametrize("times", [1, 2])
def test_a_killed_process_costs_at_most_its_own_cell(times, tmp_path):
    process = start("dataset=scenes_shape,scenes_colour,scenes_size", "hydra/launcher=parallel", cwd=tmp_path)
    killed: set[int] = set()
    deadline = time.monotonic() + 300
    while len(killed) < times and time.monotonic() < deadline and process.poll() is None:
        job = read_job(tmp_path / "sweep" / "1")
        if job and job.state == "running" and job.pid not in killed:
            os.kill(job.pid, signal.SIGKILL)
            killed.add(job.pid)
        time.sleep(0.02)
    output, _ = process.communicate(timeout=300)
    states = [cell.state for cell in read_status(tmp_path / "sweep").cells]
    if times == 1:
        assert process.returncode == 0 and states == ["done"] * 3, output
        assert read_job(tmp_path / "sweep" / "1").attempt == 2
    else:
        assert process.returncode == 1 and states == ["done", "killed", "done"], output
        assert "Its process was killed twice" in output


@pytest.mark.full
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_sweep_that_is_told_to_end_ends_with_whole_files_and_all_of_its_jobs_on_record(sent, tmp_path):
    process = start("dataset=scenes_shape,scenes_size", "hydra/launcher=parallel", cwd=tmp_path, start_new_session=True)
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and not all(map(read_job, (tmp_path / "sweep" / "0", tmp_path / "sweep" / "1"))):
        time.sleep(0.05)
    os.killpg(process.pid, sent) if sent is signal.SIGINT else process.send_signal(
        sent
    )  # Ctrl-C reaches all of a terminal's processes
    output, _ = process.communicate(timeout=60)
    assert process.returncode == (130 if sent is signal.SIGINT else 143) and "Traceback" not in output, output
    assert {cell.state for cell in read_status(tmp_path / "sweep").cells} == {"interrupted"}
    assert not list((tmp_path / "sweep").rglob("*.part"))


def test_a_process_keeps_its_gpu_and_no_two_share_one_unasked(tmp_path):
    code = (
        "import sys, pathlib; from ccs_exp.sweeps.gpus import claim_gpu; "
        "print(claim_gpu(sys.argv[2].split(','), int(sys.argv[3]), pathlib.Path(sys.argv[1])), flush=True); sys.stdin.read()"
    )

    def process(gpus, at_once):
        command = [sys.executable, "-c", code, str(tmp_path), gpus, str(at_once)]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    first, second = process("0,GPU-b/1", 2), process("0,GPU-b/1", 2)
    assert {first.stdout.readline(), second.stdout.readline()} == {"0\n", "GPU-b/1\n"}
    third = process("0", 1)  # of another sweep
    assert "taken by other sweeps" in third.stderr.readline()
    shared = process("0", 2)  # a sweep that was told to put two on one
    assert shared.stdout.readline() == "0\n"
    for other in (first, second):
        other.kill()  # however it ends, its place is free again
        other.wait()
    assert third.stdout.readline() == "0\n"
    for other in (third, shared):
        other.communicate("")


def test_which_gpus_there_are(monkeypatch, tmp_path):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-ab")
    assert visible_gpus("auto") == ("3", "GPU-ab") and visible_gpus([0, 1]) == ("0", "1")
    for none in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", none)
        assert visible_gpus("auto") == () and claim_gpu((), 4) is None
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\nprintf '0\\n1\\n'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert visible_gpus("auto") == ("0", "1")
    program.write_text("#!/bin/sh\nexit 9\n")
    assert visible_gpus("auto") == ()
    with pytest.raises(CcsError, match="hydra.launcher.gpus=all is not known"):
        visible_gpus("all")


@pytest.fixture
def planned(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def plan(*cells, find=lambda cfg, overrides: None):
        register()
        with initialize_config_dir(config_dir(), version_base="1.3"):
            planned, lines = plan_sweep(cells, find)
        return planned, {stage: text for stage, text in reversed(lines)}, lines

    return plan


def test_a_plan_counts_what_cells_share_once(planned):
    asked = ["labeler=openai", "judge=openai"]
    _, one, _ = planned([*asked, "dataset=scenes_shape"])
    _, three, lines = planned(*([*asked, f"dataset=scenes_{name}"] for name in ("shape", "size", "place")))
    assert one["ask"] == three["ask"] and "192 requests to send" in one["ask"]  # 32 heads, a label and five verdicts each
    assert three["passes"] == "1 over probe images (2,000 images or videos); 1 TEXTSPAN runs"
    assert ("passes", "3 to evaluate (3,000 images or videos), over 3 data sets") in lines
    _, two_models, _ = planned([*asked, "probe.source.seed=1"], [*asked, "probe.source.seed=2"])
    assert "384 requests to send" in two_models["ask"]


def test_a_plan_knows_what_is_done_and_what_cannot_work(planned, tmp_path):
    cells = [[f"dataset={name}"] for name in ("scenes_shape", "digits", "nothing")]
    found, lines, _ = planned(*cells, find=lambda cfg, overrides: "there" if cfg.dataset.name == "digits" else None)
    assert [cell.done for cell in found] == [None, "there", None]
    assert "nothing" in found[2].problem and lines["cells"] == "3: 1 done, 1 to do, 1 that cannot work"
    assert lines["ask"] == "no requests to language models"
