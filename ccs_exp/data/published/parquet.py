"""Images in Parquet files: a column of encoded images, and one of labels that are numbers, names or named numbers."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet
from PIL import Image

from ccs_exp.data.images.decoding import Decoder
from ccs_exp.data.images.labelled import Labelled
from ccs_exp.errors import CcsError

MOST_BYTES = 2**31  # of one row group, unpacked


class ParquetImages(Labelled):
    """Rows of a `datasets.Dataset`, their images decoded one at a time.

    Attributes:
        labels: of each row, as the file has them; the caller makes `targets` of them.
        label_names: the names that the file gives to numbers, None if it has none.

    Raises `CcsError` if a column is not there, or holds no images.
    """

    def __init__(self, dataset: datasets.Dataset, image_column: str, label_column: str, decode: Decoder):
        check_columns(dataset, image_column, label_column)
        self._dataset, self._image_column = dataset.cast_column(image_column, datasets.Image(decode=False)), image_column
        self.labels: list[Any] = list(dataset[label_column])
        self.label_names = names_of(dataset, label_column)
        super().__init__(self.labels, decode)

    def _read(self, index: int) -> tuple[str, Image.Image]:
        return str(index), encoded_image(self._dataset[index][self._image_column], self._decode, f"Row {index}")


def check_columns(dataset: datasets.Dataset | datasets.IterableDataset, image_column: str, label_column: str) -> None:
    """Raise `CcsError` unless the columns are there and the first holds images."""
    features = dataset.features or {}
    missing = [column for column in (image_column, label_column) if column not in features]
    if missing:
        raise CcsError(
            f"The Parquet files have no column {' or '.join(missing)}, only {', '.join(features) or 'none'}. They are of another data "
            "set, or of another version of it."
        )
    if not holds_images(features[image_column]):
        raise CcsError(f"The column {image_column} of the Parquet files holds no images.")


def holds_images(feature: Any) -> bool:
    return isinstance(feature, datasets.Image) or (isinstance(feature, dict) and set(feature) == {"bytes", "path"})


def check_row_groups(files: Sequence[Path]) -> None:
    """Raise `CcsError` for a file whose parts, each of which is read whole, are too large for memory, and for what is no Parquet file."""
    for file in files:
        try:
            footer = pyarrow.parquet.read_metadata(file)
        except (OSError, pyarrow.ArrowException) as error:
            raise CcsError(f"{file} cannot be read as a Parquet file ({' '.join(str(error).split())}). Fetch it again.") from error
        largest = max((footer.row_group(number).total_byte_size for number in range(footer.num_row_groups)), default=0)
        if largest > MOST_BYTES:
            raise CcsError(
                f"{file} has a row group of {largest:,} bytes, which would have to fit into memory; at most {MOST_BYTES:,} are read. "
                "Write it anew with smaller row groups."
            )


def names_of(dataset: datasets.Dataset | datasets.IterableDataset, label_column: str) -> list[str] | None:
    return getattr(dataset.features[label_column], "names", None)


def encoded_image(encoded: dict[str, Any] | None, decode: Decoder, where: str) -> Image.Image:
    """The image in a row's cell. A path there is a name only: no file outside the Parquet file is opened."""
    return decode(io.BytesIO((encoded or {}).get("bytes") or b""), where)
