"""Sweeps that were done before, or killed at any moment: the same command ends with the same rows, and does nothing twice."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest
import torch
from command import ccs_exp

from ccs_exp.config.schema import configure
from ccs_exp.jobs.resume import is_kept
from ccs_exp.run_folder.folder import RunFolder

SWEEP = (
    *("-m", "model.weights=null", "model.variant=tiny_${seed}", "tracker=none", "prune=high_ccs"),
    *("dataset.limit=30", "probe.num_images=60", "hydra.sweep.dir=sweep"),
)
SMALL = (*SWEEP, "seed=0", "dataset=scenes_shape,scenes_colour")
CSVS = ("heads.csv", "ccs_at_k.csv", "accuracy.csv")


def start(folder, arguments, **environment):
    """The command in `folder`, with a store of its own there."""
    folder.mkdir(exist_ok=True)
    env = os.environ | {"CCS_EXP_CACHE": str(folder / "store"), "OMP_NUM_THREADS": "1"} | environment
    command = [sys.executable, "-m", "ccs_exp", *arguments]
    with open(folder / "output.txt", "ab") as output:
        return subprocess.Popen(command, cwd=folder, env=env, stdout=output, stderr=subprocess.STDOUT)


def finish(folder, arguments, status=0, **environment):
    process = start(folder, arguments, **environment)
    assert process.wait(timeout=900) == status, (folder / "output.txt").read_text()


def rows(folder):
    found = {path.relative_to(folder): path.read_bytes() for path in folder.glob("sweep/*/*") if path.name in CSVS}
    assert found
    return found


def computed(folder):
    """How often each stage was computed, by the logs of the jobs."""
    logs = "".join(path.read_text() for path in folder.glob("sweep/*/ccs_exp.log"))
    return Counter(re.findall(r": (\w+): computed", logs))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed") / "here"
    folder.mkdir()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the programs have
    done = ccs_exp(*SMALL, cwd=folder, CCS_EXP_CACHE=str(folder / "store"))
    torch.set_num_threads(threads)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def no_libraries(tmp_path):
    """PYTHONPATH under which whoever imports torch, wandb or matplotlib fails."""
    folder = tmp_path / "none of these"
    folder.mkdir()
    for name in ("torch", "wandb", "matplotlib", "open_clip", "lightning"):
        (folder / f"{name}.py").write_text(f"raise RuntimeError('{name} was imported')\n")
    return os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])


def test_a_model_is_scored_once_for_all_data_sets(undisturbed):
    assert computed(undisturbed) == {"moments": 1, "descriptions": 1, "scores": 1, "evaluation": 2}
    second = RunFolder(undisturbed / "sweep" / "1").read_summary()
    assert second["from_store"] == ["descriptions", "scores"] and second["computed"] == ["evaluation"]


def test_finished_jobs_are_answered_without_loading_anything(undisturbed, no_libraries):
    before, logs = rows(undisturbed), computed(undisturbed)
    started = time.monotonic()
    finish(undisturbed, [*SMALL, "hydra.sweep.dir=again"], PYTHONPATH=no_libraries)
    assert time.monotonic() - started < 20
    for path, content in before.items():
        assert (undisturbed / "again" / path.relative_to("sweep")).read_bytes() == content
    for number in "01":
        then, now = (RunFolder(undisturbed / sweep / number) for sweep in ("sweep", "again"))
        assert {path.name for path in now.files()} == {path.name for path in then.files()}
        assert now.read_summary() == then.read_summary() | {
            "computed": [],
            "from_store": now.read_summary()["from_store"],
        }
        assert set(now.read_summary()["from_store"]) >= {"descriptions", "scores", "evaluation"}
        assert now.read_predictions().equals(then.read_predictions())
    assert computed(undisturbed) == logs


@pytest.mark.full
def test_a_sweep_killed_twice_is_completed_by_the_same_command(undisturbed, tmp_path):
    here = tmp_path / "here"
    for moment in ("store/moments/*.entry", "store/jobs/*.entry"):
        process, deadline = start(here, SMALL), time.monotonic() + 300
        while not list(here.glob(moment)) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    finish(here, SMALL)
    assert rows(here) == rows(undisturbed)
    assert not list(here.rglob("*.part")) and not list(here.rglob("*.damaged"))
    assert computed(here)["moments"] == 1


CHANGES = {"jobs": "prune=low_ccs", "evaluations": "dataset.limit=31", "descriptions": "probe.num_images=61", "weights": "seed=1"}


def changed(change):
    return [argument for argument in SMALL if argument.split("=")[0] != change.split("=")[0]] + [change]


def test_changed_settings_are_other_jobs(undisturbed, monkeypatch):
    monkeypatch.setenv("CCS_EXP_CACHE", str(undisturbed / "store"))
    for change in ("prune=high_ccs", *CHANGES.values()):
        cell = [argument.partition(",")[0] for argument in changed(change) if not argument.startswith(("-m", "hydra."))]
        assert is_kept(configure(*cell), cell) is (change in SMALL), change


@pytest.mark.parametrize("kind", [kind if kind == "jobs" else pytest.param(kind, marks=pytest.mark.full) for kind in CHANGES])
def test_what_is_another_job_is_not_answered(kind, undisturbed, no_libraries):
    """Without libraries it then fails, every job with its reason."""
    folder, store = undisturbed.parent / kind, str(undisturbed / "store")
    finish(folder, changed(CHANGES[kind]), status=1, PYTHONPATH=no_libraries, CCS_EXP_CACHE=store)
    output = (folder / "output.txt").read_text()
    assert "2 jobs of the sweep" in output and re.search("(torch|lightning) was imported", output)


@pytest.mark.full
def test_a_failed_job_is_named_and_tried_again_alone(tmp_path):
    here, scores = tmp_path / "here", tmp_path / "heads.csv"
    command = ["-m", "tracker=none", "dataset=none", "spans=file", "hydra.sweep.dir=sweep"]
    good = tmp_path / "good.json"
    good.write_text(json.dumps([{"head": "L1.H0", "top5": ["a red star", "a red ring", "something red", "red", "a red cross"]}]))
    command.append(f"spans.path={good},{scores}")
    finish(here, command, status=1)
    output = (here / "output.txt").read_text()
    assert "1 job of the sweep" in output and f"{scores}: there is no such file" in (here / "sweep/1/failed.txt").read_text()
    scores.write_text(
        "head,description_1,description_2,description_3,description_4,description_5\nL1.H1,red,blue,green,a star,a ring\n"
    )
    finish(here, command)
    assert not list(here.rglob("failed.txt"))
    assert [RunFolder(here / "sweep" / number).read_summary()["computed"] for number in "01"] == [[], ["scores"]]


@pytest.mark.full
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_sweep_ends_and_keeps_what_is_done(sent, undisturbed, tmp_path):
    here = tmp_path / "here"
    process = start(here, SMALL)
    while not list(here.glob("store/jobs/*.entry")):
        time.sleep(0.05)
    process.send_signal(sent)
    assert process.wait(timeout=60) == (130 if sent == signal.SIGINT else 143)
    assert not list(here.rglob("*.part"))
    finish(here, SMALL)
    assert rows(here) == rows(undisturbed)


@pytest.mark.full
def test_a_sweep_killed_at_twenty_random_moments(undisturbed, tmp_path):
    here, rng = tmp_path / "here", random.Random(0)
    started = time.monotonic()
    finish(tmp_path / "timed", SMALL)
    length = time.monotonic() - started
    for _ in range(20):
        process = start(here, SMALL)
        try:
            process.wait(timeout=rng.uniform(0.3, length))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
    finish(here, SMALL)
    assert rows(here) == rows(undisturbed)
    assert not list(here.rglob("*.part")) and not list(here.rglob("*.damaged"))
    assert len(list(here.glob("store/moments/*.entry"))) == 1


@pytest.mark.full
@pytest.mark.parametrize("sweeps", [2, 4])
def test_sweeps_at_once_compute_everything_once(sweeps, undisturbed, tmp_path):
    store = str(tmp_path / "store")
    folders = [tmp_path / str(number) for number in range(sweeps)]
    processes = [start(folder, SMALL, CCS_EXP_CACHE=store) for folder in folders]
    assert [process.wait(timeout=900) for process in processes] == [0] * sweeps
    assert all(rows(folder) == rows(undisturbed) for folder in folders)
    assert sum((computed(folder) for folder in folders), Counter()) == computed(undisturbed)


@pytest.mark.full
def test_damaged_entries_are_computed_again(undisturbed, tmp_path):
    here = tmp_path / "here"
    finish(here, SMALL)
    for number, path in enumerate(sorted(here.rglob("*.entry"))):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 4
        path.write_bytes([b"", bytes(content[: len(content) // 2]), bytes(content)][number % 3])
    damaged = len(list(here.rglob("*.entry")))
    finish(here, SMALL)
    assert rows(here) == rows(undisturbed)
    assert len(list(here.rglob("*.damaged"))) == damaged == len(list(here.rglob("*.entry")))
    output = (here / "output.txt").read_text()
    assert output.count("It is set aside") == damaged


@pytest.mark.full
def test_a_store_without_room_or_right_changes_no_row(undisturbed, tmp_path):
    here = tmp_path / "here"
    here.mkdir()
    (here / "store").write_text("no folder")
    finish(here, SMALL)
    assert rows(here) == rows(undisturbed)
    assert "not kept for the next run" in (here / "output.txt").read_text()
    assert json.loads((here / "sweep" / "1" / "summary.json").read_text())["from_store"] == []
