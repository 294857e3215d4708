"""CIFAR in its binary version: records of label bytes and 3 x 32 x 32 pixel bytes, one file for the test set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ccs_exp.data.images.decoding import Decoder
from ccs_exp.data.images.source import Sample
from ccs_exp.data.published.labelled import Labelled
from ccs_exp.errors import CcsError
from ccs_exp.files import read_lines

_SIDE = 32


class CifarBinary(Labelled):
    """The records of a test file: of CIFAR-10 with one label byte, of CIFAR-100 with two, of which the second is the fine label.

    `label_names` are those of the text file beside it, None if it is not there. Raises `CcsError` for a file that is no whole number
    of records.
    """

    one_process = True

    def __init__(self, file: Path, label_bytes: int, names_file: str, decode: Decoder):
        record = label_bytes + 3 * _SIDE * _SIDE
        content = np.fromfile(file, np.uint8)
        if len(content) == 0 or len(content) % record:
            raise CcsError(f"{file} has {len(content):,} bytes, not a whole number of records of {record:,}. Fetch it again.")
        records = content.reshape(-1, record)
        self._decode = decode
        self._pixels = (
            records[:, label_bytes:].reshape(-1, 3, _SIDE, _SIDE).transpose(0, 2, 3, 1)
        )  # [images, row, column, channel]
        self.labels = records[:, label_bytes - 1].tolist()
        self.targets: Sequence[int] = self.labels
        names = file.with_name(names_file)
        self.label_names = read_lines(names) if names.is_file() else None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Sample:
        image = Image.fromarray(np.ascontiguousarray(self._pixels[index]))
        return Sample(str(index), self._decode.finish(image), self.targets[index])
