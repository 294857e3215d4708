"""Intervals and figures by a process beside the job: the same files, and nothing lost with it."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from example_run import write_run
from painting import painted

from ccs_exp.errors import CcsError
from ccs_exp.report import beside as module
from ccs_exp.report import write_report
from ccs_exp.report.beside import Beside
from ccs_exp.run_folder.folder import RunFolder
from ccs_exp.run_folder.summary import read_summary

STUCK = f"import os, time; os.fsync = lambda _: time.sleep(600)\n{module._CHILD}"  # in the middle of its first file
NULL = {"draws": 1, "judged": 1, "mean": 2.0, "observed_mean": 3.0, "high": 0.0, "high_interval": None, "observed_high": 0.1}
NULL |= {name: {str(k): float(k == 2) for k in range(6)} for name in ("ccs_at_k", "as_much")}


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    return write(tmp_path / "run")


def write(path) -> RunFolder:
    """A run whose figures take all that is told of its summary: its metric is not the usual one, and it was judged under other labels."""
    folder = write_run(path, metric="mean_per_class", robustness={"relabel": None, "shuffled_labels": NULL})
    row = {"kind": "shuffled_labels", "draw": 1, "head": "L0.H0", "label": "colors", "label_of": "L0.H1", "ccs": 2, "ccs_class": "moderate"}
    folder.write("robustness.csv", [row | {f"verdict_{k}": "aligned" if k < 3 else "not_aligned" for k in range(1, 6)}])
    return folder


@pytest.fixture(scope="module")
def by_the_job(tmp_path_factory) -> dict[str, bytes]:
    """What a job writes that has no process beside it."""
    path = write(tmp_path_factory.mktemp("alone")).path
    with painted():
        write_report(path)
    return written(path)


def written(path) -> dict[str, bytes]:
    found = {file.name: file.read_bytes() for file in (path / "report.html", path / "uncertainty.csv", *path.glob("figures/*"))}
    assert {"report.html", "uncertainty.csv", "accuracy.png", "delta.png", "ccs_at_k.png", "heads_map.png", "null_ccs.png"} <= set(found)
    return found


def beside(folder, **more) -> Beside:
    summary = read_summary(folder.path)
    return Beside(folder.path, lambda: summary, **more)


def gone(process, seconds=10.0) -> bool:
    deadline = time.monotonic() + seconds
    while psutil.pid_exists(process) and psutil.Process(process).status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
        time.sleep(0.05)
    return not psutil.pid_exists(process) or psutil.Process(process).status() == psutil.STATUS_ZOMBIE


def test_it_writes_what_the_job_would_write(folder, by_the_job, monkeypatch, tmp_path):
    """Also before there is a summary. It finds modules where the job does, and nowhere else."""
    (tmp_path / "numpy.py").write_text("raise SystemExit('shadowed')")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "of_the_job.py").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [tmp_path, *sys.path, str(tmp_path / "more")])  # a `Path` is no text: Python does not look there
    monkeypatch.setattr(module, "_CHILD", f"import of_the_job\n{module._CHILD}")
    told, summary = beside(folder), folder.path / "summary.json"
    content = summary.read_bytes()
    summary.unlink()
    with told:
        told.conditions()
        told.heads()
        assert told.done()
        assert not (folder.path / "report.html").exists()
        times = {path: path.stat().st_mtime_ns for path in folder.path.glob("figures/*")}
        summary.write_bytes(content)
        write_report(folder.path, told)
    assert {path: path.stat().st_mtime_ns for path in folder.path.glob("figures/*")} == times  # not drawn again
    assert written(folder.path) == by_the_job


@pytest.mark.parametrize("loss", ["not wanted", "not to be had", "killed", "silent", "not understood"])
def test_without_it_the_job_does_the_work(loss, folder, by_the_job, monkeypatch):
    if loss == "not to be had":
        monkeypatch.setattr(module.subprocess, "Popen", lambda *_, **__: (_ for _ in ()).throw(OSError("no more processes")))
    if loss == "silent":
        monkeypatch.setattr(module, "_PATIENCE_S", 0.2)
        monkeypatch.setattr(module, "_CHILD", "import time; time.sleep(600)")
    with beside(folder, wanted=loss != "not wanted") as told, painted():
        if loss == "killed":
            told._process.kill()
            told._process.wait()
        if loss == "not understood":
            told._tell("the weather")
        told.conditions()
        told.heads()
        write_report(folder.path, told)
    assert written(folder.path) == by_the_job


def test_what_it_cannot_read_the_job_names(folder):
    (folder.path / "predictions.parquet").write_bytes(b"damaged")
    with beside(folder) as told:
        told.conditions()
        told.heads()
        with pytest.raises(CcsError, match=r"predictions\.parquet cannot be read"):
            write_report(folder.path, told)


def writing(folder, process) -> None:
    """Waits until it is."""
    while not list(folder.path.rglob("*.part")):
        assert psutil.Process(process).status() != psutil.STATUS_ZOMBIE
        time.sleep(0.02)


def test_it_ends_with_a_job_that_fails(folder, monkeypatch):
    monkeypatch.setattr(module, "_CHILD", STUCK)
    with pytest.raises(ZeroDivisionError), beside(folder) as told:
        process = told._process.pid
        told.conditions()
        writing(folder, process)
        raise ZeroDivisionError
    assert gone(process) and not list(folder.path.rglob("*.part"))


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGHUP], ids=["SIGTERM", "SIGHUP"])
def test_a_signal_leaves_no_half_of_a_file(sent, folder, monkeypatch):
    """Also that of a terminal's end, which reaches every process in it."""
    monkeypatch.setattr(module, "_CHILD", STUCK)
    with beside(folder) as told:
        told.conditions()
        writing(folder, told._process.pid)
        told._process.send_signal(sent)
        assert told._process.wait(10) == 128 + sent
    assert not list(folder.path.rglob("*.part"))


def test_it_ends_with_a_job_that_is_killed(folder):
    code = f"""
import sys
from ccs_exp.report import beside
beside._CHILD = {STUCK!r}
told = beside.Beside({str(folder.path)!r}, lambda: dict.fromkeys(("model", "dataset", "metric", "robustness"))).__enter__()
told.conditions()
print(told._process.pid, flush=True)
sys.stdin.read()
"""
    job = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ)
    process = int(job.stdout.readline())
    writing(folder, process)
    job.send_signal(signal.SIGKILL)
    job.communicate()
    assert gone(process) and not list(folder.path.rglob("*.part"))
