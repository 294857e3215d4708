"""A job's journal: what it says while it runs, however it ends."""

import json
import logging
import os
import socket
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from ccs_exp.errors import CcsError
from ccs_exp.journal import log as journal
from ccs_exp.journal.log import note, recorded, stage
from ccs_exp.journal.state import JobRecord, SweepRecord, process_started, read_job, read_sweep, refuse_company


def events(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def test_a_finished_job_says_how_long_each_stage_took_and_how_fast_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(logging.root, "handlers", [])  # pytest's own would send the surrogate between its processes
    with recorded(tmp_path, ["dataset=digits"]), stage("evaluate"):
        note(images=50, pass_seconds=2.0, device="cpu")
        logging.getLogger("some.library").warning("a message with a \ud800 surrogate")
        assert read_job(tmp_path).stage == "evaluate" and read_job(tmp_path).state == "running"
    record = read_job(tmp_path)
    assert (record.state, record.stage, record.attempt, record.reason) == ("done", None, 1, None)
    assert record.overrides == ("dataset=digits",) and record.pid == os.getpid() and record.stages["evaluate"] >= 0
    assert record.started <= record.ended <= record.heartbeat and record.usage["memory_mib"] > 0
    messages = [event["message"] for event in events(tmp_path)]
    assert messages[:2] == ["job started", "stage started"] and messages[-2:] == ["stage ended", "job done"]
    assert "some.library" in [event["logger"] for event in events(tmp_path)]
    ended = events(tmp_path)[-2]
    assert (ended["images"], ended["images_per_second"], ended["device"]) == (50, 25.0, "cpu")


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (CcsError("no such\nhead"), "failed", "no such head"),
        (ZeroDivisionError("by zero"), "failed", "ZeroDivisionError: by zero"),
        (KeyboardInterrupt(), "interrupted", "stopped by a signal"),
        (SystemExit(143), "interrupted", "stopped by a signal"),
    ],
)
def test_a_job_that_does_not_finish_says_why_and_in_which_stage(error, state, reason, tmp_path):
    handlers = list(logging.getLogger().handlers)
    with pytest.raises(type(error)), recorded(tmp_path, []), stage("load"), stage("inner"):
        raise error
    record = read_job(tmp_path)
    assert (record.state, record.reason, record.stage) == (state, reason, "inner") and record.stages == {}
    assert events(tmp_path)[-1]["message"] == f"job {state}"
    assert logging.getLogger().handlers == handlers
    with recorded(tmp_path, []):
        pass
    assert read_job(tmp_path).attempt == 2 and read_job(tmp_path).state == "done"


def test_stages_outside_a_job_are_no_ones_business(tmp_path):
    with stage("load"):
        note(images=3)
    assert not list(tmp_path.iterdir())


def test_the_heart_beats(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "HEARTBEAT_S", 0.05)
    with recorded(tmp_path, []):
        first = read_job(tmp_path).heartbeat
        deadline = time.monotonic() + 10
        while read_job(tmp_path).heartbeat == first:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_a_process_that_is_gone_was_killed_here_and_silence_counts_elsewhere():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    began = process_started(child.pid)
    record = JobRecord("running", (), "here", child.pid, began, started=0.0, heartbeat=100.0)
    assert record.state_now("here", now=1e9) == "running"  # however silent: its process is there
    reused = JobRecord("running", (), "here", child.pid, began - 3600, started=0.0, heartbeat=100.0)
    assert reused.state_now("here") == "killed"
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert record.state_now("here") == "killed"  # a zombie, which its parent has not looked after yet
    child.wait()
    assert record.state_now("here") == "killed"
    assert record.state_now("elsewhere", now=130.0) == "running"
    assert record.state_now("elsewhere", now=300.0) == "killed"


def test_a_folder_in_which_another_job_is_at_work_is_left_to_it(tmp_path):
    refuse_company(tmp_path)
    with recorded(tmp_path, []):
        refuse_company(tmp_path)  # our own
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as child:
        record = JobRecord("running", (), socket.gethostname(), child.pid, process_started(child.pid), started=0.0, heartbeat=100.0)
        record.write(tmp_path)
        with pytest.raises(CcsError, match=rf"process {child.pid}\) is at work in .*choose another folder: hydra.run.dir=DIR"):
            refuse_company(tmp_path)
        replace(record, host="elsewhere").write(tmp_path)
        refuse_company(tmp_path)  # a job that a scheduler moves comes back before its old place is known to be silent
        record.write(tmp_path)
        child.kill()
    refuse_company(tmp_path)
    (tmp_path / "job.json").write_text("{")
    refuse_company(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema_version": 9}', '{"schema_version": 1}'])
def test_damaged_records_are_errors_that_name_the_file(content, tmp_path):
    for name, read in (("job.json", read_job), ("sweep.json", read_sweep)):
        assert read(tmp_path) is None
        (tmp_path / name).write_text(content)
        with pytest.raises(CcsError, match=name):
            read(tmp_path)


def test_records_come_back_as_they_were_written(tmp_path):
    sweep = SweepRecord((("a=1", "b=2"), ("a=2", "b=2")), "parallel", 12.5)
    sweep.write(tmp_path)
    assert read_sweep(tmp_path) == sweep
