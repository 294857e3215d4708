"""Opens a published data set of labelled images, from the hub or a local copy in any of its layouts, and compares it with what is known.

Which data sets there are, and what is known of each, stands in their files in ``conf/dataset``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ccs_exp.data.images.decoding import Decoder
from ccs_exp.data.images.folder import existing_folder
from ccs_exp.data.images.labelled import Labelled
from ccs_exp.data.images.part import Part
from ccs_exp.data.images.source import ImageSource
from ccs_exp.data.published.classes import ClassTable, class_table, prompt_names, targets_of
from ccs_exp.data.published.hub import HubSource, files_of, local_files, parquet_rows
from ccs_exp.data.published.layouts import LAYOUTS, Look
from ccs_exp.data.published.parquet import ParquetImages
from ccs_exp.data.published.stream import StreamedImages
from ccs_exp.data.published.tars import TarImages, class_names_beside
from ccs_exp.errors import CcsError
from ccs_exp.files import some


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
) -> ImageSource:
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
    called = [in_prompts[index].split()[0] if first_word else in_prompts[index] for index in kept]
    class_names = list(dict.fromkeys(called))
    new_class = {old: class_names.index(name) for old, name in zip(kept, called, strict=True)}
    where = hub.page if path is None else str(path)
    if streaming:
        if only is not None:
            raise CcsError(f"dataset.streaming reads whole test sets, and {data_set} is a part of one. Leave it out.")
        files = None if path is None else _hub_files(hub, path)
        source: Labelled | StreamedImages = StreamedImages(hub, files, table, new_class, samples, decode)
    elif path is None:
        look = Look(Path(), table, decode, partial=False)
        source = _hub_images(hub, files_of(hub, None), look)
    else:
        look = Look(existing_folder(path), table, decode, partial)
        everything = LAYOUTS[whole_layout](look) if whole_layout else None
        source = everything or _from_folder(hub, look, [*layouts, "class_folders"], data_set)
        samples = whole_samples if whole_samples and everything else samples
    if whole_samples and samples != whole_samples:
        notes.append(f"protocol=paper evaluates all {whole_samples:,} images of {data_set}; {where} has the test images alone.")
    if isinstance(source, StreamedImages):
        source.class_names, source.notes = tuple(class_names), tuple(notes)
        return source
    notes += _compare(Counter(source.targets), table, kept, samples, per_class, data_set, where, partial)
    places = [place for place, target in enumerate(source.targets) if target in new_class]
    return Part(source, places, [new_class[source.targets[place]] for place in places], class_names, notes)


def _from_folder(hub: HubSource, look: Look, layouts: Sequence[str], data_set: str) -> Labelled:
    files = local_files(hub, look.folder)
    if files:
        return _hub_images(hub, files, look)
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


def _hub_images(hub: HubSource, files: Sequence[Path], look: Look) -> Labelled:
    if hub.is_tars:
        names = class_names_beside(files, look.partial)
        in_tars = TarImages(files, look.decode)
        in_tars.targets = targets_of(in_tars.labels, names, look.table, str(files[0].parent))
        return in_tars
    rows = ParquetImages(parquet_rows(hub, files), *hub.columns, look.decode)
    rows.targets = targets_of(rows.labels, None if hub.numbered else rows.label_names, look.table, hub.repository)
    return rows


def _hub_files(hub: HubSource, path: str) -> list[Path]:
    files = files_of(hub, path)
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
