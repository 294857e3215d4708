"""MATLAB's files, in which some data sets are distributed: lists of test images and their classes, and SVHN's images themselves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ccs_exp.data.images.decoding import Decoder
from ccs_exp.data.images.source import Sample
from ccs_exp.data.published.labelled import Labelled
from ccs_exp.errors import CcsError


def read_mat(file: Path, *names: str) -> list[np.ndarray]:
    """The arrays of those names, as they lie in the file. Raises `CcsError` for a file that is not MATLAB's, or lacks one."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        found: dict[str, Any] = loadmat(str(file))
    except (MatReadError, NotImplementedError, ValueError, TypeError, OSError, EOFError) as error:
        reason = " ".join(str(error).split())[:150] or type(error).__name__
        raise CcsError(f"{file} is no MATLAB file of the data set's archive ({reason}). Fetch it again.") from error
    missing = [name for name in names if name not in found]
    if missing:
        raise CcsError(f"{file} holds no {', '.join(missing)}. Fetch it again: it belongs to the data set's archive.")
    return [found[name] for name in names]


def whole_numbers(file: Path, values: Any) -> list[int]:
    """An array of one number an image. Raises `CcsError` where that is not what it is."""
    flat = np.asarray(values).ravel()
    if not np.issubdtype(flat.dtype, np.integer) and not (np.issubdtype(flat.dtype, np.floating) and (flat == flat.round()).all()):
        raise CcsError(f"{file} has {flat.dtype} for the numbers of images and classes, expected are whole numbers. Fetch it again.")
    return [int(value) for value in flat]


class MatImages(Labelled):
    """SVHN's cropped digits: ``X`` ``[32, 32, 3, images]`` of bytes, and ``y``, in which a zero is a ten."""

    one_process = True

    def __init__(self, file: Path, decode: Decoder):
        pixels, classes = read_mat(file, "X", "y")
        self.labels = [number % 10 for number in whole_numbers(file, classes)]
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[2:] != (3, len(self.labels)):
            raise CcsError(
                f"{file} has images of {pixels.dtype} {'x'.join(map(str, pixels.shape))} and {len(self.labels):,} classes; expected are "
                "bytes, height x width x 3 x images. Fetch it again."
            )
        self._pixels, self._decode = pixels, decode
        self.targets: Sequence[int] = self.labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Sample:
        image = Image.fromarray(np.ascontiguousarray(self._pixels[..., index]))
        return Sample(str(index), self._decode.finish(image), self.targets[index])
