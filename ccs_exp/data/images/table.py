"""Images that a table lists, with a label column for each task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ccs_exp.data.images.decoding import Decoding, decoder_of
from ccs_exp.data.images.labelled import ImageFiles
from ccs_exp.data.images.source import NO_CLASS
from ccs_exp.errors import CcsError
from ccs_exp.files import header_of, read_csv, some

FILE = "file"
_MOST_NUMBERS = 50  # distinct numbers that may be classes


class LabelTable(ImageFiles):
    """A CSV file: ``file`` (relative to the table's folder), and a column of class names for each task; an empty cell: no value.

    Classes are a column's values in the order of their names, underscores read as spaces. Raises `CcsError` for a table without label
    columns or rows, files that are not there or listed twice, and a column of one value, or of numbers that are no classes.
    """

    def __init__(self, path: str | Path, decoding: Decoding = "as_seen") -> None:
        self.path = Path(path).expanduser()
        columns = [name for name in header_of(self.path) if name != FILE]
        rows = read_csv(self.path, [FILE, *columns])
        if not columns or not rows:
            raise CcsError(f"{self.path} has no {'rows' if columns else 'label columns'}. Expected is a CSV file: file, one column a task.")
        files = [row.text(FILE) for row in rows]
        twice = [file for file, count in Counter(files).items() if count > 1]
        if twice:
            raise CcsError(f"{self.path}: listed more than once: {some(twice)}. An image has one row, with all its labels.")
        absent = [file for file in files if not (self.path.parent / file).is_file()]
        if absent:
            where = f"relative to {self.path.parent}"
            raise CcsError(f"{self.path}: {len(absent)} of {len(files)} files are not there, {where}: {some(absent)}.")
        values = {column: [row[column] for row in rows] for column in columns}
        classes = {column: self._classes(column, [value for value in found if value is not None]) for column, found in values.items()}
        self.tasks = {column: tuple(name.replace("_", " ") for name in names) for column, names in classes.items()}
        self.class_names = self.tasks[columns[0]]
        of_columns = [[NO_CLASS if value is None else classes[column].index(value) for value in values[column]] for column in columns]
        folder, targets = self.path.parent, list(zip(*of_columns, strict=True))
        super().__init__(folder, [folder / file for file in files], targets, decoder_of(decoding), files)
        missing = {column: found.count(None) for column, found in values.items()}
        self.notes = tuple(
            f"{count:,} of {len(rows):,} images have no value of {column} and are left out of that task."
            for column, count in missing.items()
            if count
        )

    def _classes(self, column: str, values: Sequence[str]) -> list[str]:
        names = sorted(set(values))
        if len(names) < 2:
            found = f"one value, {names[0]!r}" if names else "no value"
            raise CcsError(f"{self.path}: the column {column} has {found}. A task needs two classes or more: fill it, or take it out.")
        numbers = [_number(name) for name in names]
        if all(number is not None for number in numbers):
            whole = all(number is not None and number.is_integer() for number in numbers)
            if not whole or len(names) > _MOST_NUMBERS or 2 * len(names) > len(values):
                raise CcsError(
                    f"{self.path}: the column {column} holds {len(names)} different numbers, such as {some(names)}, which are no classes. "
                    "Write the names of classes, or take the column out."
                )
        return names


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
