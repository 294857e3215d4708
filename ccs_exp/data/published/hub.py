"""Image collections published on the Hugging Face hub, or the same files on disk: where they are, and how they are opened."""

from __future__ import annotations

import fnmatch
import re
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import datasets
import huggingface_hub
import numpy as np
from huggingface_hub import constants
from huggingface_hub.errors import HTTPError
from huggingface_hub.file_download import repo_folder_name

from ccs_exp.data.images.decoding import STANDARD
from ccs_exp.data.images.folder import existing_folder
from ccs_exp.data.images.source import ImageSource
from ccs_exp.data.published.parquet import ParquetImages, Unlabelled, check_row_groups
from ccs_exp.data.published.tars import CLASS_NAMES_FILE, SHARD_COUNT_FILE, by_number
from ccs_exp.errors import CcsError
from ccs_exp.files import walk

datasets.utils.logging.set_verbosity_error()
huggingface_hub.utils.logging.set_verbosity_error()  # its retries are not the user's news; the error at the end is


@dataclass(frozen=True)
class HubSource:
    """The files of one split of a repository without scripts.

    `revision` is a commit, whole or its first digits, or a branch. `files`, a pattern, names Parquet files, whose columns are
    `image_column` and `label_column`, or webdataset tars, each sample an image and a number under ``.cls``; `classnames.txt` at the
    repository's root says what the numbers mean. `num_files` and, where the data set itself does not say it, `samples` are what
    ``ccs-exp verify-hub`` compares.
    """

    repository: str
    revision: str
    split: str
    files: str
    image_column: str | None = None
    label_column: str = "label"
    num_files: int | None = None
    samples: int | None = None

    @property
    def is_tars(self) -> bool:
        return self.files.endswith(".tar")

    @property
    def columns(self) -> tuple[str, str]:
        """Of images and labels in Parquet files. Raises `CcsError` where none is named."""
        if self.image_column is None:
            raise CcsError(f"The files {self.files} of {self.repository} are Parquet files: name their image_column too.")
        return self.image_column, self.label_column

    @property
    def page(self) -> str:
        return f"huggingface.co/datasets/{self.repository}"


def local_files(hub: HubSource, folder: Path) -> list[Path]:
    """The hub's files in a local copy: laid out as on the hub, or all in one folder. Empty if there are none."""
    name = Path(hub.files).name
    if not hub.is_tars:
        return [path for path in walk(folder).files if fnmatch.fnmatchcase(path.name, name)]
    below = folder / Path(hub.files).parent
    # shards are numbered: the archive in which a data set is distributed, lying there too, is none
    found = ([path for path in place.glob("*.tar") if path.stem.isdigit()] for place in (below, folder))
    return by_number(next((shards for shards in found if shards), []))


def downloaded_files(hub: HubSource) -> list[Path]:
    """The hub's tars and the small files beside them, downloaded once into the hub's own cache."""
    with reaching_the_hub(hub):
        beside = [CLASS_NAMES_FILE, f"{Path(hub.files).parent}/{SHARD_COUNT_FILE}"]
        folder = huggingface_hub.snapshot_download(
            hub.repository, repo_type="dataset", revision=commit(hub), allow_patterns=[hub.files, *beside]
        )
    return local_files(hub, Path(folder))


def parquet_rows(
    hub: HubSource, files: Sequence[Path] | None = None, streaming: bool = False
) -> datasets.Dataset | datasets.IterableDataset:
    """The split's rows as a `datasets.Dataset` (streaming: `IterableDataset`), from local Parquet files or from the hub."""
    with reaching_the_hub(hub, local=files is not None):
        if files is not None:
            check_row_groups(files)
            local = {hub.split: [str(path) for path in files]}
            return datasets.load_dataset("parquet", data_files=local, split=hub.split, streaming=streaming)
        named = {hub.split: hub.files}
        return datasets.load_dataset(hub.repository, revision=commit(hub), split=hub.split, data_files=named, streaming=streaming)


def commit(hub: HubSource) -> str:
    """The revision, with a commit given by its first digits spelt out (from the hub's cache, or else its list of commits)."""
    if not re.fullmatch(r"[0-9a-f]{7,39}", hub.revision):
        return hub.revision
    cache = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=hub.repository, repo_type="dataset") / "snapshots"
    known = [path.name for path in cache.glob("*")]
    if not any(name.startswith(hub.revision) for name in known):
        known = [item.commit_id for item in huggingface_hub.HfApi().list_repo_commits(hub.repository, repo_type="dataset")]
    for name in known:
        if name.startswith(hub.revision):
            return name
    raise CcsError(f"{hub.repository} has no commit that begins with {hub.revision}. `make verify-hub` says what is there now.")


@contextmanager
def reaching_the_hub(hub: HubSource, local: bool = False) -> Iterator[None]:
    """Errors of the hub's libraries as `CcsError`s that name the way out."""
    try:
        yield
    except (OSError, ValueError, HTTPError, tarfile.TarError, datasets.exceptions.DatasetsError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CcsError(
            f"{hub.repository} cannot be loaded from {'its local copy' if local else 'the hub'} ({type(error).__name__}: {reason}). "
            f"If it is gated, accept its terms at {hub.page} and log in with `hf auth login`; without "
            "network, use a local copy (dataset.path=DIR, or probe=folder probe.path=DIR for a probe)."
        ) from error


def balanced_images(hub: HubSource, num_images: int, seed: int, path: str | None = None) -> ImageSource:
    """`num_images` images, as many of each class as can be, drawn with `seed`; classes are not named."""
    files = None
    if path is not None:
        files = local_files(hub, existing_folder(path))
        if not files:
            raise CcsError(f"{path} holds no {Path(hub.files).name}, the hub's files of {hub.repository}. Check the folder.")
    images = ParquetImages(parquet_rows(hub, files), *hub.columns, STANDARD)
    return Unlabelled(images, balanced_rows(np.asarray(images.labels), num_images, seed), STANDARD)


def balanced_rows(labels: np.ndarray, num_images: int, seed: int) -> list[int]:
    """Rows of `num_images` samples in which the classes' counts differ by one at most, while they last; sorted."""
    order = np.random.default_rng(seed).permutation(len(labels))
    turn = np.empty(len(labels), dtype=np.int64)  # how many of the same class come before, in the drawn order
    for label in np.unique(labels):
        of_class = order[labels[order] == label]
        turn[of_class] = np.arange(len(of_class))
    return sorted(order[np.argsort(turn[order], kind="stable")][:num_images].tolist())
