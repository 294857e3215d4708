"""Whole files: written aside and renamed into place, with the same bytes for the same content."""

from __future__ import annotations

import errno
import math
import os
import re
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ccs_exp.errors import CcsError
from ccs_exp.files.cells import to_cell

ASSETS = Path(__file__).resolve().parents[1] / "assets"  # what the package brings
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
        with suppress(OSError):  # the error that is on its way says more
            aside.unlink(missing_ok=True)


def aside_of(path: Path) -> Path:
    """Where this process writes what is to become `path`; `abandoned_parts` knows it again."""
    return path.with_name(f".{path.name}.{_HOST}.{os.getpid()}.part")


def abandoned_parts(folder: Path) -> Iterator[Path]:
    """What processes of this machine that are gone were writing below `folder`."""
    import psutil

    for path in folder.rglob(f".*.{_HOST}.*.part"):
        writer = path.name.split(".")[-2]
        if writer.isdecimal() and not psutil.pid_exists(int(writer)):
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
    """`text` as files can hold it: lone surrogates, which undecodable file names bring, and NUL are written as escapes."""
    return _encodable(text.replace("\0", r"\x00"))


def _encodable(text: str) -> str:
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


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return to_cell(_encodable(value))
    value = rounded(value.item() if hasattr(value, "item") else value)  # .item(): numpy's and torch's numbers
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.{DECIMALS}f}"
    return str(value) if isinstance(value, int) else to_cell(str(value))


def _quoted(cell: str) -> str:
    # csv.writer leaves a lone carriage return unquoted, which no reader then takes for text
    return '"' + cell.replace('"', '""') + '"' if any(sign in cell for sign in ',"\r\n') else cell


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
