"""The classes of a published data set: their folder names and the names that prompts use, in the set's own order."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ccs_exp.errors import CcsError
from ccs_exp.files import ASSETS

_TABLES = ASSETS / "classes"


@dataclass(frozen=True)
class ClassTable:
    """`folders[i]` is how class ``i`` is called on disk, `names[i]` in prompts, `also[i]` (or "") where a publisher spells it otherwise."""

    folders: tuple[str, ...]
    names: tuple[str, ...]
    also: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def _by_name(self) -> dict[str, int]:
        spellings = (self.folders, self.names, self.also)
        return {_folded(name): index for column in spellings for index, name in enumerate(column) if name}

    def index(self, name: str) -> int | None:
        """The class of that folder or name, whatever its case and whether words are joined by spaces, hyphens or underscores."""
        return self._by_name.get(_folded(name))

    def order_of(self, names: Sequence[str], where: str) -> list[int]:
        """For labels that number the classes as in `names`: the class of each. Raises `CcsError` unless each class is there once."""
        order = [self.index(name) for name in names]
        unknown = [name for name, index in zip(names, order, strict=True) if index is None]
        missing = sorted(set(range(len(self))) - set(order))
        if unknown or missing or len(order) != len(self):
            raise CcsError(
                f"{where} names {len(names)} classes, expected are {len(self)}. "
                + " ".join(
                    f"{what}: {some(what_names)}."
                    for what, what_names in (("Unknown", unknown), ("Missing", [self.names[index] for index in missing]))
                    if what_names
                )
            )
        return order


def class_table(name: str) -> ClassTable:
    """The table ``assets/classes/<name>.csv`` of this package."""
    with open(_TABLES / f"{name}.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return ClassTable(*(tuple(row[column] for row in rows) for column in ("folder", "name", "also")))


def text_lines(file: Path) -> list[str]:
    """The lines of a text file in UTF-8, empty ones left out. Raises `CcsError` for what is none."""
    try:
        return [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise CcsError(f"{file} cannot be read as lines of text in UTF-8 ({error}).") from error


def some(items: Iterable[object], shown: int = 5) -> str:
    """The first few of `items`, and how many more there are."""
    items = [str(item) for item in items]
    rest = len(items) - shown
    return ", ".join(items[:shown]) + (f" and {rest:,} more" if rest > 0 else "")


def _folded(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name).strip().casefold()


def targets_of(labels: Sequence[int | str | None], names: Sequence[str] | None, table: ClassTable, where: str) -> list[int]:
    """The class of each label: by its name, or by its number in `names` (None: numbered as the table).

    Raises `CcsError` for labels that are none of the classes, and for `names` that are not those of the table.
    """
    strange = next((label for label in labels if label is not None and not isinstance(label, int | str)), None)
    if strange is not None:
        raise CcsError(f"{where} has labels like {str(strange)[:40]}, expected are names or whole numbers.")
    if any(isinstance(label, str) for label in labels):
        classes = {label: table.index(str(label)) for label in set(labels)}
    else:
        order = range(len(table)) if names is None else table.order_of(names, where)
        classes = {label: order[label] if label is not None and 0 <= label < len(order) else None for label in set(labels)}
    unknown = sorted(str(label) for label, index in classes.items() if index is None)
    if unknown:
        raise CcsError(f"{where} has labels that are none of the {len(table)} classes: {some(unknown)}.")
    return [classes[label] for label in labels]
