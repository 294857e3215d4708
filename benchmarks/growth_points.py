"""What `growth.py` measures: for each axis, the work of one size. Every point has a process of its own, so that its memory is its own."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from encoding import Masks
from many_masks import drawn_sets
from memory import Noise, status
from timing import seconds
from torch.nn import functional as F

from ccs_exp.clip.loading import load_clip
from ccs_exp.clip.shared_prefix import SharedPrefixEngine
from ccs_exp.clip.text import encode_texts
from ccs_exp.compute.trainer import Compute
from ccs_exp.data.images.batches import ImageData
from ccs_exp.data.images.source import Task
from ccs_exp.heads import Condition, scored_heads
from ccs_exp.scoring.decompose import decompose_images
from ccs_exp.scoring.moments import HeadMoments
from ccs_exp.scoring.pool import taxonomy_pool
from ccs_exp.scoring.textspan import textspan
from ccs_exp.tasks.classification import classify

NAME, BATCH = "ViT-B-32", 64
Work = Callable[[], object]


def decomposed(images: int) -> Work:
    """A probe of so many images, every scored head of ViT-B-32."""
    model = load_clip(NAME, seed=0)
    return lambda: decompose_images(model, ImageData(Noise(images), model.transform, batch_size=BATCH), Compute("cpu", progress=False))


def classified(images: int) -> Work:
    """So many images under the original and three sets of heads."""
    model = load_clip(NAME, seed=0)
    conditions = [Condition(f"set {number}", heads) for number, heads in enumerate(drawn_sets(model, 3))]
    task = Task("noise", ("noise", "order"), ("a photo of {}.",))
    data = ImageData(Noise(images), model.transform, batch_size=BATCH)
    return lambda: classify(model, data, [task], conditions, SharedPrefixEngine(), Compute("cpu", progress=False))


def under_conditions(count: int) -> Work:
    """Eight images under so many sets of ten heads."""
    model = load_clip(NAME, seed=0)
    pixels = torch.randn(8, 3, *model.image_size, generator=torch.Generator().manual_seed(0))
    masks: Masks = drawn_sets(model, 500)[:count]
    return lambda: SharedPrefixEngine().encode(model, pixels, masks)


def heads_described(count: int) -> Work:
    """TEXTSPAN of so many heads over 3,500 descriptions."""
    return _textspan(count, 3_500)


def pool_picked(count: int) -> Work:
    """TEXTSPAN of 48 heads over so many descriptions."""
    return _textspan(48, count)


def _textspan(heads: int, descriptions: int) -> Work:
    generator = torch.Generator().manual_seed(0)
    named = scored_heads(12, 12, 12)[:heads]
    moments = HeadMoments.of(named, torch.randn(256, heads, 64, generator=generator))
    maps = torch.randn(heads, 64, 512, generator=generator, dtype=torch.float64)
    pool = F.normalize(torch.randn(descriptions, 512, generator=generator), dim=-1)
    return lambda: textspan(moments, maps, pool)


def pool_encoded(count: int) -> Work:
    """So many different descriptions through the text tower."""
    model, texts = load_clip(NAME, seed=0), taxonomy_pool("taxonomy", None).descriptions
    pool = [f"{texts[number % len(texts)]} {number // len(texts) or ''}".strip() for number in range(count)]
    return lambda: encode_texts(model.clip, model.tokenizer, pool, model.device)


def cells_kept(count: int) -> Work:
    """The command of a sweep of so many cells, all of which were run before, from its start to its end."""
    work = Path(os.environ["GROWTH_FOLDER"])
    sweep(work, count, "before")
    return lambda: sweep(work, count, f"again-{os.getpid()}")


def sweep(work: Path, cells: int, name: str) -> None:
    limits = ",".join(str(20 + number) for number in range(cells))
    command = [sys.executable, "-m", "ccs_exp", "-m", "dataset=scenes_shape", "prune=none", "tracker=none", f"dataset.limit={limits}"]
    command += [f"hydra.sweep.dir={work / name}"]
    own = {"CCS_EXP_CACHE": str(work / "store"), "CCS_EXP_ATLAS": "false"}
    done = subprocess.run(command, cwd=work, env=os.environ | own, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the sweep of {cells} cells failed:\n{done.stdout[-1000:]}\n{done.stderr[-1000:]}")


AXES: dict[str, tuple[Callable[[int], Work], tuple[int, ...]]] = {
    "images decomposed": (decomposed, (100, 200, 500, 1_000, 2_000, 5_000)),
    "images under 4 conditions": (classified, (100, 200, 500, 1_000, 2_000, 5_000)),
    "conditions": (under_conditions, (1, 2, 5, 10, 20, 50, 100, 200, 500)),
    "heads described": (heads_described, (12, 24, 48, 96, 144)),
    "pool, picked from": (pool_picked, (1_000, 2_000, 5_000, 10_000, 20_000, 50_000)),
    "pool, encoded": (pool_encoded, (1_000, 2_000, 5_000, 10_000, 20_000, 50_000)),
    "cells of a sweep, all kept": (cells_kept, (1, 2, 5, 10, 20, 50, 100, 200)),
}


def main() -> None:
    """One point: seconds, and the most memory in MiB."""
    axis, size = sys.argv[1], int(sys.argv[2])
    work = AXES[axis][0](size)
    taken = seconds(work)
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{taken:.4f} {children if axis.startswith('cells') else status('VmHWM'):.0f}")


if __name__ == "__main__":
    with torch.inference_mode():
        main()
