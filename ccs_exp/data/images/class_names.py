"""The names that prompts use for folders of classes: WordNet ids translated, words parted, codes told."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from ccs_exp.clip.imagenet import imagenet_names
from ccs_exp.errors import CcsError
from ccs_exp.files import look_alikes, read_csv, some

_WORDNET_ID = re.compile(r"n\d{8}")
_CAMEL_CASE = re.compile(r"[A-Za-z][a-z]{2,}(?:[A-Z][a-z]{2,})+")
_WORD = re.compile(r"[^\W\d_]+")
_VOWEL = re.compile(r"[aeiouyAEIOUY]|[^\x00-\x7f]")
_SAYS_NOTHING = frozenset({"class", "cls", "label", "category", "cat", "id", "folder", "group", "type", "set"})


def names_of_folders(folders: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The name of each class folder, and what a reader must be told: names that were translated, parted, or look like codes.

    Underscores are spaces. ``n01855672`` is one of ImageNet's 1,000 WordNet ids, whose names are those that OpenAI gave them;
    ``AnnualCrop`` and ``annualCrop`` are "annual crop".
    """
    translated = {folder: imagenet_names()[folder] for folder in folders if _is_known_id(folder)}
    parted = {folder: _parted(folder) for folder in folders if _CAMEL_CASE.fullmatch(folder)}
    names = [translated.get(folder) or parted.get(folder) or folder.replace("_", " ") for folder in folders]
    codes = [name for name in names if _looks_like_a_code(name)]
    notes = [
        f"Class folders are read as words: {some(f'{folder} as {name!r}' for folder, name in read.items())}."
        for read in (translated, parted)
        if read
    ]
    if codes:
        notes.append(
            f"Class names that look like codes, of which prompts can make nothing: {some(codes)}. Name the classes with "
            "dataset.class_names=FILE, a CSV file with the columns folder,name."
        )
    return tuple(names), tuple(notes)


def names_in_file(file: str | Path, folders: Sequence[str]) -> tuple[str, ...]:
    """The name of each class folder in a CSV file with the columns ``folder,name``.

    Raises `CcsError` for folders that the file does not name, or names twice, and for folders that are not there.
    """
    path = Path(file).expanduser()
    given: dict[str, str] = {}
    for row in read_csv(path, ("folder", "name")):
        folder = row.text("folder")
        if folder in given:
            raise CcsError(f"{row.where}: the folder {folder} is named twice. Keep one line for each.")
        given[folder] = row.text("name").strip()
    _same(path, folders, given)
    return tuple(given[folder] for folder in folders)


def _same(path: Path, folders: Sequence[str], given: Mapping[str, str]) -> None:
    unnamed = [folder for folder in folders if folder not in given]
    absent = [folder for folder in given if folder not in folders]
    if unnamed or absent:
        wrong = [f"no name for {some(unnamed)}"] if unnamed else []
        wrong += [f"names for folders that are not there: {some(absent)}"] if absent else []
        raise CcsError(f"dataset.class_names={path} has {'; '.join(wrong)}.{look_alikes(unnamed, absent)}")


def _is_known_id(folder: str) -> bool:
    return bool(_WORDNET_ID.fullmatch(folder)) and folder in imagenet_names()


def _parted(folder: str) -> str:
    return " ".join(re.findall("[A-Za-z][a-z]+", folder)).lower()


def _looks_like_a_code(name: str) -> bool:
    """Whether a name has no word: of its runs of letters none has a vowel, or, beside digits, three letters."""
    least = 3 if re.search(r"\d", name) else 2
    words = [word for word in _WORD.findall(name) if len(word) >= least or not word.isascii()]
    telling = [word for word in words if _VOWEL.search(word) and (least == 2 or word.casefold() not in _SAYS_NOTHING)]
    return not telling
