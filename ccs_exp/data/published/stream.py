"""The hub's files read from first to last as they come, without a copy on disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub
from torch.utils.data import get_worker_info

from ccs_exp.data.images.decoding import Decoder
from ccs_exp.data.images.source import ImageSource, Sample
from ccs_exp.data.published.classes import ClassTable, targets_of
from ccs_exp.data.published.hub import HubSource, parquet_rows, reaching_the_hub, reading_copy, streamed_rows
from ccs_exp.data.published.parquet import check_columns, encoded_image, names_of
from ccs_exp.data.published.tars import CLASS_NAMES_FILE, class_names_beside
from ccs_exp.errors import CcsError
from ccs_exp.files import read_lines
from ccs_exp.files.hub import full_commit


class StreamedImages(ImageSource):
    """`samples` images of a split, meant to be asked for in order: going back starts the stream again.

    `files` are local copies of the hub's files, None: they are read from the hub itself. `new_class`: what targets are, for each class of
    the table. Raises `CcsError` when the stream ends early,
    and in a process of a data loader, where `datasets` would give each process a part of the files only.
    """

    one_process = True
    class_names: tuple[str, ...] = ()

    def __init__(
        self,
        hub: HubSource,
        files: Sequence[Path] | None,
        table: ClassTable,
        new_class: Mapping[int, int],
        samples: int,
        decode: Decoder,
    ):
        self._hub, self._table, self._new_class, self._samples, self._decode = hub, table, new_class, samples, decode
        self.decoder = str(decode)
        self._local = files is not None
        if not hub.is_tars:
            self._dataset = streamed_rows(hub) if files is None else parquet_rows(hub, files, streaming=True)
            self._image_column, self._label_column = hub.columns
            check_columns(self._dataset, self._image_column, self._label_column)
            self._names = names_of(self._dataset, self._label_column)
        else:
            with self._errors():
                self._dataset, self._names = _tar_samples(hub, files)
            self._image_column, self._label_column = _image_column(self._dataset), "cls"
        self._dataset = self._dataset.cast_column(self._image_column, datasets.Image(decode=False))
        self._rows: Iterator[dict[str, Any]] = iter(())
        self._next: int | None = None  # the index of the row that comes next; None: not started

    def _errors(self) -> AbstractContextManager[None]:
        return reading_copy(self._hub.repository) if self._local else reaching_the_hub(self._hub)

    def __len__(self) -> int:
        return self._samples

    def __getitem__(self, index: int) -> Sample:
        if get_worker_info() is not None:
            raise CcsError("dataset.streaming reads in one process. Leave num_workers out, or set num_workers=0.")
        if self._next is None or index < self._next:
            self._rows, self._next = iter(self._dataset), 0
        row = None
        with self._errors():
            while self._next <= index:
                row = next(self._rows, None)
                if row is None:
                    break
                self._next += 1
        if row is None:
            raise CcsError(
                f"The stream of {self._hub.repository} ended after {self._next:,} of {self._samples:,} images. Read it without "
                "dataset.streaming, and check the hub's page with `make verify-hub`."
            )
        (target,) = targets_of([row[self._label_column]], self._names, self._table, self._hub.repository)
        return Sample(str(index), encoded_image(row[self._image_column], self._decode, f"Row {index}"), self._new_class[target])


def _tar_samples(hub: HubSource, files: Sequence[Path] | None) -> tuple[datasets.IterableDataset, list[str]]:
    if files is not None:
        names, urls = class_names_beside(files), [str(path) for path in files]
    else:
        revision = full_commit(hub.wanted)
        file = huggingface_hub.hf_hub_download(hub.repository, CLASS_NAMES_FILE, repo_type="dataset", revision=revision)
        names = read_lines(Path(file))
        urls = [f"hf://datasets/{hub.repository}@{revision}/{hub.files}"]
    return datasets.load_dataset("webdataset", data_files={hub.split: urls}, split=hub.split, streaming=True), names


def _image_column(dataset: datasets.IterableDataset) -> str:
    images = [name for name, feature in (dataset.features or {}).items() if isinstance(feature, datasets.Image)]
    if len(images) != 1 or "cls" not in dataset.features:
        raise CcsError(f"The tars hold {', '.join(dataset.features or {}) or 'nothing'}, expected are one image and cls.")
    return images[0]
