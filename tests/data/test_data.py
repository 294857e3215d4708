"""Images from folders and from the hub's files, as batches."""

import datasets
import numpy as np
import pytest
import torch
from local_copies import batches, parquet, shade_of, to_tensor
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torchvision.transforms import Compose, Normalize, Resize, ToTensor

from ccs_exp.compute.trainer import Compute
from ccs_exp.config.schema import configure
from ccs_exp.data.images.batches import ImageData
from ccs_exp.data.images.folder import ClassFolders, ImageFolder
from ccs_exp.data.images.source import ImageSource
from ccs_exp.data.published.balanced import balanced_rows
from ccs_exp.errors import CcsError
from ccs_exp.jobs.assemble import build
from ccs_exp.jobs.encode import image_data


def picture(path, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8, 3), value, np.uint8)).save(path)


@pytest.fixture
def folders(tmp_path):
    for index in range(5):
        picture(tmp_path / "big_cat" / f"{index}.png", 10 + index)
        picture(tmp_path / "ant" / f"{index}.PNG", 100 + index)
    return tmp_path


def test_class_folders_are_read_in_the_order_of_their_names(folders):
    source = ClassFolders(folders)
    assert source.class_names == ("ant", "big cat") and len(source) == 10
    sample = source[5]
    assert (sample.sample_id, sample.target, sample.image.mode) == ("big_cat/0.png", 1, "RGB")


def test_every_image_comes_once_and_in_order(folders):
    data = ImageData(ClassFolders(folders), to_tensor, batch_size=3, num_workers=0)
    got = batches(data)
    assert [len(batch.sample_ids) for batch in got] == [3, 3, 3, 1]
    assert torch.cat([batch.targets for batch in got]).tolist() == [0] * 5 + [1] * 5
    assert [int(batch.pixels[0, 0, 0, 0]) for batch in got] == [100, 103, 11, 14]


STEPS = {
    "open_clip's": image_transform_v2(PreprocessCfg(size=24), is_train=False),
    "not normalised": Compose([Resize((24, 24)), ToTensor()]),
    "one more step": Compose([Resize((24, 24)), ToTensor(), Normalize((0.5,) * 3, (0.2,) * 3), lambda pixels: pixels * 2]),
    "none that are known": lambda image: to_tensor(image.resize((24, 24))),
}


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("transform", STEPS.values(), ids=STEPS)
def test_pixels_have_the_bits_of_the_preprocessing_image_by_image(tmp_path, transform, workers):
    generator = np.random.default_rng(0)
    for number, size in enumerate([(40, 30), (24, 24), (31, 90)]):
        Image.fromarray(generator.integers(0, 256, (*size, 3), dtype=np.uint8)).save(tmp_path / f"{number}.jpg")
    source = ImageFolder(tmp_path)
    (batch,) = batches(ImageData(source, transform, num_workers=workers))
    assert torch.equal(batch.pixels, torch.stack([transform(source[number].image) for number in range(3)]))
    assert batch.pixels.std() > 0.1 and (workers == 0 or batch.pixels.is_shared())


def test_a_limit_draws_from_the_whole_collection_and_always_the_same(folders):
    first, again = (ImageData(ClassFolders(folders), to_tensor, limit=6, num_workers=0) for _ in range(2))
    assert len(first) == 6 and first.indices == again.indices
    assert set(batches(first)[0].targets.tolist()) == {0, 1}


@pytest.mark.parametrize("workers", [0, 2])
def test_undecodable_images_stop_the_run_by_name_or_are_counted(folders, workers):
    (folders / "ant" / "2.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    whole = (folders / "big_cat" / "1.png").read_bytes()
    (folders / "big_cat" / "1.png").write_bytes(whole[:50])
    skipping = ImageData(ClassFolders(folders), to_tensor, batch_size=4, on_error="skip", num_workers=workers)
    assert sum(len(batch.sample_ids) for batch in batches(skipping)) == 9  # 11 files, two of them broken
    assert len(skipping.skipped) == 2 and "ant/2.png cannot be decoded" in skipping.skipped[0]
    with pytest.raises(CcsError, match=r"ant/2\.png cannot be decoded .* on_error=skip") as caught:
        batches(ImageData(ClassFolders(folders), to_tensor, batch_size=4, num_workers=workers))
    assert "Traceback" not in str(caught.value)


def test_a_batch_of_nothing_but_broken_images_is_survived(folders):
    for file in (folders / "ant").iterdir():
        file.write_bytes(b"no image")
    data = ImageData(ClassFolders(folders), to_tensor, batch_size=5, on_error="skip", num_workers=0)
    first, second = batches(data)
    assert first.sample_ids == [] and len(first.skipped) == 5 and len(second.sample_ids) == 5


def test_unusable_folders_are_errors(tmp_path):
    with pytest.raises(CcsError, match="is not a folder"):
        ClassFolders(tmp_path / "none")
    with pytest.raises(CcsError, match="no class folders"):
        ClassFolders(tmp_path)
    picture(tmp_path / "a" / "1.png")
    (tmp_path / "b").mkdir()
    (tmp_path / "c").mkdir()
    with pytest.raises(CcsError, match="no image in the class folders b, c"):
        ClassFolders(tmp_path)
    with pytest.raises(CcsError, match="holds no image"):
        ImageFolder(tmp_path / "b")


def test_a_probe_folder_is_sampled_evenly(folders):
    source = ImageFolder(folders, num_images=4)
    assert [source[index].sample_id for index in range(4)] == ["ant/0.PNG", "ant/2.PNG", "big_cat/0.png", "big_cat/2.png"]
    assert len(ImageFolder(folders, num_images=99)) == 10


def test_limits_below_one_are_errors(folders):
    with pytest.raises(CcsError, match="limit of 0"):
        ImageData(ClassFolders(folders), to_tensor, limit=0)


def test_balanced_rows_are_balanced_seeded_and_distinct():
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(10), 50))
    rows = balanced_rows(labels, 73, seed=1)
    counts = np.bincount(labels[rows])
    assert len(set(rows)) == 73 and counts.max() - counts.min() <= 1
    assert rows == balanced_rows(labels, 73, seed=1) != balanced_rows(labels, 73, seed=2)
    assert len(balanced_rows(labels, 5000, seed=1)) == 500


@pytest.fixture
def imagenet(tmp_path):
    """The layout in which the hub publishes ImageNet's validation images, in two files."""
    for part in range(2):
        file = tmp_path / "data" / f"validation-0000{part}-of-00002.parquet"
        parquet(file, "image", "label", [0, 1, 2] * 3, datasets.ClassLabel(names=["a", "b", "c"]))
    return tmp_path


def test_the_imagenet_probe_is_drawn_from_a_local_copy_of_the_hubs_files(imagenet):
    cfg = configure("probe=imagenet_val", f"probe.path={imagenet}", "probe.num_images=12")
    probe = build(cfg.probe.source)
    samples = [probe[index] for index in range(len(probe))]
    rows = balanced_rows(np.array([0, 1, 2] * 6), 12, seed=0)
    assert len(probe) == 12 and [shade_of(sample.image) for sample in samples] == [row % 9 for row in rows]
    assert {sample.target for sample in samples} == {0} and probe.class_names == ("image",)
    assert [sample.sample_id for sample in samples] == [str(row) for row in rows]


def test_a_probe_that_is_not_there(tmp_path):
    with pytest.raises(CcsError, match=r"holds no validation-\*\.parquet, the hub's files of ILSVRC/imagenet-1k"):
        build(configure("probe=imagenet_val", f"probe.path={tmp_path}").probe.source)
    offline = r"ILSVRC/imagenet-1k cannot be loaded from the hub .*HF_HUB_OFFLINE is set.*accept its terms.*probe\.path=DIR"
    with pytest.raises(CcsError, match=offline):
        build(configure("probe=imagenet_val").probe.source)


def test_precision_and_device_reach_the_trainer(folders):
    """One pass by Lightning sees every image once, and an error stops it as it is."""
    import lightning

    class Count(lightning.LightningModule):
        seen = 0

        def test_step(self, batch, batch_idx):
            self.seen += len(batch.sample_ids)
            assert not torch.backends.cudnn.allow_tf32, "patches would be rounded on a GPU"

    before = torch.backends.cudnn.allow_tf32
    module = Count()
    Compute(device="cpu", progress=False).run(module, ImageData(ClassFolders(folders), to_tensor, batch_size=4), "Counting")
    assert module.seen == 10 and torch.backends.cudnn.allow_tf32 == before
    (folders / "ant" / "9.png").write_bytes(b"x")
    with pytest.raises(CcsError, match=r"ant/9\.png cannot be decoded"):
        Compute(device="cpu", progress=False).run(module, ImageData(ClassFolders(folders), to_tensor, batch_size=4), "Counting")


def test_what_is_no_source_of_images_is_told_how_to_become_one(folders):
    class Mine:
        class_names = ("a", "b")

        def __len__(self):
            return 1

        def __getitem__(self, index):
            return ClassFolders(folders)[index]

    class Derived(Mine, ImageSource):
        pass

    cfg = configure("dataset=folder", f"dataset.path={folders}")
    with pytest.raises(CcsError, match=r"Mine is no source of images: derive it from ccs_exp\.data\.images\.source\.ImageSource"):
        image_data(cfg, cfg.dataset, Mine(), None)
    assert isinstance(Derived(), ImageSource) and Derived().notes == () and not Derived().one_process
