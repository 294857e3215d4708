"""A disk that fails once, at any write, sync or rename of a job: it ends in words or goes on, and the same command then completes."""

import builtins
import errno
import itertools
import os

import pytest
import torch
from PIL import Image
from small_jobs import ONE_TASK

from ccs_exp.config.schema import configure
from ccs_exp.errors import CcsError
from ccs_exp.files import whole, write_whole
from ccs_exp.jobs import experiment
from ccs_exp.jobs.experiment import Job, run
from ccs_exp.jobs.resume import JOBS, keep, restore, unpack_job
from ccs_exp.jobs.store_command import main
from ccs_exp.run_folder.folder import RunFolder
from ccs_exp.store import read_entry

ERRORS = (errno.ENOSPC, errno.EIO, errno.EDQUOT)
RESULTS = ("heads.csv", "ccs_at_k.csv", "accuracy.csv", "predictions.parquet")


class Disk:
    """Counts writes, syncs and renames of whole files, and fails the n-th of them with `error`; n None: none."""

    def __init__(self, monkeypatch, n=None, error=errno.EIO):
        self.n, self.error, self.count = n, error, 0
        self.fsync, self.replace = os.fsync, os.replace
        monkeypatch.setattr(os, "fsync", lambda descriptor: self.attempt() or self.fsync(descriptor))
        monkeypatch.setattr(os, "replace", lambda *paths: self.attempt() or self.replace(*paths))
        monkeypatch.setattr(whole, "open", self.open, raising=False)

    def attempt(self):
        self.count += 1
        if self.count == self.n:
            raise OSError(self.error, os.strerror(self.error))

    def open(self, *arguments, **more):
        file = builtins.open(*arguments, **more)  # noqa: SIM115  the caller closes it
        if file.writable():
            write = file.write
            file = _Written(file, lambda content: self.attempt() or write(content))
        return file


class _Written:
    def __init__(self, file, write):
        self.file, self.write = file, write

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def __getattr__(self, name):
        return getattr(self.file, name)


@pytest.fixture
def stub(picture_job):
    names = itertools.product(("red", "blue"), range(2))
    return picture_job({f"{name}/{n}.png": Image.new("RGB", (32, 32), (200 * (name == "red"), 10 * n, 90)) for name, n in names})


def job(cfg, here):
    """As the command line has it: answered from the store, or run and kept."""
    if not restore(cfg, str(here / "run"), ()):
        run(cfg, Job(str(here / "run")))
        keep(cfg, str(here / "run"), ())


def results(here):
    return {name: (here / "run" / name).read_bytes() for name in RESULTS}


def fails_once_and_completes(cfg, here, n, wanted, monkeypatch):
    """One try on a failing disk, and the same again on a good one."""
    monkeypatch.setenv("CCS_EXP_CACHE", str(here / "store"))
    with monkeypatch.context() as failing:
        disk = Disk(failing, n, ERRORS[n % 3])
        try:
            job(cfg, here)
        except CcsError as error:
            assert "could not be written" in str(error) and os.strerror(ERRORS[n % 3]) in str(error)
            assert not (here / "run" / "summary.json").exists() or not (here / "run" / "report.html").exists()
    assert disk.count >= n
    assert not list(here.rglob("*.part"))
    job(cfg, here)
    assert results(here) == wanted and RunFolder(here / "run").read_summary()["accuracy"]
    assert not list(here.rglob("*.damaged")) and main(["verify"]) == 0


def operations(cfg, here, monkeypatch):
    """How many there are in an undisturbed job, and what it finds."""
    monkeypatch.setenv("CCS_EXP_CACHE", str(here / "store"))
    with monkeypatch.context() as counting:
        disk = Disk(counting)
        job(cfg, here)
    return disk.count, results(here)


# of each file a write, a sync, a rename, and the sync of its folder: steps of 13 meet each of the four, and each error
@pytest.mark.parametrize("step", [13, pytest.param(1, marks=pytest.mark.full)])
def test_every_write_sync_and_rename_may_fail(step, stub, tmp_path, monkeypatch):
    torch.set_num_threads(1)
    count, wanted = operations(stub, tmp_path / "undisturbed", monkeypatch)
    assert count > 40 and count % 4 == 0
    for n in range(1, count + 1, step):
        fails_once_and_completes(stub, tmp_path / str(n), n, wanted, monkeypatch)


@pytest.mark.full
def test_the_real_job_on_a_disk_that_fails(tmp_path, monkeypatch):
    cfg = configure(ONE_TASK, "tracker=none", "dataset.source.num_images=12", "probe.num_images=60", "prune=high_ccs")
    count, wanted = operations(cfg, tmp_path / "undisturbed", monkeypatch)
    for n in range(3, count + 1, 11):
        fails_once_and_completes(cfg, tmp_path / str(n), n, wanted, monkeypatch)


def test_a_finished_job_is_restored_where_its_record_has_no_place(stub, tmp_path, monkeypatch, caplog):
    """W&B's record is a mirror: what does not fit costs a warning, and leaves no half of it."""
    monkeypatch.setenv("CCS_EXP_CACHE", str(tmp_path / "store"))
    stub.tracker = {"name": "wandb_offline", "mode": "offline"}
    build = experiment.assemble.build
    monkeypatch.setattr(experiment.assemble, "build", lambda node: _Recorder() if "mode" in node else build(node))
    run(stub, Job(str(tmp_path / "run")))
    keep(stub, str(tmp_path / "run"), ())
    kept = experiment.keys.cell_key(stub, ())
    assert len(read_entry(JOBS, kept, unpack_job).records) == 2

    def small_disk(path, content, *more):
        if "large" in path.name:
            raise CcsError(f"{path.name} could not be written to the folder {path.parent}: No space left on device.")
        return write_whole(path, content, *more)

    monkeypatch.setattr("ccs_exp.jobs.resume.write_whole", small_disk)
    assert restore(stub, str(tmp_path / "again"), ())
    assert "The W&B record of this run is not restored, all else is" in caplog.text
    assert RunFolder(tmp_path / "again").read_summary()["computed"] == []
    assert not list((tmp_path / "again" / "wandb").rglob("*.wandb")) and (tmp_path / "again" / "report.html").exists()


class _Recorder:
    """A tracker that leaves two files as W&B does."""

    def track(self, run_dir):
        for name in ("a small.wandb", "the large.wandb"):
            write_whole(run_dir / "wandb" / "offline-run-1" / name, b"record")
