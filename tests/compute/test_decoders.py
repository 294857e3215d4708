"""Processes that decode: whichever is lost, at whichever moment, the pass ends in one paragraph, and nothing else is said."""

import multiprocessing
import os
import signal
import tempfile
import weakref

import pytest
import torch
from PIL import Image
from torch.utils.data._utils import signal_handling

from ccs_exp.compute import temporary
from ccs_exp.compute.shared_pass import SharedModule
from ccs_exp.compute.trainer import Compute
from ccs_exp.data.images.batches import ImageData
from ccs_exp.data.images.source import Sample
from ccs_exp.data.videos.captioned import CaptionedVideos
from ccs_exp.data.videos.frame_batches import FrameData
from ccs_exp.errors import CcsError


class Counting(SharedModule):
    def __init__(self, at_first=None):
        super().__init__()
        self.seen, self.at_first = 0, at_first

    def test_step(self, batch, _):
        if self.at_first and not self.seen:
            self.at_first()
        self.seen += len(batch.pixels)

    def share_result(self): ...

    def combine_shares(self, results): ...


class Pictures:
    """Of which number `last` is the last that its process decodes; `name` makes a picture's identifier."""

    one_process, class_names = False, ("a", "b")

    def __init__(self, last=None, size=24, name=str):
        self.last, self.size, self.name = last, size, name

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        if index == self.last:
            os.kill(os.getpid(), signal.SIGKILL)
        return Sample(self.name(index), Image.new("RGB", (32, 32), (index, 0, 0)), index % 2)

    def frames(self, number):
        return [self[self.last if frame else 0].image for frame in range(number)]

    video_id = "v"


def pixels(image):
    return torch.full((3, 32, 32), float(image.getpixel((0, 0))[0]))


def run(data, module=None):
    module = module or Counting()
    Compute("cpu", progress=False).run(module, data, "")
    return module.seen


def quiet(captured):
    assert "Traceback" not in captured.err + captured.out, captured.err + captured.out
    return True


@pytest.mark.parametrize("last", [0, 9, 23])
def test_a_killed_decoder_ends_the_pass_in_words(last, capfd):
    with pytest.raises(CcsError, match="A process that decodes images has ended: .*set num_workers lower"):
        run(ImageData(Pictures(last), pixels, batch_size=2, num_workers=2))
    assert quiet(capfd.readouterr())


def test_one_of_videos_too(capfd):
    videos = CaptionedVideos(tuple(Pictures(7) for _ in range(4)), ("a",) * 4, tuple(range(4)))
    with pytest.raises(CcsError, match="A process that decodes images has ended"):
        run(FrameData(videos, pixels, frames=2, batch_size=4, num_workers=2))
    assert quiet(capfd.readouterr())


def test_a_batch_that_cannot_be_handed_over_ends_the_pass(capfd):
    data = ImageData(Pictures(name=lambda number: lambda: number), pixels, batch_size=2, num_workers=2)
    with pytest.raises(CcsError, match="A process that decodes images has ended"):
        run(data)
    captured = capfd.readouterr()
    assert quiet(captured) and "cannot hand them over. AttributeError: Can't pickle" in captured.err


def test_a_loss_that_is_noticed_where_python_drops_exceptions_is_one_all_the_same(capfd):
    def killed_in_a_callback():
        thing = Counting()
        reference = weakref.ref(thing, lambda _: [kill(child) for child in multiprocessing.active_children()])
        del thing
        assert reference() is None

    def kill(child):
        child.kill()
        child.join()

    with pytest.raises(CcsError, match="A process that decodes images has ended"):
        run(ImageData(Pictures(size=200), pixels, batch_size=2, num_workers=2), Counting(killed_in_a_callback))
    assert quiet(capfd.readouterr())


def test_decoders_end_with_a_pass_that_fails():
    def fail():
        assert len(multiprocessing.active_children()) == 2
        raise RuntimeError("not of the decoders")

    with pytest.raises(RuntimeError, match="not of the decoders") as _:  # the exception keeps the loader
        run(ImageData(Pictures(size=200), pixels, batch_size=2, num_workers=2), Counting(fail))
    assert not multiprocessing.active_children()


def test_later_passes_hear_of_a_loss_at_once_too():
    before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal_handling._SIGCHLD_handler_set = False
    try:
        for _ in range(2):
            assert run(ImageData(Pictures(), pixels, batch_size=8, num_workers=1)) == 24
            assert callable(signal.getsignal(signal.SIGCHLD))
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_images_come_through_a_temporary_folder_whose_path_is_too_long_for_sockets(tmp_path, monkeypatch):
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    monkeypatch.setenv("TMPDIR", str(long))
    monkeypatch.setattr(temporary, "_lock", None)
    temporary.use_own_folder()
    try:
        assert run(ImageData(Pictures(), pixels, batch_size=2, num_workers=1)) == 24
    finally:
        temporary.remove_own_folder()
