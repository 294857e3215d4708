"""Peak memory, a process for each number: of decomposition by number of images, of evaluation by conditions, beside what is stated.

python benchmarks/memory.py
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from encoding import paper_masks
from PIL import Image

from ccs_exp.clip.architecture import memory_need
from ccs_exp.clip.loading import load_clip
from ccs_exp.clip.shared_prefix import SharedPrefixEngine
from ccs_exp.compute.trainer import Compute
from ccs_exp.data.images.batches import ImageData
from ccs_exp.data.images.source import Sample
from ccs_exp.scoring.decompose import decompose_images

NAME, BATCH = "ViT-B-32", 64
DECOMPOSED = (200, 1_000)
EVALUATED = ((1, 4), (10, 1), (10, 4), (10, 16), (48, 4))  # conditions, stack size


class Noise:
    one_process, class_names = True, ("noise",)

    def __init__(self, images: int):
        self.images = images

    def __len__(self) -> int:
        return self.images

    def __getitem__(self, index: int) -> Sample:
        pixels = np.random.default_rng(index).integers(0, 255, (224, 224, 3), dtype=np.uint8)
        return Sample(str(index), Image.fromarray(pixels), 0)


def status(field: str) -> float:
    """MiB: ``VmRSS`` now, ``VmHWM`` at most so far. (``ru_maxrss`` would begin with the peak of the process that started this one.)"""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024


def decomposed(images: int) -> float:
    model = load_clip(NAME)
    moments = decompose_images(model, ImageData(Noise(images), model.preprocess, batch_size=BATCH), Compute("cpu", progress=False)).moments
    assert moments.num_images == images
    return status("VmHWM")


def evaluated(conditions: int, stack_size: int) -> float:
    """Above what the libraries and the code take by themselves."""
    before = status("VmRSS")
    with torch.inference_mode():
        model = load_clip(NAME)
        pixels = torch.randn(BATCH, 3, 224, 224)
        SharedPrefixEngine(stack_size).encode(model, pixels, paper_masks(model, conditions))
    return status("VmHWM") - before


def in_a_process(*arguments: object) -> float:
    command = [sys.executable, __file__, *map(str, arguments)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--decompose", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--evaluate", type=int, nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.decompose:
        print(decomposed(arguments.decompose))
    elif arguments.evaluate:
        print(evaluated(*arguments.evaluate))
    else:
        for images in DECOMPOSED:
            print(f"decomposition of {images:6,} images    peak {in_a_process('--decompose', images):8.0f} MiB", flush=True)
        for conditions, stack_size in EVALUATED:
            sizes = {"batch_size": BATCH, "stack_size": stack_size, "on_cpu": True, "parting_layers": 4, "workers": 0}
            stated = sum(memory_need(NAME, None, **sizes)) / 2**20
            taken = in_a_process("--evaluate", conditions, stack_size)
            print(
                f"{conditions:3} conditions, stack {stack_size:2}     peak {taken:8.0f} MiB   stated {stated:8.0f} MiB",
                flush=True,
            )


if __name__ == "__main__":
    main()
