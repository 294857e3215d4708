"""Kept pictures give the same pixels as decoding, are used only when whole, and never stand in the way."""

import os
import pickle

import numpy as np
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from small_models import small_model

from ccs_exp.clip.preprocessing import parted
from ccs_exp.data.images.batches import ImageData
from ccs_exp.data.images.folder import ImageFolder
from ccs_exp.data.images.pixel_store import PixelStore, pixel_store
from ccs_exp.data.images.source import Sample
from ccs_exp.errors import CcsError
from ccs_exp.files import aside_of
from ccs_exp.store import folder_state

TRANSFORM = image_transform_v2(PreprocessCfg(size=32), is_train=False)
SIZES = [(40, 60), (33, 32), (64, 64), (20, 90), (32, 32)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CCS_EXP_CACHE", str(tmp_path / "store"))
    images = tmp_path / "images"
    images.mkdir()
    generator = np.random.default_rng(0)
    for number, size in enumerate(SIZES):
        Image.fromarray(generator.integers(0, 255, (*size, 3), dtype=np.uint8)).save(images / f"bild {number} ä.png")
    return images


@pytest.fixture(scope="module")
def seeing_model():
    model = small_model()
    model.transform = TRANSFORM
    return model


def opened(folder, model):
    source = ImageFolder(folder)
    return source, pixel_store({"path": str(folder)}, source, model)


def batches(source, store, workers=0):
    return list(ImageData(source, TRANSFORM, batch_size=2, num_workers=workers, pixel_store=store).test_dataloader())


@pytest.mark.parametrize("workers", [0, 2])
def test_kept_pictures_give_the_same_pixels_and_nothing_is_decoded_again(folder, seeing_model, monkeypatch, workers):
    source, store = opened(folder, seeing_model)
    expected = batches(source, None)
    first = batches(source, store, workers)
    monkeypatch.setattr(ImageFolder, "__getitem__", lambda *_: 1 / 0)
    again = batches(*opened(folder, seeing_model))
    for a, b, c in zip(expected, first, again, strict=True):
        assert torch.equal(a.pixels, b.pixels) and torch.equal(a.pixels, c.pixels)
        assert a.sample_ids == b.sample_ids == c.sample_ids and a.targets.tolist() == c.targets.tolist()


def test_a_damaged_or_half_written_record_is_decoded_again(folder, seeing_model):
    source, store = opened(folder, seeing_model)
    expected = [store_batch.pixels for store_batch in batches(source, store)]
    records = np.lib.format.open_memmap(store.path, "r+")
    records["picture"][0, 0, 0, 0] ^= 1
    records["targets"][1] += 1
    records["crc"][2] = 0
    records.flush()
    fresh = opened(folder, seeing_model)[1]
    assert [fresh.get(index) is None for index in range(5)] == [True, True, True, False, False]
    for batch, pixels in zip(batches(source, fresh), expected, strict=True):
        assert torch.equal(batch.pixels, pixels)
    assert all(fresh.get(index) for index in range(5))


def test_other_files_or_another_preprocessing_are_another_store(folder, seeing_model):
    path = opened(folder, seeing_model)[1].path
    assert opened(folder, seeing_model)[1].path == path
    other = small_model()
    other.transform = image_transform_v2(PreprocessCfg(size=32, interpolation="bilinear"), is_train=False)
    assert opened(folder, other)[1].path != path
    state = folder_state(folder)
    Image.new("RGB", (32, 32)).save(folder / "bild 0 ä.png")
    assert folder_state(folder) != state and opened(folder, seeing_model)[1].path != path


def test_what_lies_behind_links_counts(tmp_path):
    real, linked = tmp_path / "real", tmp_path / "linked"
    (real / "cats").mkdir(parents=True)
    linked.mkdir()
    (linked / "cats").symlink_to(real / "cats")
    (linked / "above").symlink_to(tmp_path)
    (linked / "nothing").symlink_to(tmp_path / "gone")
    state = folder_state(linked)
    (real / "cats" / "a.png").write_bytes(b"1")
    second = folder_state(linked)
    assert second != state == state
    times = (real / "cats" / "a.png").stat()
    (real / "cats" / "a.png").write_bytes(b"2")
    os.utime(real / "cats" / "a.png", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert folder_state(linked) != second, "same size and time of change, other content"


def test_what_killed_processes_left_is_removed(folder, seeing_model):
    path = opened(folder, seeing_model)[1].path
    alive = aside_of(path)
    gone = alive.with_name(alive.name.replace(f".{os.getpid()}.", ".999999999."))
    for left_over in (gone, alive):
        left_over.write_bytes(b"")
    opened(folder, seeing_model)
    assert not gone.exists() and alive.exists()


def test_what_has_no_place_in_a_record_is_left_out(tmp_path):
    store = PixelStore(tmp_path / "p.npy", {}, 3, (4, 4))
    assert store.prepare()
    store.put(0, Sample("x" * 300, Image.new("RGB", (4, 4)), 0))
    store.put(1, Sample("x", Image.new("RGB", (5, 4)), 0))
    store.put(2, Sample("x", Image.new("RGB", (4, 4)), 7))
    assert [store.get(index) is None for index in range(3)] == [True, True, False]
    assert pickle.loads(pickle.dumps(store)).get(2).target == 7


def test_no_room_is_a_warning_and_no_store(folder, seeing_model, monkeypatch, caplog):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    assert opened(folder, seeing_model)[1] is None
    assert "No space left" in caplog.text
    assert not list((folder.parent / "store").rglob("*.part"))


def test_a_preprocessing_without_steps_is_refused():
    with pytest.raises(CcsError, match="pixel_cache=true needs a model whose preprocessing is made of steps"):
        parted(lambda image: image)
