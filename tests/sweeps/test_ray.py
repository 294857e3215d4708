"""Sweeps on a Ray of this machine, two cells at once: the same rows as each job alone, and nothing of it stays."""

import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import cloudpickle
import psutil
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import JobReturn, JobStatus
from hydra.utils import instantiate
from small_jobs import ONE_TASK

from ccs_exp.config.schema import config_dir, configure, register
from ccs_exp.errors import CcsError
from ccs_exp.jobs.experiment import Job, run
from ccs_exp.journal.state import read_job, read_sweep
from ccs_exp.sweeps import ray as on_ray
from ccs_exp.sweeps.status import read_status

SMALL = [ONE_TASK, "tracker=none", "dataset.source.num_images=40", "probe.num_images=150", "prune=heads"]
ROWS = ("heads.csv", "ccs_at_k.csv", "accuracy.csv", "predictions.parquet")
SECRET = "sk-hidden-0123456789"


@pytest.fixture(scope="module")
def installed():
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'ccs_exp[ray]'")


def start(heads, *arguments, cwd, **environment):
    cells = f"prune.heads.list={','.join(f'[{head}]' for head in heads)}"
    environment["CCS_EXP_CACHE"] = str(cwd / "store")
    return subprocess.Popen(
        [sys.executable, "-m", "ccs_exp", "-m", *SMALL, cells, "hydra/launcher=ray", "hydra.sweep.dir=sweep", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=cwd, env=os.environ | environment, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # background jobs of a shell inherit it ignored
    )  # fmt: skip


def running(process, folder, number):
    """The record of a cell's job while it runs, and all processes of the sweep."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        job = read_job(folder / "sweep" / str(number))
        if job and job.state == "running":
            return job, psutil.Process(process.pid).children(recursive=True)
        time.sleep(0.02)
    raise AssertionError(process.communicate()[0] if process.poll() is not None else "no cell began")


def ended(processes):
    _, alive = psutil.wait_procs(processes, timeout=20)
    return not [left for left in alive if left.status() != psutil.STATUS_ZOMBIE]


def rows(sweep, numbers):
    return {(number, name): (sweep / str(number) / name).read_bytes() for number in numbers for name in ROWS}


@pytest.mark.full
def test_the_rows_are_those_of_each_job_alone_and_a_failed_cell_is_one_cell(installed, tmp_path):
    process = start(("L5.H1", "L9.H0", "L2.H3"), cwd=tmp_path)
    _, processes = running(process, tmp_path, 0)
    output, _ = process.communicate(timeout=400)
    sweep = tmp_path / "sweep"
    assert process.returncode == 1 and "#1 (" in output and "failed: L9.H0: tiny has layers 0-5" in output, output
    assert [cell.state for cell in read_status(sweep).cells] == ["done", "failed", "done"]
    assert read_sweep(sweep).launcher == "ray"
    assert len({read_job(sweep / str(number)).pid for number in range(3)} - {process.pid}) == 2
    assert ended(processes)
    for number, head in ((0, "L5.H1"), (2, "L2.H3")):
        run(configure(*SMALL, f"prune.heads.list=[{head}]"), Job(str(tmp_path / str(number))))
    assert rows(sweep, (0, 2)) == rows(tmp_path, (0, 2)), output


@pytest.mark.full
def test_a_killed_process_is_one_failed_cell_and_the_next_run_does_only_that(installed, tmp_path):
    heads = ("L5.H1", "L5.H2", "L2.H3")
    process = start(heads, cwd=tmp_path)
    job, _ = running(process, tmp_path, 1)
    os.kill(job.pid, signal.SIGKILL)
    output, _ = process.communicate(timeout=400)
    assert process.returncode == 1 and "Its process was killed" in output, output
    assert [cell.state for cell in read_status(tmp_path / "sweep").cells] == ["done", "killed", "done"]
    assert "Its process was killed" in (tmp_path / "sweep" / "1" / "failed.txt").read_text()
    again = start(heads, "hydra.sweep.dir=again", cwd=tmp_path)
    output, _ = again.communicate(timeout=400)
    assert again.returncode == 0, output
    assert ["evaluate" in read_job(tmp_path / "again" / str(number)).stages for number in range(3)] == [False, True, False]


@pytest.mark.full
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_sweep_that_is_told_to_end_leaves_no_process_and_whole_files(installed, sent, tmp_path):
    process = start(("L5.H1", "L5.H2"), cwd=tmp_path)
    running(process, tmp_path, 1)
    _, processes = running(process, tmp_path, 0)
    if sent is signal.SIGINT:
        os.killpg(process.pid, sent)  # Ctrl-C reaches all of a terminal's processes
    else:
        process.send_signal(sent)
    output, _ = process.communicate(timeout=60)
    assert ended(processes), output
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[sent] and "Traceback" not in output, output
    states = {cell.state for cell in read_status(tmp_path / "sweep").cells}
    assert states == {"interrupted"} if sent is not signal.SIGKILL else states <= {"interrupted", "killed"}
    assert not list((tmp_path / "sweep").rglob("*.part"))


class Tasks:
    """In Ray's place: what a task is given is kept as it would travel, and some of them die."""

    def __init__(self, dying=()):
        self.dying, self.sent, self.options = dying, [], {}
        self.exceptions = SimpleNamespace(RayTaskError=type("RayTaskError", (Exception,), {}), RayError=type("RayError", (Exception,), {}))

    def init(self, **asked):
        self.asked = asked

    def cluster_resources(self):
        return {"CPU": 2.0, "GPU": 1.0}

    def remote(self, function):
        def options(**options):
            self.options = options
            return SimpleNamespace(remote=lambda *arguments: self.sent.append(cloudpickle.dumps(arguments)) or len(self.sent) - 1)

        return SimpleNamespace(options=options)

    def wait(self, tasks, **_):
        return tasks[-1:], tasks[:-1]

    def get(self, task):
        if task in self.dying:
            raise self.exceptions.RayError("gone")
        result = JobReturn(status=JobStatus.COMPLETED)
        result.return_value = task
        return result

    def shutdown(self):
        pass


@pytest.fixture
def launched(tmp_path, monkeypatch):
    """Two cells by the launcher, the first of which dies, with secrets in the environment."""
    tasks = Tasks(dying=(0,))
    monkeypatch.setitem(sys.modules, "ray", tasks)
    monkeypatch.setattr(on_ray, "require", lambda: None)
    monkeypatch.setattr(on_ray.stop, "listen", lambda: None)
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("CCS_EXP_TOKEN", SECRET)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"https://me:{SECRET}@here.invalid")
    register()
    with initialize_config_dir(config_dir(), version_base="1.3"):
        asked = ["tracker=mlflow", "judge=openai", "hydra/launcher=ray", f"hydra.sweep.dir={tmp_path}", "hydra.launcher.address=auto"]
        config = compose("config", asked, return_hydra_config=True)
        launcher = instantiate(config.hydra.launcher)
        context = SimpleNamespace(config_loader=GlobalHydra.instance().config_loader(), callbacks=None)
        launcher.setup(hydra_context=context, task_function=print, config=config)
        results = launcher.launch([["seed=1"], ["seed=2"]], 0)
    return tasks, results


def test_a_task_that_dies_is_one_failed_cell_on_record(launched, tmp_path):
    tasks, (first, second) = launched
    assert first.status is JobStatus.FAILED and second.return_value == 1
    assert (tmp_path / "0" / "failed.txt").read_text().startswith("seed=1: Its process was killed")
    assert tasks.asked["address"] == "auto" and tasks.options == {"num_cpus": 1, "num_gpus": 1, "max_retries": 0}


def test_secrets_do_not_travel_with_a_cell(launched):
    tasks, _ = launched
    assert len(tasks.sent) == 2 and all(b"MLFLOW_TRACKING_URI" in sent and b"CCS_EXP_CACHE" in sent for sent in tasks.sent)
    assert not any(SECRET.encode() in sent for sent in tasks.sent)


def test_without_ray_its_installation_is_named(monkeypatch):
    monkeypatch.setattr(on_ray, "find_spec", lambda name: None)
    with pytest.raises(CcsError, match=r"not installed. Type: pip install 'ccs_exp\[ray\]'"):
        on_ray.require()


def test_a_machine_that_does_not_see_the_folder_says_so(tmp_path):
    with pytest.raises(CcsError, match=f"has no {tmp_path}/elsewhere. All machines"):
        on_ray.run_cell(0, [], None, None, None, None, f"{tmp_path}/elsewhere", {})
