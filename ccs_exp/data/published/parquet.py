"""Images in Parquet files: a column of encoded images, and one of labels that are numbers, names or named numbers."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import datasets

from ccs_exp.data.images.source import Decoder, Sample
from ccs_exp.errors import CcsError


class ParquetImages:
    """Rows of a `datasets.Dataset`, their images decoded one at a time.

    Attributes:
        labels: of each row, as the file has them.
        label_names: the names that the file gives to numbers, None if it has none.
        targets: of each row, the number that samples carry; the caller sets it from the labels.

    Raises `CcsError` if a column is not there, or holds no images.
    """

    def __init__(self, dataset: datasets.Dataset, image_column: str, label_column: str, decode: Decoder):
        check_columns(dataset, image_column, label_column)
        self._image_column, self._decode = image_column, decode
        self._dataset = dataset.cast_column(image_column, datasets.Image(decode=False))
        self._rows: Sequence[int] = range(len(dataset))
        self.labels: list[Any] = list(dataset[label_column])
        self.label_names = names_of(dataset, label_column)
        self.targets: Sequence[int] = self.labels

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Sample:
        row = int(self._rows[index])
        image = encoded_image(self._dataset[row][self._image_column], self._decode, f"Row {row}")
        return Sample(str(row), image, self.targets[index])

    def unlabelled(self, rows: Sequence[int]) -> ParquetImages:
        """Only these rows, in that order, all of one class."""
        self._rows, self.targets, self.class_names = rows, [0] * len(rows), ("image",)
        return self


def check_columns(dataset: datasets.Dataset | datasets.IterableDataset, image_column: str, label_column: str) -> None:
    """Raise `CcsError` unless the columns are there and the first holds images."""
    features = dataset.features or {}
    missing = [column for column in (image_column, label_column) if column not in features]
    if missing:
        raise CcsError(
            f"The Parquet files have no column {' or '.join(missing)}, only {', '.join(features) or 'none'}. They are of another data "
            "set, or of another version of it."
        )
    feature = features[image_column]
    if not isinstance(feature, datasets.Image) and set(feature if isinstance(feature, dict) else ()) != {"bytes", "path"}:
        raise CcsError(f"The column {image_column} of the Parquet files holds no images.")


def names_of(dataset: datasets.Dataset | datasets.IterableDataset, label_column: str) -> list[str] | None:
    return getattr(dataset.features[label_column], "names", None)


def encoded_image(encoded: dict[str, Any] | None, decode: Decoder, where: str):
    """The image in a row's cell. A path there is a name only: no file outside the Parquet file is opened."""
    return decode(io.BytesIO((encoded or {}).get("bytes") or b""), where)
