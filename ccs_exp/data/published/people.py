"""Data sets of images of people, with labels of several attributes: FairFace and SocialCounterfactuals.

The labels say how somebody, or a prompt, would describe whom an image shows; they are no property of a person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ccs_exp.data.images.decoding import STANDARD
from ccs_exp.data.images.folder import existing_folder
from ccs_exp.data.images.labelled import ImageFiles, Labelled
from ccs_exp.data.images.part import People
from ccs_exp.data.images.source import NO_CLASS
from ccs_exp.data.published.hub import HubSource, files_of, parquet_rows
from ccs_exp.data.published.layouts import are_there
from ccs_exp.data.published.parquet import ParquetImages, check_columns, names_of
from ccs_exp.errors import CcsError
from ccs_exp.files import ASSETS, look_alikes, read_csv, read_lines, some

Groups = Mapping[str, Mapping[str, str | None]]  # of each attribute: what prompts call a label; None: a label of something else
_OCCUPATION_FROM_END = -4  # among the parts of a file's name between underscores


@dataclass(frozen=True)
class _Copy:
    """A copy as it is: its images, and a column of text for each that was asked for."""

    images: Labelled
    columns: Mapping[str, Sequence[str]]
    where: str


def fairface(
    samples: int,
    hub: HubSource,
    groups: Groups,
    path: str | None = None,
    partial: bool = False,
    occupations: str | None = None,
) -> People:
    """FairFace's validation images, from ``fairface_label_val.csv`` and the files that it lists, or the hub's Parquet file.

    Args:
        occupations: a text file of what all images are ranked for, one a line; None: the packaged list.

    Raises `CcsError` for a copy without an attribute, with groups that are not known, images that are missing, or only one group.
    """
    columns = {attribute: attribute for attribute in groups}
    copy = _copy(hub, path, partial, "fairface_label_val.csv", "file", list(groups), list(groups))
    names = _distinct(read_lines(Path(occupations).expanduser() if occupations else ASSETS / "occupations.txt"), occupations)
    return _people(copy, groups, columns, names, None, _incomplete(copy, "fairface", samples, partial))


def social_counterfactuals(
    samples: int,
    hub: HubSource,
    groups: Groups,
    columns: Mapping[str, str],
    path: str | None = None,
    partial: bool = False,
    occupations: str | None = None,
) -> People:
    """SocialCounterfactuals: drawn people of known occupation, from ``metadata.csv`` and its files, or the hub's Parquet files.

    An image's occupation stands in its file's name, on the hub in its caption, after the second attribute.

    Args:
        columns: of every attribute, where its label stands.
        occupations: a text file of those that are kept, one a line; None: all.

    Raises `CcsError` as `fairface` does, and for an occupation without images.
    """
    wanted = tuple(columns.values())
    copy = _copy(hub, path, partial, "metadata.csv", "file_name", wanted, (*wanted, "caption"))
    if "caption" in copy.columns:
        own = [_after(text, last) for text, last in zip(copy.columns["caption"], copy.columns[wanted[-1]], strict=True)]
    else:
        own = [_in_name(file, copy.where) for file in copy.columns["file_name"]]
    known = sorted(set(own))
    names = _distinct(read_lines(Path(occupations).expanduser()), occupations) if occupations else tuple(known)
    without = [name for name in names if name not in known]
    if without:
        raise CcsError(
            f"{copy.where} has no image of {some(without)}. Take them out of {occupations}. Occupations there: {some(known, 20)}."
            f"{look_alikes(without, known)}"
        )
    return _people(copy, groups, columns, names, own, _incomplete(copy, "social_counterfactuals", samples, partial))


def _copy(
    hub: HubSource, path: str | None, partial: bool, listing: str, file_column: str, of_list: Sequence[str], of_hub: Sequence[str]
) -> _Copy:
    folder = None if path is None else existing_folder(path)
    files = files_of(hub, folder)
    if folder is not None and not files:
        csv = folder / listing
        if not csv.is_file():
            raise CcsError(f"{folder} has no {listing}, and no {hub.files} of {hub.page}. Give the folder of one of them.")
        rows = read_csv(csv, (file_column, *of_list))
        names = [row.text(file_column) for row in rows]
        there = are_there(folder, names, str(csv), partial)
        kept = [row for row, is_there in zip(rows, there, strict=True) if is_there]
        images = ImageFiles(folder, [folder / row.text(file_column) for row in kept], range(len(kept)), STANDARD)
        return _Copy(images, {column: [row.text(column) for row in kept] for column in (file_column, *of_list)}, str(csv))
    dataset = parquet_rows(hub, files)
    for column in of_hub:
        check_columns(dataset, hub.columns[0], column)
    texts: dict[str, Sequence[str]] = {}
    for column in of_hub:
        named = names_of(dataset, column)
        texts[column] = [str(value) if named is None else named[value] for value in dataset[column]]
    return _Copy(ParquetImages(dataset, *hub.columns, STANDARD), texts, hub.page if path is None else str(path))


def _people(
    copy: _Copy,
    groups: Groups,
    columns: Mapping[str, str],
    occupations: tuple[str, ...],
    own: Sequence[str] | None,
    notes: tuple[str, ...],
) -> People:
    tasks = {attribute: tuple(dict.fromkeys(name for name in known.values() if name)) for attribute, known in groups.items()}
    found = {
        attribute: _numbers(copy.columns[columns[attribute]], known, tasks[attribute], f"{copy.where}: {columns[attribute]}")
        for attribute, known in groups.items()
    }
    numbers = {name: number for number, name in enumerate(occupations)}
    rows, targets = [], []
    for row, of_row in enumerate(zip(*found.values(), strict=True)):
        occupation = () if own is None else (numbers.get(own[row], NO_CLASS),)
        if any(number != NO_CLASS for number in of_row) and NO_CLASS not in occupation:
            rows.append(row)
            targets.append((*of_row, *occupation))
    for number, (attribute, names) in enumerate(tasks.items()):
        there = {target[number] for target in targets} - {NO_CLASS}
        if len(there) < 2:
            only = f"images of one group only, {names[there.pop()]}" if there else "no image of any group"
            raise CcsError(f"{copy.where} has {only}, of the attribute {attribute}. A skew compares at least two.")
    left = len(copy.images) - len(rows)
    notes += (f"{left:,} images that are of no group or occupation asked for are left out.",) if left else ()
    return People(copy.images, rows, tasks, targets, occupations, own is not None, notes)


def _numbers(labels: Sequence[str], known: Mapping[str, str | None], names: Sequence[str], where: str) -> list[int]:
    """The group of each label. Raises `CcsError` for labels that are not known, whatever their case."""
    group_of = {label.casefold(): NO_CLASS if name is None else names.index(name) for label, name in known.items()}
    unknown = sorted({label for label in labels if label.casefold() not in group_of})
    if unknown:
        expected = some(list(known), len(known))
        raise CcsError(f"{where} has labels that are none of {expected}: {some(unknown)}.{look_alikes(unknown, known)}")
    return [group_of[label.casefold()] for label in labels]


def _incomplete(copy: _Copy, data_set: str, samples: int, partial: bool) -> tuple[str, ...]:
    there = len(copy.images)
    if there == samples:
        return ()
    says = f"{copy.where} holds {there:,} images, {data_set} has {samples:,}"
    if there > samples or not partial:
        way_out = (
            "Give that set alone."
            if there > samples
            else "Complete the copy, or add dataset.partial=true to evaluate what is there."
        )
        raise CcsError(f"{says}. {way_out}")
    return (f"The copy of {data_set} is partial: {there:,} of {samples:,} images.",)


def _distinct(names: Sequence[str], where: str | None) -> tuple[str, ...]:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or not names:
        raise CcsError(
            f"dataset.occupations={where}: {f'{some(twice)} is there twice' if twice else 'the file names none'}. One a line."
        )
    return tuple(names)


def _in_name(file: str, where: str) -> str:
    parts = Path(file).stem.split("_")
    if len(parts) < -_OCCUPATION_FROM_END:
        raise CcsError(f"{where}: {file} names no occupation: expected is the fourth part from the end, between underscores.")
    return parts[_OCCUPATION_FROM_END]


def _after(caption: str, last: str) -> str:
    """What follows the second attribute in a caption: ``A photo of a Black female doctor`` shows a doctor."""
    _, attribute, occupation = caption.casefold().rpartition(f"{last.casefold()} ")
    if not attribute or not occupation.strip(" ."):
        raise CcsError(f"The caption {caption!r} names no occupation after {last!r}. It is of another version of the data set.")
    return occupation.strip(" .")
