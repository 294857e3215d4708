"""Image collections published on the Hugging Face hub, or local copies of them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import datasets
import huggingface_hub
import numpy as np
from PIL import Image, UnidentifiedImageError

from ccs_exp.data.folder import ClassFolders
from ccs_exp.data.images import ImageSource, Sample, UnreadableImage
from ccs_exp.errors import CcsError


class HubImages:
    """Rows of a `datasets.Dataset` with undecoded images; `rows` selects and orders them."""

    def __init__(
        self,
        dataset: datasets.Dataset,
        image_column: str,
        label_column: str,
        class_names: Sequence[str],
        rows: Sequence[int] | None = None,
    ):
        self.class_names = tuple(class_names)
        self._image_column, self._label_column = image_column, label_column
        self._dataset = dataset.cast_column(image_column, datasets.Image(decode=False))
        self._rows = range(len(dataset)) if rows is None else rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Sample:
        row = int(self._rows[index])
        entry = self._dataset[row]
        encoded = entry[self._image_column]
        try:
            with Image.open(io.BytesIO(encoded["bytes"]) if encoded["bytes"] else encoded["path"]) as image:
                return Sample(str(row), image.convert("RGB"), int(entry[self._label_column]))
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
            raise UnreadableImage(f"Row {row} cannot be decoded as an image ({' '.join(str(error).split())}).") from error


def labelled_images(
    repository: str,
    revision: str,
    split: str,
    data_files: str,
    image_column: str,
    label_column: str,
    class_names: Sequence[str],
    path: str | None = None,
) -> ImageSource:
    """A labelled test set, from `path` (class folders named like the classes, or the hub's parquet files) or from the hub.

    Raises `CcsError` if the local copy has other classes, or if the hub cannot be reached.
    """
    if path is not None and not list(Path(path).expanduser().rglob("*.parquet")):
        folders = ClassFolders(path)
        if set(folders.class_names) != set(class_names):
            missing, extra = set(class_names) - set(folders.class_names), set(folders.class_names) - set(class_names)
            raise CcsError(
                f"{path} is no copy of {repository}: "
                + "; ".join(
                    f"{what} the class folders {', '.join(sorted(names))}"
                    for what, names in (("it lacks", missing), ("unknown are", extra))
                    if names
                )
                + "."
            )
        return folders
    dataset = _load(repository, revision, split, data_files, path)
    return HubImages(dataset, image_column, label_column, class_names)


def balanced_images(
    repository: str,
    revision: str,
    split: str,
    data_files: str,
    image_column: str,
    label_column: str,
    num_images: int,
    seed: int,
    path: str | None = None,
) -> ImageSource:
    """`num_images` images, as many of each class as can be, drawn with `seed`; classes are not named."""
    dataset = _load(repository, revision, split, data_files, path)
    rows = balanced_rows(np.asarray(dataset[label_column]), num_images, seed)
    return HubImages(dataset, image_column, label_column, ("image",), rows)


def balanced_rows(labels: np.ndarray, num_images: int, seed: int) -> list[int]:
    """Rows of `num_images` samples in which the classes' counts differ by one at most, while they last; sorted."""
    order = np.random.default_rng(seed).permutation(len(labels))
    turn = np.empty(len(labels), dtype=np.int64)  # how many of the same class come before, in the drawn order
    for label in np.unique(labels):
        of_class = order[labels[order] == label]
        turn[of_class] = np.arange(len(of_class))
    return sorted(order[np.argsort(turn[order], kind="stable")][:num_images].tolist())


datasets.utils.logging.set_verbosity_error()
huggingface_hub.utils.logging.set_verbosity_error()  # its retries are not the user's news; the error at the end is


def _load(repository: str, revision: str, split: str, data_files: str, path: str | None) -> datasets.Dataset:
    try:
        if path is not None:
            files = sorted(str(file) for file in Path(path).expanduser().rglob(Path(data_files).name))
            if not files:
                raise CcsError(f"{path} holds no {Path(data_files).name}, the hub's files of {repository}. Check the folder.")
            return datasets.load_dataset("parquet", data_files={split: files}, split=split)
        return datasets.load_dataset(repository, revision=revision, split=split, data_files={split: data_files})
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CcsError(
            f"{repository} cannot be loaded from {'its local copy' if path else 'the hub'} ({type(error).__name__}: {reason}). "
            f"If it is gated, accept its terms at huggingface.co/datasets/{repository} and log in with `hf auth login`; without "
            "network, use a local copy (dataset.path=DIR, or probe=folder probe.path=DIR for a probe)."
        ) from error
