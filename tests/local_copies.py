"""Small copies of published data sets, in the layouts in which they are really distributed."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

import datasets
import numpy as np
import torch
from PIL import Image

from ccs_exp.compute.decoders import losses_in_words
from ccs_exp.config.schema import configure
from ccs_exp.data.published.classes import class_table
from ccs_exp.jobs.assemble import build

CLASSES = {
    "cifar10": 10, "cifar100": 100, "food101": 101, "country211": 211, "oxford_pets": 37, "imagenet_a": 200, "imagenet_r": 200,
    "dtd": 47, "sun397": 397, "svhn": 10, "eurosat": 10, "caltech101": 102, "flowers102": 102, "stanford_cars": 196, "fgvc_aircraft": 100,
    "imagenet1k": 1000,
}  # fmt: skip
SAMPLES = {
    "cifar10": 10_000, "cifar10_objects": 4_000, "cifar10_animals": 6_000, "cifar100": 10_000, "food101": 25_250,
    "country211": 21_100, "oxford_pets": 3_669, "imagenet_a": 7_500, "imagenet_r": 30_000,
    "dtd": 1_880, "sun397": 108_754, "svhn": 26_032, "eurosat": 5_400, "caltech101": 6_085, "flowers102": 6_149, "stanford_cars": 8_041,
    "fgvc_aircraft": 3_333, "imagenet_val": 50_000, "imagenet_v2": 10_000, "imagenet_sketch": 50_889,
}  # fmt: skip
CAPTIONED = {"flickr30k": 1_000, "mscoco": 5_000}
SHADES = 190
NOISE = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)  # what JPEG cannot keep


def picture(shade: int) -> Image.Image:
    """32 x 32 noise around a shade, modulo `SHADES`, by which it is recognised."""
    return Image.fromarray(NOISE // 4 + np.uint8(shade % SHADES))


def shade_of(image: Image.Image) -> int:
    return round(float(np.asarray(image).mean() - (NOISE // 4).mean()))


def encoded(shade: int, kind: str = "PNG") -> bytes:
    content = io.BytesIO()
    options = {"lossless": True} if kind == "WEBP" else {}
    picture(shade).save(content, kind, **options)
    return content.getvalue()


def write_image(path: Path, shade: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(shade, "JPEG" if path.suffix.lower() in (".jpg", ".jpeg") else "PNG"))


def class_folders(root: Path, folders: Sequence[str], images: int, suffix: str = ".png") -> Path:
    for index, folder in enumerate(folders):
        for number in range(images):
            write_image(root / folder / f"{number:04d}{suffix}", index)
    return root


def tar_of(path: Path, members: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))


def webdataset(root: Path, class_names: Sequence[str], labels: Sequence[int], shards: int = 2, kind: str = "webp") -> Path:
    """As clip-benchmark lays out a split: ``test/<n>.tar``, ``test/nshards.txt``, ``classnames.txt``. The shade is the label."""
    per_shard = -(-len(labels) // shards)
    for shard in range(shards):
        members = {}
        for number in range(shard * per_shard, min((shard + 1) * per_shard, len(labels))):
            members[f"s{number:07d}.cls"] = str(labels[number]).encode()
            members[f"s{number:07d}.{kind}"] = encoded(labels[number], {"webp": "WEBP", "jpg": "JPEG"}[kind])
        tar_of(root / "test" / f"{shard}.tar", members)
    (root / "test" / "nshards.txt").write_text(f"{shards}\n")
    (root / "classnames.txt").write_text("\n".join(class_names) + "\n")
    return root


def parquet(file: Path, image_column: str, label_column: str, labels: Sequence, label_feature) -> Path:
    """One Parquet file as the `datasets` library writes it; the shade counts the rows."""
    features = datasets.Features({image_column: datasets.Image(), label_column: label_feature})
    images = [picture(index) for index in range(len(labels))]
    file.parent.mkdir(parents=True, exist_ok=True)
    datasets.Dataset.from_dict({image_column: images, label_column: list(labels)}, features=features).to_parquet(file)
    return file


def cifar_binary(file: Path, labels: Sequence[int], names_file: str, names: Sequence[str], coarse: bool = False) -> Path:
    """The binary version: of each image the label (before it a coarse one in CIFAR-100), then all red, green and blue values."""
    records = []
    for label in labels:
        pixels = np.asarray(picture(label)).transpose(2, 0, 1).tobytes()
        records.append(bytes([0, label] if coarse else [label]) + pixels)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"".join(records))
    file.with_name(names_file).write_text("\n".join(names) + "\n")
    return file


def split_archive(root: Path, split_file: str, lines: Sequence[str], images: Sequence[str]) -> Path:
    """``images/`` and a text file that lists the test images, as Food-101 and Oxford-IIIT Pets come."""
    for number, name in enumerate(images):
        write_image(root / "images" / name, number)
    (root / split_file).parent.mkdir(parents=True, exist_ok=True)
    (root / split_file).write_text("\n".join(lines) + "\n")
    return root


PETS = [(f"{folder}_{number}", folder) for folder in class_table("oxford_pets").folders for number in (1, 201)]


def pets_archive(root: Path) -> Path:
    """Two test photographs a breed and one that the split file does not list; breeds are numbered from 1 in the set's own order."""
    lines = ["# Image CLASS-ID SPECIES BREED"] + [f"{stem} {1 + index // 2} 1 1" for index, (stem, _) in enumerate(PETS)]
    return split_archive(root, "annotations/test.txt", lines, [f"{stem}.jpg" for stem, _ in PETS] + ["Bombay_9.jpg"])


def load(data_set, path, *overrides):
    return build(configure(f"dataset={data_set}", f"dataset.path={path}", *overrides).dataset.source)


def small(samples, per_class=None):
    """Overrides for a copy in which the test set is smaller than it really is."""
    return f"dataset.source.samples={samples}", f"++dataset.source.per_class={'null' if per_class is None else per_class}"


def to_tensor(image):
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).float()


def batches(data):
    with losses_in_words():  # ends decoding processes at once, as a pass does; left to the garbage collector they take ten seconds
        return [data.on_before_batch_transfer(batch, 0) for batch in data.test_dataloader()]


def pairs(source):
    samples = [source[index] for index in range(len(source))]
    return [(sample.target, shade_of(sample.image)) for sample in samples]
