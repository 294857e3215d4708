"""From JPEG files to batches of pixels: ours beside torchvision's own reader with the same preprocessing, and kept pixels beside none.

    python benchmarks/feeding.py [--path DIR] [--profile]

DIR holds a folder of photographs for each class; by default pictures of 500 x 375 are drawn. Of two processes the second number is what
counts on a machine of two cores: decoding in the process that asks, and in two beside it.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from timing import Result, compare, show
from torch import Tensor
from torch.utils.data import DataLoader

from ccs_exp.clip.loading import load_clip
from ccs_exp.clip.model import ClipModel
from ccs_exp.data.images.batches import ImageData
from ccs_exp.data.images.folder import ClassFolders
from ccs_exp.data.images.pixel_store import pixel_store

NAME, BATCH, PICTURES, PROCESSES = "ViT-B-32", 64, 256, (0, 2)


def results(device: str = "cpu", small: bool = False, path: Path | None = None) -> Iterator[Result]:
    model = load_clip(NAME, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CCS_EXP_CACHE"] = f"{folder}/store"
        of = "photographs" if path else "pictures of 500 x 375"
        path = path or drawn(Path(folder), 8 if small else PICTURES)
        for workers in PROCESSES[:1] if small else PROCESSES:
            yield from of_folder(model, path, of, workers, 1 if small else 9)


def drawn(folder: Path, count: int) -> Path:
    """Pictures with edges and some noise, JPEG of quality 90, in two class folders."""
    rng = np.random.default_rng(0)
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 255, (12, 16, 3), dtype=np.uint8)).resize((500, 375), Image.Resampling.BICUBIC)
        noisy = np.asarray(coarse).astype(int) + rng.integers(-12, 12, (375, 500, 3))
        file = folder / "pictures" / "ab"[number % 2] / f"{number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(file, quality=90)
    return folder / "pictures"


def of_folder(model: ClipModel, path: Path, of: str, workers: int, repeats: int) -> Iterator[Result]:
    from torchvision.datasets import ImageFolder

    source, theirs = ClassFolders(path), ImageFolder(path, model.transform)
    where = f"{workers} processes beside" if workers else "in the process itself"
    title = f"{len(source):,} {of}, {where}"

    def read(data: ImageData) -> Tensor:
        return torch.cat([batch.pixels for batch in data.test_dataloader()])

    def ours() -> Tensor:
        return read(ImageData(source, model.transform, batch_size=BATCH, num_workers=workers))

    yield compare(
        *(title, "torchvision's ImageFolder"),
        ours,
        lambda: torch.cat([pixels for pixels, _ in DataLoader(theirs, BATCH, num_workers=workers)]),
        same_pixels(theirs),
        repeats=repeats,
        target=1.0,
    )
    kept = pixel_store({"name": "folder", "path": str(path)}, source, model)
    if kept is None:
        raise SystemExit("the store of pixels could not be made")
    yield compare(
        *(f"{title}, pixel_cache", "without"),
        lambda: read(ImageData(source, model.transform, batch_size=BATCH, num_workers=workers, pixel_store=kept)),
        ours,
        same_pixels(theirs),
        repeats=repeats,
        target=1.0,
    )


def same_pixels(files: object) -> Callable[[Tensor, Tensor], str]:
    """Every bit, but of photographs that are stored turned: torchvision shows these as they are stored, ours as they are seen."""

    def agree(ours: Tensor, reference: Tensor) -> str:
        other = [number for number, (a, b) in enumerate(zip(ours, reference, strict=True)) if not torch.equal(a, b)]
        turned = [number for number in other if Image.open(files.samples[number][0]).getexif().get(0x0112, 1) != 1]  # type: ignore[attr-defined]
        if other != turned:
            raise SystemExit(f"{len(other)} of {len(ours)} images have other pixels, {len(turned)} of them stored turned")
        return f"all bits the same{f', but of {len(turned)} that are stored turned' if turned else ''}"

    return agree


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--path", type=Path, help="a folder of class folders of photographs")
    parser.add_argument("--profile", action="store_true", help="where our reader's time goes, in one process")
    arguments = parser.parse_args()
    if arguments.profile:
        with tempfile.TemporaryDirectory() as folder:
            source = ClassFolders(arguments.path or drawn(Path(folder), PICTURES))
            data = ImageData(source, load_clip(NAME, seed=0).transform, batch_size=BATCH, num_workers=0)
            cProfile.runctx("list(data.test_dataloader())", {}, {"data": data}, sort="tottime")
        return
    with torch.inference_mode():
        sys.exit(not show(results(path=arguments.path), f"Feeding, {torch.get_num_threads()} threads"))


if __name__ == "__main__":
    main()
