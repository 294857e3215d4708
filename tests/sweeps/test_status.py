"""How a sweep stands, told from its files."""

import io
import os
import socket
import time

import pytest
from rich.console import Console

from ccs_exp.errors import CcsError
from ccs_exp.journal.state import JobRecord, SweepRecord, process_started
from ccs_exp.sweeps.status import main, read_status, shown

NOW = time.time()
CELLS = tuple((f"dataset={name}", "prune=paper") for name in "abcdefg")


def job(folder, overrides, state="done", seconds=100.0, **changes):
    folder.mkdir(parents=True)
    fields = {"host": socket.gethostname(), "pid": os.getpid(), "process_started": process_started(os.getpid())}
    fields |= {"started": NOW - seconds, "heartbeat": NOW, "ended": None if state == "running" else NOW}
    JobRecord(state, overrides, **fields | changes).write(folder)


@pytest.fixture
def half_done(tmp_path):
    SweepRecord(CELLS, "slurm", NOW - 1000).write(tmp_path)
    job(tmp_path / "0", CELLS[0], stages={"evaluate": 80.0})
    job(tmp_path / "1", CELLS[1], seconds=1.0, stages={"report": 1.0})  # from the store: says nothing of the others
    job(tmp_path / "2", CELLS[2], "failed", reason="[bold]no such head[/bold]", slurm_job="7_2")
    job(tmp_path / "3", CELLS[3], "running", seconds=40.0, stage="evaluate")
    job(tmp_path / "4", CELLS[4], "running", process_started=1.0, stage="decompose")
    (tmp_path / "slurm" / "7_2").mkdir(parents=True)
    (tmp_path / "slurm" / "7_2" / "7_2_0_log.err").write_text("")
    return tmp_path


def printed(status):
    console = Console(file=io.StringIO(), width=300)
    console.print(shown(status))
    return console.file.getvalue()


def test_a_half_finished_sweep(half_done):
    status = read_status(half_done)
    assert [cell.state for cell in status.cells] == ["done", "done", "failed", "running", "killed", "to do", "to do"]
    assert status.counts == {"done": 2, "running": 1, "failed": 1, "killed": 1, "interrupted": 0, "to do": 2}
    assert status.seconds_left == pytest.approx(2 * 100 + 60, abs=2)
    text = printed(status)
    for part in (
        "7 cells: 2 done, 1 running, 1 failed, 1 killed, 2 to do; about 0:04:",
        "#2 failed: [bold]no such head[/bold]",
        str(half_done / "2" / "log.jsonl"),
        "7_2_0_log.err",
        "#4 killed: its process ended without a word, in stage decompose",
    ):
        assert part in text
    assert "prune=paper" not in text  # what all cells have in common


def test_time_left_is_that_of_as_many_cells_at_once_as_run(half_done):
    job(half_done / "5", CELLS[5], "running", seconds=40.0)
    assert read_status(half_done).seconds_left == pytest.approx((100 + 60 + 60) / 2, abs=2)


def test_a_second_run_in_the_same_folders_counts_and_order_does_not(half_done):
    job(half_done / "again" / "2", CELLS[2], seconds=50.0)
    job(half_done / "0" / "old", CELLS[0], "failed", seconds=5000.0)
    assert [cell.state for cell in read_status(half_done).cells][:3] == ["done", "done", "done"]


def test_a_finished_sweep_has_no_time_left_and_the_exit_status_says_whether_all_is_well(half_done, capsys):
    with pytest.raises(SystemExit) as ended:
        main([str(half_done)])
    assert ended.value.code == 1
    done = half_done / "well"
    job(done / "0", CELLS[0])
    main([str(done)])
    assert "1 cells: 1 done" in capsys.readouterr().out and read_status(done).seconds_left == 0.0
    assert "cells that have not begun are not known" in printed(read_status(done))
    main([str(done), "--watch"])  # nothing runs, so it ends


def test_damage_is_told_and_does_not_hide_the_rest(half_done):
    (half_done / "3" / "job.json").write_text("{")
    status = read_status(half_done)
    assert status.cells[3].state == "to do" and status.cells[0].state == "done" and len(status.damaged) == 1
    assert "Damaged: " in printed(status)


@pytest.mark.parametrize("name", ["nowhere", "."])
def test_where_there_is_no_sweep_it_says_what_to_give(name, tmp_path):
    with pytest.raises(CcsError, match="multirun/2026-01-31/12-00-00"):
        read_status(tmp_path / name)
