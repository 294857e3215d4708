"""One pass shared by two processes gives what one process gives: moments, predictions, accuracies, and the same failures."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas
import pytest
import torch
from PIL import Image
from small_jobs import ONE_TASK

import ccs_exp
from ccs_exp.clip.shared_prefix import SharedPrefixEngine
from ccs_exp.compute.process_group import Member
from ccs_exp.compute.processes import OURS, Place, Share, in_order
from ccs_exp.compute.start_processes import process_group
from ccs_exp.compute.trainer import Compute, _share_of_pass
from ccs_exp.config.schema import configure
from ccs_exp.data.images.batches import ImageData
from ccs_exp.data.images.source import Sample, Task, UnreadableImage
from ccs_exp.data.videos.captioned import CaptionedVideos
from ccs_exp.data.videos.frame_batches import FrameData
from ccs_exp.errors import CcsError
from ccs_exp.heads import Condition, Head
from ccs_exp.scoring.decompose import Decomposition, ProbePass, decompose_images
from ccs_exp.scoring.donors import donors
from ccs_exp.tasks.classification import classify
from ccs_exp.tasks.retrieval import retrieve

ROOT = Path(__file__).parents[2]
ONE, TWO = Compute("cpu", progress=False), Compute("cpu", progress=False, devices=2)
NAMES = ("a circle", "a star", "a square", "a ring", "a cross", "a heart")
CONDITIONS = [
    Condition("original", frozenset()),
    Condition("high_ccs", frozenset({Head(2, 0), Head(5, 4)})),
    Condition("low_ccs", frozenset({Head(3, 1)})),
]


class Noise:
    """Random pictures, of which some cannot be decoded."""

    one_process = True
    class_names = NAMES

    def __init__(self, size, broken=()):
        self.size, self.broken = size, broken

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        if index in self.broken:
            raise UnreadableImage(f"image {index} cannot be decoded.")
        if index == 999:
            os.kill(os.getpid(), signal.SIGKILL)
        picture = np.random.default_rng(index).integers(0, 255, (32, 32, 3), dtype=np.uint8)
        return Sample(f"n{index}", Image.fromarray(picture), index % len(NAMES))


class NoiseVideo:
    def __init__(self, seed, broken=False):
        self.video_id, self.seed, self.broken = f"v{seed}", seed, broken

    def frames(self, number):
        if self.broken:
            raise UnreadableImage(f"{self.video_id}.mp4 cannot be decoded.")
        return [Noise(1000 * self.seed + 200)[1000 * self.seed + frame].image for frame in range(number)]


def videos(broken=()):
    captions = tuple(f"{NAMES[seed % 6]} number {seed}" for seed in range(11))
    return CaptionedVideos(tuple(NoiseVideo(seed, seed in broken) for seed in range(11)), captions, tuple(range(11)))


@pytest.fixture(scope="module")
def tiny():
    return ccs_exp.load_model("tiny")


def images(tiny, size=37, broken=(), **options):
    return ImageData(Noise(size, broken), tiny.transform, **({"batch_size": 8, "num_workers": 0} | options))


def classified(tiny, compute, data, engine=None):
    task = Task("noise", data.source.class_names, ("a photo of {}.",))
    return classify(tiny, data, [task], CONDITIONS, engine or SharedPrefixEngine(), compute)


def same(one, two):
    tables = [found.predictions.to_pandas() for found in (one, two)]  # unlike Arrow's, its comparison takes a missing margin for itself
    return one.values == two.values and tables[0].equals(tables[1]) and (one.tied, one.skipped, one.warnings) == (
        two.tied, two.skipped, two.warnings,
    )  # fmt: skip


@pytest.mark.parametrize(("count", "of"), [(0, 2), (1, 2), (5, 2), (6, 3), (7, 4)])
def test_shares_hold_every_part_once_and_put_together_are_in_order(count, of):
    shares = [list(Share(rank, of).parts(count)) for rank in range(of)]
    assert in_order(shares) == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("of", [1, 2, 3])
@pytest.mark.parametrize("broken", [(), (0, 4, 5)])
def test_a_share_has_the_batches_of_the_whole(tiny, of, broken):
    def pictures(share):
        data = images(tiny, broken=broken)
        data.share = share
        return list(data.test_dataloader())

    def frames(share):
        data = FrameData(videos(broken), tiny.preprocess, frames=3, batch_size=4, num_workers=0, on_error="skip")
        data.share = share
        return list(data.test_dataloader())

    whole = pictures(Share())
    together = in_order([pictures(Share(rank, of)) for rank in range(of)])
    assert [batch.sample_ids for batch in together] == [batch.sample_ids for batch in whole]
    assert all(torch.equal(one.pixels, two.pixels) for one, two in zip(whole, together, strict=True))

    whole = sorted(frames(Share()), key=lambda batch: batch.videos.tolist())
    together = sorted([batch for rank in range(of) for batch in frames(Share(rank, of))], key=lambda batch: batch.videos.tolist())
    assert [batch.videos.tolist() for batch in whole] == [batch.videos.tolist() for batch in together]
    assert all(torch.equal(one.pixels, two.pixels) for one, two in zip(whole, together, strict=True))


def test_two_processes_find_the_moments_of_one(tiny):
    one, two = (decompose_images(tiny, images(tiny), compute).moments for compute in (ONE, TWO))
    assert one.num_images == two.num_images == 37 and one.heads == two.heads
    for of_one, of_two in ((one.first, two.first), (one.second, two.second)):
        assert of_two.dtype == torch.float64
        assert ((of_one - of_two).norm() / of_one.norm()) < 1e-12 and float(of_one.norm()) > 0


def test_two_processes_find_the_means_and_donors_of_one(tiny):
    one, two = (decompose_images(tiny, images(tiny), compute, sums=True).sums for compute in (ONE, TWO))
    assert one.num_images == two.num_images == 37 and list(one.outputs) == list(range(tiny.layers))
    for name in ("outputs", "coefficients"):
        for layer, of_one in getattr(one, name).items():
            torch.testing.assert_close(getattr(two, name)[layer], of_one, atol=0, rtol=1e-9)
    one, two = (donors(ProbePass(tiny, images(tiny, broken=(3,), on_error="skip"), on), range(2, tiny.layers)) for on in (ONE, TWO))
    assert len(one.fingerprints) == 36 and torch.equal(one.fingerprints, two.fingerprints)
    assert all(torch.equal(of_one, two.outputs[layer]) for layer, of_one in one.outputs.items())


def test_two_processes_evaluate_every_seed_as_one_does(tiny):
    given = replace(donors(ProbePass(tiny, images(tiny, 12), ONE), range(2, tiny.layers)), seeds=(0, 1, 2))

    def found(compute):
        return classified(tiny, compute, images(tiny), SharedPrefixEngine(1, given))

    one, two = found(ONE), found(TWO)
    assert one.resampled and same(one, two)


@pytest.mark.parametrize(("size", "broken"), [(37, ()), (37, (3, 9, 10)), (32, tuple(range(8, 16))), (5, ())])
def test_two_processes_classify_every_image_once_as_one_does(tiny, size, broken):
    """Numbers of batches that differ, images that only one process fails to decode, a whole batch of them, a process without a batch."""
    one, two = (classified(tiny, compute, images(tiny, size, broken, on_error="skip")) for compute in (ONE, TWO))
    assert one.num_samples == two.num_samples == size - len(broken)
    assert [reason.split()[1] for reason in two.skipped] == [str(index) for index in broken]
    rows = two.predictions.to_pandas()
    readable = [f"n{index}" for index in range(size) if index not in broken]
    assert all(of_one["sample_id"].tolist() == readable for _, of_one in rows.groupby("condition"))
    assert same(one, two)


@pytest.mark.parametrize("broken", [(), (4, 9)])
def test_two_processes_rank_every_video_once_as_one_does(tiny, broken):
    def retrieved(compute):
        data = FrameData(videos(broken), tiny.preprocess, frames=3, batch_size=4, num_workers=0, on_error="skip")
        return retrieve(tiny, data, CONDITIONS, SharedPrefixEngine(), compute, renormalise=True)

    one, two = retrieved(ONE), retrieved(TWO)
    assert same(one, two) and len(two.skipped) == len(broken)


@pytest.mark.parametrize("broken", [3, 9])  # in a batch of the first process, and of the second
def test_an_undecodable_image_in_either_process_ends_the_pass_and_the_next_works(tiny, broken):
    with pytest.raises(CcsError, match=rf"^image {broken} cannot be decoded.*on_error=skip"):
        classified(tiny, TWO, images(tiny, broken=(broken,)))
    again = images(tiny)
    assert same(classified(tiny, ONE, images(tiny)), classified(tiny, TWO, again)) and again.share == Share()


class SlowFailure(Noise):
    """The second process fails at its first batch; the first would have hours of work."""

    def __getitem__(self, index):
        if index == 8:
            raise UnreadableImage("image 8 cannot be decoded.")
        time.sleep(0.02)
        return super().__getitem__(index)


def test_a_failure_stops_the_others_at_their_next_batch(tiny):
    data = ImageData(SlowFailure(998), tiny.transform, batch_size=8, num_workers=0)  # 10 s for each process
    started = time.perf_counter()
    with pytest.raises(CcsError, match="image 8 cannot be decoded"):
        classified(tiny, TWO, data)
    assert time.perf_counter() - started < 8


@pytest.mark.full
def test_a_killed_process_ends_the_pass_with_its_name_and_others_take_its_place(tiny):
    class_of = classified(tiny, TWO, images(tiny))
    source = Noise(1008)
    data = ImageData(source, tiny.transform, batch_size=8, num_workers=0)
    data.indices = data._dataset.indices = [*range(8), *range(992, 1008)]  # sample 999 kills whoever reads it: the second process
    with pytest.raises(CcsError, match=r"Process 1 of 2 has ended \(signal 9\)"):
        classified(tiny, TWO, data)
    assert same(class_of, classified(tiny, TWO, images(tiny)))


def test_what_cannot_be_sent_is_said(tiny):
    data = ImageData(Noise(9), lambda image: tiny.transform(image), batch_size=4, num_workers=0)
    with pytest.raises(CcsError, match="other processes can be given"):
        classified(tiny, TWO, data)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.devices=0", "trainer.devices=0: give a number of at least 1, or auto"),
        ("trainer.devices=many", "trainer.devices=many"),
        ("trainer.num_nodes=0", "trainer.num_nodes=0"),
        ("trainer.num_nodes=2", "srun --nodes=2 --ntasks-per-node=1"),
    ],
)
def test_processes_that_cannot_be_are_refused_at_composition(override, message):
    with pytest.raises(CcsError, match=message):
        configure(override)


def test_what_was_started_must_be_what_is_asked_for(monkeypatch):
    for name, value in {"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}.items():
        monkeypatch.setenv(name, value)
    configure("trainer.devices=2", "trainer.num_nodes=2")
    with pytest.raises(CcsError, match="srun started 4 processes, but trainer.devices=1 x trainer.num_nodes=1 are 1"):
        configure()


def program(*command, cwd):
    with tempfile.TemporaryDirectory() as store:  # one of its own: nothing may come from an earlier job
        env = os.environ | {"CCS_EXP_CACHE": store}
        command = [sys.executable, *command]
        return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False, timeout=300, env=env)


QUICK = (ONE_TASK, "tracker=none", "device=cpu", "dataset.source.num_images=90", "probe.num_images=150", "batch_size=16", "prune=high_ccs")
SAME_FILES = ("heads.csv", "ccs_at_k.csv", "accuracy.csv", "effects.csv", "predictions.parquet")


@pytest.mark.full
def test_a_job_over_two_devices_leaves_the_same_files(tmp_path):
    for devices in (1, 2):
        done = program("-m", "ccs_exp", *QUICK, f"trainer.devices={devices}", f"hydra.run.dir={devices}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    for name in SAME_FILES:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes(), name
    one, two = (json.loads((tmp_path / devices / "summary.json").read_text()) for devices in ("1", "2"))
    assert {key for key in one if one[key] != two[key]} == {"asked", "ran"}  # how many devices there were, and how long it took
    assert len(pandas.read_parquet(tmp_path / "2" / "predictions.parquet")) == 2 * 90


@pytest.mark.full
def test_processes_that_torchrun_started_do_one_job_together(tmp_path):
    alone = program("-m", "ccs_exp", *QUICK, "hydra.run.dir=one", cwd=tmp_path)
    together = program(
        "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "ccs_exp", *QUICK, "trainer.devices=2", cwd=tmp_path
    )  # fmt: skip
    assert alone.returncode == together.returncode == 0, together.stderr
    (run_dir,) = (tmp_path / "outputs").glob("*/*")  # one folder, not one of each process
    for name in SAME_FILES:
        assert (tmp_path / "one" / name).read_bytes() == (run_dir / name).read_bytes(), name


@pytest.mark.full
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_stays_when_the_first_ends(ending, tmp_path):
    command = [sys.executable, "-m", "ccs_exp", *QUICK, "dataset.source.num_images=20000", "trainer.devices=2"]
    job = subprocess.Popen(command, cwd=tmp_path, start_new_session=True, stderr=subprocess.PIPE, text=True)
    others = []
    while not others and job.poll() is None:
        time.sleep(0.1)
        others = Path(f"/proc/{job.pid}/task/{job.pid}/children").read_text().split()
    time.sleep(15)
    (os.killpg if ending == signal.SIGINT else os.kill)(job.pid, ending)
    assert job.wait(60) == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[ending]
    for _ in range(300):
        if not any(Path(f"/proc/{other}").exists() for other in others):
            return
        time.sleep(0.1)
    pytest.fail(f"{others} are still there")


@pytest.fixture(scope="module", autouse=True)
def group():
    """With as many threads in each process as in one alone: on a CPU last digits may depend on their number."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", str(torch.get_num_threads()))
        yield
        process_group(2).close()


def threads(member):
    return torch.get_num_threads()


def test_processes_divide_the_threads_of_a_machine_unless_the_user_has_set_them(monkeypatch):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(6)
        assert process_group(2).call(threads) == [6, 6]
        monkeypatch.delenv("OMP_NUM_THREADS")
        assert process_group(2).call(threads) == [3, 3] and torch.get_num_threads() == 6
        torch.set_num_threads(1)
        assert process_group(2).call(threads) == [1, 1]
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(("own", "found"), [(None, "passive"), ("active", "active")])
def test_threads_sleep_while_they_wait_unless_the_user_says_otherwise(own, found):
    inherited = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment = inherited | ({"OMP_WAIT_POLICY": own} if own else {})
    code = "import os, ccs_exp; print(os.environ['OMP_WAIT_POLICY'])"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, env=environment, text=True).strip() == found


@pytest.mark.parametrize(("asked", "each"), [(0, 0), (1, 1), (5, 2), (8, 4)])
def test_processes_divide_the_decoding_ones(tiny, asked, each):
    seen = []
    data = images(tiny, num_workers=asked)
    data.test_dataloader = lambda: seen.append(data.num_workers) or ()  # no batch: nothing is started
    member = Member(Share(), Place(0, 0, 2, OURS, 2), lambda: None)
    _share_of_pass(member, ONE, Decomposition(tiny), data, "")
    assert seen == [each] and data.num_workers == asked
