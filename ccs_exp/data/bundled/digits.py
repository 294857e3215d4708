"""scikit-learn's handwritten digits (UCI, 1,797 real images of 8 x 8 pixels) as pictures."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ccs_exp.data.images.source import ImageSource, Sample
from ccs_exp.errors import CcsError

DIGIT_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TRAINING_IMAGES = 1197
_SIDE = 32


class Digits(ImageSource):
    """One part of a fixed split: `train` (1,197 images, seen by the tiny model's training) or `test` (600, held out).

    Dark ink on white paper, enlarged to 32 x 32 pixels.
    """

    one_process = True
    class_names = DIGIT_NAMES

    def __init__(self, split: str = "test"):
        from sklearn.datasets import load_digits

        if split not in ("train", "test"):
            raise CcsError(f"digits has no split {split!r}; there are train and test.")
        order = np.random.default_rng(0).permutation(1797)
        self._indices = np.sort(order[:_TRAINING_IMAGES] if split == "train" else order[_TRAINING_IMAGES:])
        bunch = load_digits()
        ink = bunch.images[self._indices] / 16  # [images, 8, 8], 0..1
        self._pixels = np.rint(255 * (1 - ink)).astype(np.uint8)
        self._targets = bunch.target[self._indices].tolist()

    def __len__(self) -> int:
        return len(self._targets)

    def __getitem__(self, index: int) -> Sample:
        image = Image.fromarray(self._pixels[index]).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC).convert("RGB")
        return Sample(f"digit-{self._indices[index]:04d}", image, self._targets[index])
