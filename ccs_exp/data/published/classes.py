"""The classes of a published data set: their folder names and the names that prompts use, in the set's own order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ccs_exp.clip.imagenet import imagenet_names
from ccs_exp.errors import CcsError
from ccs_exp.files import ASSETS, look_alikes, read_csv, read_lines, some

_TABLES = ASSETS / "classes"
NAMES = ("usual", "folders", "paper", "readme")
_README = "README.txt"
_LINE = re.compile(r"(n\d{8})\s+(\S.*)")


@dataclass(frozen=True)
class ClassTable:
    """`folders[i]` is how class ``i`` is called on disk, `names[i]` in prompts, `also[i]` (or "") where a publisher spells it otherwise.

    `paper[i]`: the name in the prompts of the paper's authors, or "" where it is the usual one.
    """

    folders: tuple[str, ...]
    names: tuple[str, ...]
    also: tuple[str, ...]
    paper: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def _by_name(self) -> dict[str, int]:
        spellings = (self.folders, self.names, self.also)
        return {_folded(name): index for column in spellings for index, name in enumerate(column) if name}

    def index(self, name: str) -> int | None:
        """The class of that folder or name, whatever its case and whether words are joined by spaces, hyphens, slashes or underscores."""
        return self._by_name.get(_folded(name))

    def order_of(self, names: Sequence[str], where: str) -> list[int]:
        """For labels that number the classes as in `names`: the class of each. Raises `CcsError` unless each class is there once."""
        if [_folded(name) for name in names] == [_folded(name) for name in self.names]:
            return list(range(len(self)))  # ImageNet has two missiles, and two pairs of sunglasses
        order = [index for index in map(self.index, names) if index is not None]
        unknown = [name for name in names if self.index(name) is None]
        missing = sorted(set(range(len(self))) - set(order))
        if unknown or missing or len(names) != len(self):
            raise CcsError(
                f"{where} names {len(names)} classes, expected are {len(self)}. "
                + " ".join(
                    f"{what}: {some(what_names)}."
                    for what, what_names in (("Unknown", unknown), ("Missing", [self.names[index] for index in missing]))
                    if what_names
                )
                + look_alikes(unknown, self.names)
            )
        return order


def class_table(name: str) -> ClassTable:
    """The table ``assets/classes/<name>.csv`` of this package, or ImageNet's own, whose folders may be named by number too."""
    if name == "imagenet1k":
        known = imagenet_names()
        return ClassTable(tuple(known), tuple(known.values()), tuple(map(str, range(len(known)))), ("",) * len(known))
    rows = read_csv(_TABLES / f"{name}.csv", ("folder", "name", "also"), ("paper",))
    return ClassTable(*(tuple(row[column] or "" for row in rows) for column in ("folder", "name", "also", "paper")))


def prompt_names(which: str, table: ClassTable, path: str | None) -> tuple[tuple[str, ...], list[str]]:
    """The name of each class, and what a reader must be told.

    Args:
        which: ``usual``; ``folders``: the folders' own, with their underscores; ``paper``: those of the authors' list; ``readme``: those
            that the README.txt of the distributed archive gives each WordNet id, underscores read as spaces.
        path: of the local copy, in which that README.txt is looked for; without it the usual names are used, and the reader told.

    Raises `CcsError` for another `which`.
    """
    if which not in NAMES:
        raise CcsError(f"dataset.source.names={which}: choose one of {', '.join(NAMES)}.")
    if which == "folders":
        return table.folders, []
    if which == "paper":
        return tuple(theirs or usual for theirs, usual in zip(table.paper, table.names, strict=True)), []
    readme = Path(path, _README).expanduser() if path else None
    if which == "readme" and readme and readme.is_file():
        matches = (_LINE.fullmatch(line.strip()) for line in read_lines(readme))
        given = {match[1]: " ".join(match[2].replace("_", " ").split()) for match in matches if match}
        if all(folder in given for folder in table.folders):
            return tuple(given[folder] for folder in table.folders), []
    where = path or "the hub"
    told = f"protocol=paper takes class names from the archive's {_README}; {where} has none for every class: they are the usual ones."
    return table.names, [told] if which == "readme" else []


def _folded(name: str) -> str:
    return re.sub(r"[\s_/-]+", " ", name).strip().casefold()


def targets_of(labels: Sequence[int | str | None], names: Sequence[str] | None, table: ClassTable, where: str) -> list[int]:
    """The class of each label: by its name, or by its number in `names` (None: numbered as the table).

    Raises `CcsError` for labels that are none of the classes, and for `names` that are not those of the table.
    """
    strange = next((label for label in labels if label is not None and not isinstance(label, int | str)), None)
    if strange is not None:
        raise CcsError(f"{where} has labels like {str(strange)[:40]}, expected are names or whole numbers.")
    order: Sequence[int] = range(len(table)) if names is None else table.order_of(names, where)
    by_name = any(isinstance(label, str) for label in labels)

    def target(label: int | str | None) -> int | None:
        if by_name or isinstance(label, str):
            return table.index(str(label))
        return order[label] if label is not None and 0 <= label < len(order) else None

    classes = {label: target(label) for label in set(labels)}
    unknown = sorted(str(label) for label, index in classes.items() if index is None)
    if unknown:
        raise CcsError(
            f"{where} has labels that are none of the {len(table)} classes: {some(unknown)}.{look_alikes(unknown, table.names)}"
        )
    known = {label: index for label, index in classes.items() if index is not None}
    return [known[label] for label in labels]
