"""Opens a published data set of labelled images, from the hub or a local copy in any of its layouts, and compares it with what is known.

Which data sets there are, and what is known of each, stands in their files in ``conf/dataset``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from ccs_exp.data.images.decoding import Decoder
from ccs_exp.data.images.folder import existing_folder
from ccs_exp.data.images.source import ImageSource, Sample
from ccs_exp.data.published.classes import ClassTable, class_table, targets_of
from ccs_exp.data.published.hub import HubSource, downloaded_files, local_files, parquet_rows
from ccs_exp.data.published.labelled import Labelled
from ccs_exp.data.published.layouts import LAYOUTS, Look
from ccs_exp.data.published.parquet import ParquetImages
from ccs_exp.data.published.prompt_names import prompt_names
from ccs_exp.data.published.stream import StreamedImages
from ccs_exp.data.published.tars import TarImages, class_names_beside
from ccs_exp.errors import CcsError
from ccs_exp.files import some


class PublishedImages(ImageSource):
    """The images of a source whose class has a number in `new_class`, which is the position of its name in `class_names`."""

    def __init__(
        self, source: Labelled, class_names: Sequence[str], new_class: dict[int, int], decode: Decoder, notes: Sequence[str] = ()
    ):
        self.class_names, self.notes = tuple(class_names), (*notes, *source.notes)
        self.one_process, self.decoder = source.one_process, str(decode)
        self._source, self._new_class = source, new_class
        targets = source.targets
        self._rows = range(len(source)) if targets is None else [row for row, old in enumerate(targets) if old in new_class]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Sample:
        sample = self._source[self._rows[index]]
        return sample._replace(target=self._new_class[cast(int, sample.target)])  # published sets have one task


def open_set(
    data_set: str,
    classes: str,
    samples: int,
    hub: HubSource,
    layouts: Sequence[str] = (),
    per_class: int | None = None,
    only: Sequence[str] | None = None,
    names: str = "usual",
    first_word: bool = False,
    whole_layout: str | None = None,
    whole_samples: int | None = None,
    jpeg_quality: int | None = None,
    path: str | None = None,
    partial: bool = False,
    streaming: bool = False,
) -> PublishedImages:
    """The test set `data_set`.

    Args:
        classes: the table of its classes, in ``assets/classes``.
        samples: how many images the test set has, `per_class` of each class where that is the same number.
        layouts: of local copies, besides class folders and the hub's files.
        only: the classes kept, and scored over.
        names: in prompts, see `prompt_names`.
        first_word: classes are called by the first word of their names, and those of one first word become one class.
        whole_layout, whole_samples: of a local copy in that layout all images count, of which there are so many, not the test set alone.
        jpeg_quality: images that are not JPEG are compressed so first.
        path: a local copy. None: the hub.
        partial: the local copy may lack images and whole classes; all classes are still scored over.
        streaming: read the hub's files (there, or in `path`) in order as they come, copying nothing.

    Raises:
        CcsError: the hub or the copy cannot be read, or the copy has other classes or another number of images.
    """
    table, decode = class_table(classes), Decoder(jpeg_quality)
    in_prompts, notes = prompt_names(names, table, path)
    kept = [index for index in (range(len(table)) if only is None else map(table.index, only)) if index is not None]
    if only is not None and len(kept) < len(only):
        raise CcsError(f"dataset.source.only names what is no class of {classes}. Classes: {some(table.names, len(table))}.")
    where = hub.page if path is None else str(path)
    if streaming:
        if only is not None:
            raise CcsError(f"dataset.streaming reads whole test sets, and {data_set} is a part of one. Leave it out.")
        source: Labelled = StreamedImages(hub, None if path is None else _hub_files(hub, path), table, samples, decode)
    elif path is None:
        look = Look(Path(), table, decode, partial=False)
        source = _tars(downloaded_files(hub), look) if hub.is_tars else _parquet(hub, None, look)
    else:
        look = Look(existing_folder(path), table, decode, partial)
        everything = LAYOUTS[whole_layout](look) if whole_layout else None
        source = everything or _from_folder(hub, look, [*layouts, "class_folders"], data_set)
        samples = whole_samples if whole_samples and everything else samples
    if whole_samples and samples != whole_samples:
        notes.append(f"protocol=paper evaluates all {whole_samples:,} images of {data_set}; {where} has the test images alone.")
    called = [in_prompts[index].split()[0] if first_word else in_prompts[index] for index in kept]
    class_names = list(dict.fromkeys(called))
    new_class = {old: class_names.index(name) for old, name in zip(kept, called, strict=True)}
    if source.targets is not None:
        notes += _compare(Counter(source.targets), table, kept, samples, per_class, data_set, where, partial)
    return PublishedImages(source, class_names, new_class, decode, notes)


def _from_folder(hub: HubSource, look: Look, layouts: Sequence[str], data_set: str) -> Labelled:
    files = local_files(hub, look.folder)
    if files:
        return _tars(files, look) if hub.is_tars else _parquet(hub, files, look)
    for layout in layouts:
        source = LAYOUTS[layout](look)
        if source is not None:
            return source
    holds = some(sorted(path.name for path in look.folder.iterdir())) or "nothing"
    known = "; ".join((LAYOUTS[layout].__doc__ or layout).split("\n", 1)[0].rstrip(".") for layout in layouts)
    raise CcsError(
        f"{look.folder} is no copy of {data_set}: it holds {holds}. Known layouts: {known}; or {hub.files} of {hub.page}. "
        f"Class folders are named like {some(look.table.folders, 3)}."
    )


def _tars(files: Sequence[Path], look: Look) -> TarImages:
    if not files:
        raise CcsError("The hub's cache holds no shard of the data set. Remove the repository's folder from it and try again.")
    names = class_names_beside(files, look.partial)
    images = TarImages(files, look.decode)
    images.targets = targets_of(images.labels, names, look.table, str(files[0].parent))
    return images


def _parquet(hub: HubSource, files: Sequence[Path] | None, look: Look) -> ParquetImages:
    images = ParquetImages(parquet_rows(hub, files), *hub.columns, look.decode)
    images.targets = targets_of(images.labels, images.label_names, look.table, hub.repository)
    return images


def _hub_files(hub: HubSource, path: str) -> list[Path]:
    files = local_files(hub, existing_folder(path))
    if not files:
        raise CcsError(f"dataset.streaming reads the hub's files, and {path} holds no {hub.files}. Leave dataset.streaming out.")
    return files


def _compare(
    found: Counter[int],
    table: ClassTable,
    kept: Sequence[int],
    samples: int,
    per_class: int | None,
    data_set: str,
    where: str,
    partial: bool,
) -> list[str]:
    """What to note about the number of images found. Raises `CcsError` if it is not that of the test set."""
    total, absent = sum(found[index] for index in kept), [table.names[index] for index in kept if not found[index]]
    each = per_class or 0  # 0: not the same number of each
    off = [index for index in kept if each and found[index] not in (0, each)]
    if total == samples and not absent and not off:
        return []
    says = (
        f"{where} holds {total:,} of the {samples:,} test images of {data_set}"
        if total <= samples
        else (f"{where} holds {total:,} images, the test set of {data_set} has {samples:,}")
    )
    if absent:
        says += f"; none of the classes {some(absent)}"
    if off:
        says += f"; {some([f'{found[index]:,} of {table.names[index]}' for index in off])} instead of {each:,}"
    too_many = total > samples or any(found[index] > each for index in off)
    if too_many:
        raise CcsError(f"{says}. Give the test set alone, without the training images.")
    if not partial or not total:
        raise CcsError(f"{says}. Complete the copy, or add dataset.partial=true to evaluate what is there over all class names.")
    return [
        f"The copy of {data_set} is partial: {total:,} of {samples:,} images, of {len(kept) - len(absent)} of {len(kept)} classes."
    ]
