"""Data sets of the hub that have no file in ``conf/dataset``: what their images, labels and classes are is found in their own files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import datasets

from ccs_exp.data.images.class_names import names_in_file, names_of_folders
from ccs_exp.data.images.decoding import STANDARD
from ccs_exp.data.images.folder import existing_folder
from ccs_exp.data.images.part import Part
from ccs_exp.data.published.hub import HubSource, files_of, parquet_rows
from ccs_exp.data.published.parquet import ParquetImages, holds_images
from ccs_exp.data.published.tars import TEMPLATES_FILE, TarImages, class_names_beside
from ccs_exp.errors import CcsError
from ccs_exp.files import look_alikes, read_lines, some
from ccs_exp.files.hub import Wanted, commit_here, names_at

_USUAL_LABELS = ("label", "labels", "class", "target", "category", "fine_label", "cls")


def hub_set(
    id: str,
    revision: str,
    split: str,
    files: str | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    class_names: str | None = None,
    path: str | None = None,
) -> Part:
    """The images of a split, from Parquet files with a column of images and one of labels.

    Classes are called as the file's features name them, or `class_names`, a CSV file with the columns ``folder,name``, where ``folder``
    is the label; labels that are texts are names already.

    Raises `CcsError` for a set without Parquet files of the split, without a column of images or labels or with several that none is
    chosen of, and for labels that are no classes.
    """
    hub = parquet_source(id, revision, split, files, path)
    rows = parquet_rows(hub, files_of(hub, path))
    features = rows.features
    image = _column(hub, "image", image_column, [name for name, feature in features.items() if holds_images(feature)], features)
    label = _column(hub, "label", label_column, _label_columns(features), features)
    images = ParquetImages(rows, image, label, STANDARD)
    names, images.targets, notes = _classes(hub, images, label, class_names)
    known = [place for place, target in enumerate(images.targets) if target < len(names)]
    return Part(images, known, class_names=names, notes=[*_moves(hub, path), *notes])


def collection_set(
    id: str, revision: str, split: str, own_templates: bool = True, path: str | None = None, partial: bool = False
) -> Part:
    """A split of a repository laid out as CLIP_benchmark's: numbered tars, and beside them the classes' names and the prompts."""
    hub = collection_source(id, revision, split)
    shards = files_of(hub, path)
    if not shards:
        raise CcsError(f"{path or id} holds no {hub.files}: it is no set of that collection. dataset=hub reads Parquet files.")
    names = class_names_beside(shards, partial)
    images = TarImages(shards, STANDARD)
    strange = sorted({label for label in images.labels if label >= len(names)})
    if strange:
        raise CcsError(f"{id} has labels that are none of its {len(names)} classes: {some([str(label) for label in strange])}.")
    source = Part(images, range(len(images)), class_names=names, notes=_moves(hub, path))
    beside = [place / TEMPLATES_FILE for place in (shards[0].parents[1], shards[0].parent)]
    prompts = next((file for file in beside if file.is_file()), None)
    if own_templates and prompts:
        source.templates = tuple(line.replace("{c}", "{}") for line in read_lines(prompts))
    return source


def collection_source(id: str, revision: str, split: str, **_more: Any) -> HubSource:
    return HubSource(id, revision, split, f"{split}/*.tar", label_column="cls")


def parquet_source(
    id: str, revision: str, split: str, files: str | None = None, path: str | None = None, **_more: Any
) -> HubSource:
    """Where the Parquet files of a split are: `files`, or those that are named after it."""
    if files is None:
        anything = Wanted(id, "dataset", revision, ("*",), HubSource(id, revision, split, "").instead)
        names = list(names_at(anything)) if path is None else [file.name for file in existing_folder(path).rglob("*.parquet")]
        files = _pattern(id if path is None else path, names, split)
    return HubSource(id, revision, split, files)


def hub_source(source: Mapping[str, Any]) -> HubSource | None:
    """The hub's files of the settings below ``source``; None where it reads none, or a copy, or streams them.

    Raises `CcsError` where their names must be asked of the hub, and cannot be.
    """
    if source.get("path") is not None or source.get("streaming"):
        return None
    if "hub" in source:
        return HubSource(**{key: value for key, value in source["hub"].items() if key != "_target_"})
    arguments = {key: value for key, value in source.items() if key != "_target_"}
    found = {f"{__name__}.hub_set": parquet_source, f"{__name__}.collection_set": collection_source}.get(str(source.get("_target_")))
    return found(**arguments) if found else None


def _pattern(where: str, names: Sequence[str], split: str) -> str:
    """One pattern for the Parquet files that are named after the split, and for no others."""
    parquet = sorted(name for name in names if name.endswith(".parquet"))
    if not parquet:
        way_out = (
            f"It is laid out as CLIP_benchmark's sets: dataset=wds dataset.id={where}."
            if any(name.endswith("/0.tar") for name in names)
            else "Of most sets the hub makes some by itself: dataset.revision=refs/convert/parquet."
        )
        raise CcsError(f"{where} holds no Parquet files, only {some(sorted(names))}. {way_out}")
    word = re.compile(rf"(^|[/_.-]){re.escape(split)}([/_.-])")
    chosen = [name for name in parquet if word.search(name)]
    parts = sorted({word.split(name)[0] for name in chosen})
    if not chosen or len(parts) > 1:
        no_split = f"no split {split!r}; its Parquet files are {some(parquet)}"
        what = f"several parts with a split {split!r}: {some(parts)}" if chosen else no_split
        raise CcsError(
            f"{where} has {what}. Name the split (dataset.split=NAME) or the files (dataset.source.files='data/test-*.parquet')."
        )
    same = next((at for at, letters in enumerate(zip(*chosen, strict=False)) if len(set(letters)) > 1), len(chosen[0]))
    pattern = chosen[0] if len(chosen) == 1 else f"{chosen[0][:same]}*.parquet"
    more = [name for name in parquet if fnmatchcase(name, pattern) and name not in chosen]
    if more:
        raise CcsError(f"{where}: {some(more)} may be of the split {split} or not. Name its files, as in dataset.source.files='{pattern}'.")
    return pattern


def _label_columns(features: Mapping[str, Any]) -> list[str]:
    """The columns that may be the labels: those with named classes, else those of a usual name."""
    named = [name for name, feature in features.items() if isinstance(feature, datasets.ClassLabel)]
    return named or [name for name in _USUAL_LABELS if name in features][:1]


def _column(hub: HubSource, kind: str, asked: str | None, found: Sequence[str], features: Mapping[str, Any]) -> str:
    columns = f"Its columns are {some(list(features), 12)}."
    if asked is not None:
        if asked in features:
            return asked
        similar = look_alikes([asked], list(features))
        raise CcsError(f"{hub.repository} has no column {asked}. {columns}{similar} Set dataset.{kind}_column to one of them.")
    if len(found) == 1:
        return found[0]
    what = f"several columns of {kind}s: {some(found)}" if found else f"no column of {kind}s that is known as one"
    way_out = "Choose one" if found else f"If one of them holds the {kind}s, name it"
    raise CcsError(f"{hub.repository} has {what}. {columns} {way_out}: dataset.{kind}_column=NAME.")


def _classes(
    hub: HubSource, images: ParquetImages, column: str, class_names: str | None
) -> tuple[Sequence[str], list[int], Sequence[str]]:
    """The classes' names, the class of each image, and what a reader must be told of the names."""
    labels = images.labels
    bad = [label for label in labels if not isinstance(label, int | str) or isinstance(label, bool) or label == ""]
    distinct = sorted({str(label) for label in labels}, key=lambda label: (int(label) if label.isdecimal() else -1, label))
    if bad:
        told = f"{len(bad):,} of {len(labels):,} images have neither a name nor a whole number there, but "
        told += some([str(label)[:40] for label in bad], 3)
    elif any(isinstance(label, int) and label < 0 for label in labels):
        told = "some are negative, as where labels are kept secret"
    elif images.label_names is None and len(distinct) == len(labels) > 1:
        told = f"all {len(labels):,} images have different ones, such as {some([label[:40] for label in distinct], 3)}"
    else:
        told = ""
    if told:
        raise CcsError(f"The column {column} of {hub.repository} holds no classes: {told}. Name another: dataset.label_column=NAME.")
    if images.label_names is not None:
        keys, known = list(images.label_names), labels
    else:
        keys, index = distinct, {label: number for number, label in enumerate(distinct)}
        known = [index[str(label)] for label in labels]
    if class_names is not None:
        return names_in_file(class_names, keys), known, ()
    if all(key.isdecimal() for key in keys):
        raise CcsError(
            f"The labels of {hub.repository} are numbers, {some(keys, 3)}, and it does not say what they mean. Name the classes with "
            "dataset.class_names=FILE, a CSV file with the columns folder,name, where folder is the number."
        )
    names, notes = names_of_folders(keys)
    return names, known, notes


def _moves(hub: HubSource, path: str | None) -> list[str]:
    """What to tell of a branch, which others can move."""
    stands_for = None if path is not None else commit_here(hub.wanted)
    if stands_for is None or stands_for.startswith(hub.revision):
        return []
    return [f"{hub.repository} at {hub.revision} is the commit {stands_for}; dataset.revision={stands_for} keeps to it."]
