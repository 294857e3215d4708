"""Some images of a published collection, as many of each class as can be: a probe."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ccs_exp.data.images.decoding import STANDARD
from ccs_exp.data.images.part import Part
from ccs_exp.data.published.hub import HubSource, files_of, parquet_rows
from ccs_exp.data.published.parquet import ParquetImages
from ccs_exp.errors import CcsError


def balanced_images(hub: HubSource, num_images: int, seed: int, path: str | None = None) -> Part:
    """`num_images` images, as many of each class as can be, drawn with `seed`; classes are not named."""
    files = files_of(hub, path)
    if not files:
        raise CcsError(f"{path} holds no {Path(hub.files).name}, the hub's files of {hub.repository}. Check the folder.")
    images = ParquetImages(parquet_rows(hub, files), *hub.columns, STANDARD)
    rows = balanced_rows(np.asarray(images.labels), num_images, seed)
    return Part(images, rows, [0] * len(rows), ("image",))


def balanced_rows(labels: np.ndarray, num_images: int, seed: int) -> list[int]:
    """Rows of `num_images` samples in which the classes' counts differ by one at most, while they last; sorted."""
    order = np.random.default_rng(seed).permutation(len(labels))
    turn = np.empty(len(labels), dtype=np.int64)  # how many of the same class come before, in the drawn order
    for label in np.unique(labels):
        of_class = order[labels[order] == label]
        turn[of_class] = np.arange(len(of_class))
    return sorted(order[np.argsort(turn[order], kind="stable")][:num_images].tolist())
