"""The files of a run's evidence (`EVIDENCE_FILES`): tables whose columns are those of the measures in `ccs_exp.evidence`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ccs_exp.files import csv_bytes, read_csv, read_lines, write_whole
from ccs_exp.run_folder.columns import EVIDENCE_FILES

if TYPE_CHECKING:
    import pandas


def write_evidence(folder: Path, name: str, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Raises ValueError for another name than those of `EVIDENCE_FILES`, and on wrong columns."""
    if name not in EVIDENCE_FILES:
        raise ValueError(f"{name} is no file of a run folder")
    write_whole(folder / name, csv_bytes(rows, columns))


def read_evidence(folder: Path, name: str) -> pandas.DataFrame | None:
    """Columns of numbers as numbers, what is absent as NaN or None; None for a file that is not there."""
    import pandas

    path = folder / name
    if not path.exists():
        return None
    columns = read_lines(path)[0].split(",")
    table = pandas.DataFrame(read_csv(path, columns), columns=columns, dtype=object)
    for column in columns:
        numbers = pandas.to_numeric(table[column], errors="coerce")
        if (numbers.isna() == table[column].isna()).all():
            table[column] = numbers
    return table
