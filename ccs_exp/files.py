"""Whole files: written aside and renamed into place, with the same bytes for the same content."""

from __future__ import annotations

import csv
import errno
import math
import os
import re
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ccs_exp.errors import CcsError

if TYPE_CHECKING:
    import pandas

ASSETS = Path(__file__).resolve().parent / "assets"  # what the package brings
DECIMALS = 6  # of every number in a run folder

_HOST = re.sub(r"\W", "-", socket.gethostname())[:40]


def write_whole(path: Path, content: bytes, choose: str = "hydra.run.dir=DIR") -> None:
    """Write `content` so that, whatever happens, `path` is either the old file or the whole new one.

    Raises `CcsError`, and leaves nothing behind, where the folder cannot be written or the disk is full; `choose` says in its
    message how another folder is named.
    """
    aside = aside_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(aside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise CcsError(
            f"{path.name} could not be written to the folder {path.parent}: {error.strerror or error}. Free some space there, "
            f"or choose a folder that you may write to with {choose}."
        ) from error
    finally:
        _remove(aside)


def aside_of(path: Path) -> Path:
    """Where this process writes what is to become `path`; `abandoned_parts` knows it again."""
    return path.with_name(f".{path.name}.{_HOST}.{os.getpid()}.part")


def abandoned_parts(folder: Path) -> Iterator[Path]:
    """What processes of this machine that are gone were writing below `folder`."""
    for path in folder.rglob(f".*.{_HOST}.*.part"):
        writer = path.name.split(".")[-2]
        if writer.isdecimal() and not _is_alive(int(writer)):
            yield path


def rounded(value: Any) -> Any:
    """`value`, its floats rounded to the decimals that files have; NaN is an absence, so it becomes None."""
    if isinstance(value, Mapping):
        return {str(key): rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [rounded(item) for item in value]
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, float):
        if math.isinf(value):
            raise ValueError("a run folder has no place for infinite numbers")
        return None if math.isnan(value) else round(value, DECIMALS) + 0.0  # + 0.0 turns -0.0 into 0.0
    return value


def clean(text: str) -> str:
    """`text` as it can be encoded: lone surrogates, which undecodable file names bring, are written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def csv_bytes(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> bytes:
    """UTF-8 CSV with a header; None is an empty cell, floats have six decimals, texts are as in `to_cell`.

    Raises ValueError on other columns.
    """
    lines = [",".join(columns)]
    for row in rows:
        check_columns(row, columns)
        lines.append(",".join(_quoted(_cell(row[column])) for column in columns))
    return "".join(line + "\n" for line in lines).encode("utf-8")


def check_columns(row: Mapping[str, Any], columns: Sequence[str]) -> None:
    """Raise ValueError unless the row has exactly these columns."""
    if set(row) != set(columns):
        missing, unknown = sorted(set(columns) - set(row)), sorted(set(row) - set(columns))
        raise ValueError(f"a row lacks the columns {missing} and has the unknown columns {unknown}")


def read_csv(path: Path, columns: Sequence[str]) -> list[dict[str, str | None]]:
    """The rows of a CSV file as text, empty cells as None. Raises `CcsError` for what is not such a file."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            missing = [column for column in columns if column not in header]
            if missing:
                raise CcsError(f"{path} lacks the columns {', '.join(missing)}. Needed are: {', '.join(columns)}.")
            at = {column: header.index(column) for column in columns}
            rows = []
            for cells in reader:
                if not cells:
                    continue
                if len(cells) != len(header):
                    raise CcsError(f"{path}, line {reader.line_num}: {len(cells)} cells, but the header names {len(header)}.")
                rows.append({column: from_cell(cells[index]) or None for column, index in at.items()})
            return rows
    except OSError as error:
        raise CcsError(f"{path} cannot be read: {error.strerror}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise CcsError(f"{path} is not a CSV file in UTF-8: {error}.") from error


def typed_table(path: Path, rows: list[dict], columns: tuple[str, ...], numbers: Mapping[str, type]) -> pandas.DataFrame:
    """Rows of text as a table of Python values, in which None stays None. Raises `CcsError` for what is no number but must be."""
    import pandas

    for number, row in enumerate(rows, 1):
        for column, kind in numbers.items():
            try:
                row[column] = None if row[column] is None else _number(row[column], kind)
            except (ValueError, OverflowError) as error:
                raise CcsError(f"{path}, row {number}: {column} is {row[column]!r}, which is no number as needed.") from error
    return pandas.DataFrame(rows, columns=list(columns), dtype=object)


def _number(text: str, kind: type) -> int | float:
    value = float(text)
    if not math.isfinite(value) or (kind is int and value != int(value)):
        raise ValueError(text)
    return kind(value)


def _cell(value: Any) -> str:
    value = rounded(value.item() if hasattr(value, "item") else value)  # .item(): numpy's and torch's numbers
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.{DECIMALS}f}"
    return str(value) if isinstance(value, int) else to_cell(str(value))


def _quoted(cell: str) -> str:
    # csv.writer leaves a lone carriage return unquoted, which no reader then takes for text
    return '"' + cell.replace('"', '""') + '"' if any(sign in cell for sign in ',"\r\n') else cell


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # another user's
    return True


def _sync_folder(folder: Path) -> None:
    """A name that is not on disk is lost with the power, whatever the file's content."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that keep no folder to be written
            raise
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return  # the error that is on its way says more


CONTROL = r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"  # what a terminal obeys; neither tab nor line feed
_BEFORE_CONTROL = re.compile(rf"(\\*)({CONTROL})|(\\+)(?=u([0-9a-f]{{4}}))")
_ESCAPED = re.compile(r"(\\+)u([0-9a-f]{4})")
_FORMULA = re.compile(r"'*[=+\-@\t\n\uff1d\uff0b\uff0d\uff20]")  # and the wide forms, which some spreadsheets take for the same


def to_cell(text: str) -> str:
    """A text as a cell of a file that people open: no formula for a spreadsheet, nothing that a terminal obeys. `from_cell` reads it.

    >>> to_cell("=1+1"), to_cell("-0.5 or so"), to_cell("'tis"), to_cell("a\\x1b[2Jb")
    ("'=1+1", "'-0.5 or so", "'tis", 'a\\\\u001b[2Jb')
    """

    def escaped(match: re.Match[str]) -> str:
        if match[2] is not None:
            return "\\" * (2 * len(match[1]) + 1) + f"u{ord(match[2]):04x}"
        return match[3] * (2 if _is_control(match[4]) else 1)

    text = _BEFORE_CONTROL.sub(escaped, text)
    return f"'{text}" if _FORMULA.match(text) else text


def from_cell(cell: str) -> str:
    """The text that `to_cell` was given; cells that it cannot have written are texts as they are."""

    def original(match: re.Match[str]) -> str:
        if not _is_control(match[2]):
            return match[0]
        half, odd = divmod(len(match[1]), 2)
        return "\\" * half + (chr(int(match[2], 16)) if odd else f"u{match[2]}")

    cell = cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
    return _ESCAPED.sub(original, cell)


def _is_control(digits: str) -> bool:
    return re.fullmatch(CONTROL, chr(int(digits, 16))) is not None
