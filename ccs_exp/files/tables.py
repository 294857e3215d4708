"""Tables that people write: CSV files, read row by row with their place."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ccs_exp.errors import CcsError
from ccs_exp.files.cells import from_cell
from ccs_exp.files.likeness import look_alikes
from ccs_exp.files.text import decoded

if TYPE_CHECKING:
    import pandas


class Row(dict[str, str | None]):
    """The cells of one row of a table by column, empty ones None; `where` names file and line."""

    def __init__(self, cells: Mapping[str, str | None], where: str) -> None:
        super().__init__(cells)
        self.where = where

    def text(self, column: str) -> str:
        """The cell's text. Raises `CcsError` where it is empty."""
        value = self[column]
        if value is None:
            raise CcsError(f"{self.where}: {column} is empty.")
        return value


def read_csv(path: Path, columns: Sequence[str], optional: Sequence[str] = ()) -> list[Row]:
    """The rows of a CSV file: its `columns`, which must be there, and the `optional` ones, None where they are not.

    Raises `CcsError`, with file and line, for a column that is missing or there twice, a row of another length than the header, and
    what is no CSV file in UTF-8.
    """
    return table_rows(path, decoded(path), columns, optional)


def header_of(path: Path) -> list[str]:
    """The names of a CSV file's columns, those without a name left out; as `read_csv`, whose errors these are."""
    _, header = next(_cells(path, decoded(path)), (1, []))
    return [name for name in header if name]


def table_rows(path: Path, text: str, columns: Sequence[str], optional: Sequence[str] = ()) -> list[Row]:
    """The rows of `text`, which is that of the CSV file `path`, as `read_csv` gives them."""
    lines = _cells(path, text)
    _, header = next(lines, (1, []))
    missing = [column for column in columns if column not in header]
    if missing:
        raise CcsError(
            f"{path} lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}. Needed are: {', '.join(columns)}. "
            f"Its first line is {','.join(header)[:200]!r}; cells are separated by commas.{look_alikes(missing, header)}"
        )
    twice = [column for column in header if column and header.count(column) > 1]  # spreadsheets leave columns without a name
    if twice:
        raise CcsError(f"{path}, line 1: the column {twice[0]!r} is there {header.count(twice[0])} times. Keep one.")
    at = {column: header.index(column) for column in (*columns, *optional) if column in header}
    rows = []
    for number, cells in lines:
        where = f"{path}, line {number}"
        if len(cells) != len(header):
            raise CcsError(
                f"{where}: {len(cells)} cells, but the header names {len(header)}. A text with a comma in it stands in quotation marks."
            )
        rows.append(Row(dict.fromkeys(optional) | {column: from_cell(cells[index]) or None for column, index in at.items()}, where))
    return rows


def typed_table(
    path: Path, rows: Sequence[Mapping[str, str | None]], columns: tuple[str, ...], numbers: Mapping[str, type]
) -> pandas.DataFrame:
    """Rows of text as a table of Python values, in which None stays None. Raises `CcsError` for what is no number but must be."""
    import pandas

    table: list[dict[str, Any]] = [dict(row) for row in rows]
    for number, row in enumerate(table, 1):
        for column, kind in numbers.items():
            try:
                row[column] = None if row[column] is None else _number(row[column], kind)
            except (ValueError, OverflowError) as error:
                raise CcsError(f"{path}, row {number}: {column} is {row[column]!r}, which is no number as needed.") from error
    return pandas.DataFrame(table, columns=list(columns), dtype=object)


def _cells(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """The number of the first line of each row that is not empty, and its cells."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        for cells in reader:
            if cells:
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise CcsError(
            f"{path}, line {line}: no row of a CSV file ({error}). A text with quotation marks stands in such marks, its own doubled."
        ) from error


def _number(text: str, kind: type) -> int | float:
    value = float(text)
    if not math.isfinite(value) or (kind is int and value != int(value)):
        raise ValueError(text)
    return kind(value)
