"""Image collections published on the Hugging Face hub, or the same files on disk: where they are, and how they are opened."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets

from ccs_exp.data.images.folder import existing_folder
from ccs_exp.data.published.parquet import check_row_groups
from ccs_exp.data.published.tars import CLASS_NAMES_FILE, SHARD_COUNT_FILE, TEMPLATES_FILE, by_number
from ccs_exp.errors import CcsError
from ccs_exp.files import walk
from ccs_exp.files.hub import Wanted, fetch, full_commit, reaching

datasets.utils.logging.set_verbosity_error()  # its retries are not the user's news; the error at the end is
_INSTEAD = "Or use a local copy (dataset.path=DIR, or probe=folder probe.path=DIR for a probe)."


@dataclass(frozen=True)
class HubSource:
    """The files of one split of a repository without scripts.

    `revision` is a commit, whole or its first digits, or a branch. `files`, a pattern, names Parquet files, whose columns are
    `image_column` and `label_column`, or webdataset tars, each sample an image and a number under ``.cls``; `classnames.txt` at the
    repository's root says what the numbers mean. `numbered`: numbers count as in our table of the classes, whatever names the file
    gives them. `gated`: the hub asks for consent to terms first. `num_files` and, where the data set itself does not say it, `samples`
    are what ``ccs-exp verify-hub`` compares.
    """

    repository: str
    revision: str
    split: str
    files: str
    image_column: str | None = None
    label_column: str = "label"
    numbered: bool = False
    gated: bool = False
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
        return self.wanted.page

    @property
    def wanted(self) -> Wanted:
        """The files, and the small ones beside tars."""
        beside = (CLASS_NAMES_FILE, TEMPLATES_FILE, f"{Path(self.files).parent}/{SHARD_COUNT_FILE}") if self.is_tars else ()
        patterns = (self.files, *beside)
        return Wanted(self.repository, "dataset", self.revision, patterns, self.instead)

    @property
    def instead(self) -> str:
        """What the user can do where it cannot be had."""
        where = f"huggingface.co/datasets/{self.repository}"
        return f"It is gated: accept its terms at {where}, and log in with `hf auth login`. {_INSTEAD}" if self.gated else _INSTEAD


def local_files(hub: HubSource, folder: Path) -> list[Path]:
    """The hub's files in a local copy: laid out as on the hub, or all in one folder. Empty if there are none."""
    name = Path(hub.files).name
    if not hub.is_tars:
        return [path for path in walk(folder).files if fnmatch.fnmatchcase(path.name, name)]
    below = folder / Path(hub.files).parent
    # shards are numbered: the archive in which a data set is distributed, lying there too, is none
    found = ([path for path in place.glob("*.tar") if path.stem.isdigit() and path.is_file()] for place in (below, folder))
    return by_number(next((shards for shards in found if shards), []))


def files_of(hub: HubSource, path: str | Path | None) -> list[Path]:
    """The hub's files: those in the copy at `path`, if any, or with None downloaded once into the hub's own cache."""
    if path is not None:
        return local_files(hub, existing_folder(path))
    folder = fetch(hub.wanted)
    if hub.is_tars:
        return by_number(folder.glob(hub.files))
    return sorted(path for path in folder.rglob("*") if fnmatch.fnmatchcase(path.relative_to(folder).as_posix(), hub.files))


def parquet_rows(hub: HubSource, files: Sequence[Path], streaming: bool = False) -> Any:
    """The rows of Parquet files, a `datasets.Dataset`; with `streaming` as they come."""
    with reading_copy(hub.repository):
        check_row_groups(files)
        local = {hub.split: [str(path) for path in files]}
        return datasets.load_dataset("parquet", data_files=local, split=hub.split, streaming=streaming)


def streamed_rows(hub: HubSource) -> datasets.IterableDataset:
    """The rows of the hub's Parquet files as they come."""
    with reaching_the_hub(hub):
        named, commit = {hub.split: hub.files}, full_commit(hub.wanted)
        return datasets.load_dataset(hub.repository, revision=commit, split=hub.split, data_files=named, streaming=True)


def reaching_the_hub(hub: HubSource) -> AbstractContextManager[None]:
    """Around what streams from the hub: errors of its libraries as `CcsError`s that name the way out."""
    return reaching(hub.repository, "dataset", hub.instead)


@contextmanager
def reading_copy(repository: str) -> Iterator[None]:
    """Errors of reading files that are here as `CcsError`s."""
    try:
        yield
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CcsError(
            f"{repository} cannot be loaded from its local copy ({type(error).__name__}: {reason}). Fetch its files again."
        ) from error
