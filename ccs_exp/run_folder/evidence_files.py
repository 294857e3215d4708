"""The tables of a run's evidence, whose columns are those of the measures in `ccs_exp.evidence`."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from ccs_exp.errors import CcsError
from ccs_exp.files import read_csv, read_lines

if TYPE_CHECKING:
    import pandas


def read_evidence(
    folder: Path, name: str, texts: Collection[str] = (), numbers: Collection[str] = ()
) -> pandas.DataFrame | None:
    """Columns of numbers as numbers, what is absent as NaN or None; None for a file that is not there.

    Raises `CcsError` where it lacks columns of `texts` and `numbers`, or holds something else for a number.
    """
    import pandas

    path = folder / name
    if not path.exists():
        return None
    columns = (read_lines(path) or [""])[0].split(",")
    missing = [column for column in (*texts, *numbers) if column not in columns]
    if missing:
        raise CcsError(f"{path} lacks the columns {', '.join(missing)}. Run the job again.")
    table = pandas.DataFrame(read_csv(path, columns), columns=columns, dtype=object)
    for column in columns:
        found = pandas.to_numeric(table[column], errors="coerce")
        if (found.isna() == table[column].isna()).all():
            table[column] = found
        elif column in numbers:
            raise CcsError(f"{path}: {column} holds what is no number. Run the job again.")
    return table
