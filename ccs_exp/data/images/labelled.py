"""Images whose targets are known before any is decoded: files below a folder, or pixels held in memory."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ccs_exp.data.images.decoding import Decoder
from ccs_exp.data.images.source import ImageSource, Sample


class Labelled(ImageSource):
    """Images with a target each, decoded one at a time; `_read` gives an image's identifier and the decoded image."""

    class_names: tuple[str, ...] = ()
    targets: Sequence[Any]  # the number of a class; of several tasks a tuple of them

    def __init__(self, targets: Sequence[int | tuple[int, ...]], decode: Decoder):
        self.targets, self._decode, self.decoder = targets, decode, str(decode)

    @abstractmethod
    def _read(self, index: int) -> tuple[str, Image.Image]: ...

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> Sample:
        return Sample(*self._read(index), self.targets[index])


class ImageFiles(Labelled):
    """Image files, called by `names`; None: by their paths relative to `root`."""

    def __init__(
        self,
        root: Path,
        files: Sequence[Path],
        targets: Sequence[int | tuple[int, ...]],
        decode: Decoder,
        names: Sequence[str] | None = None,
    ):
        super().__init__(targets, decode)
        self._root, self._files, self._names = root, files, names

    def _read(self, index: int) -> tuple[str, Image.Image]:
        path = self._files[index]
        return self._names[index] if self._names else path.relative_to(self._root).as_posix(), self._decode(path, str(path))


class PixelArrays(Labelled):
    """Images ``[images, height, width, 3]`` of bytes, called by their numbers."""

    one_process = True

    def __init__(self, pixels: np.ndarray, targets: Sequence[int], decode: Decoder):
        super().__init__(targets, decode)
        self._pixels = pixels

    def _read(self, index: int) -> tuple[str, Image.Image]:
        return str(index), self._decode.finish(Image.fromarray(np.ascontiguousarray(self._pixels[index])))
