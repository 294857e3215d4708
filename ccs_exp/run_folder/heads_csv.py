"""``heads.csv`` as a table, checked: a run's own, or one that is given as scores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ccs_exp.errors import CcsError
from ccs_exp.files import read_csv, typed_table
from ccs_exp.run_folder.columns import CCS_CLASSES, HEADS_COLUMNS, VERDICT_COLUMNS, VERDICTS

if TYPE_CHECKING:
    import pandas


def read_heads_csv(path: str | Path) -> pandas.DataFrame:
    """The rows of a ``heads.csv``; what is absent is None. Raises `CcsError` naming what is missing or cannot be."""
    path = Path(path)
    rows = read_csv(path, HEADS_COLUMNS)
    for number, row in enumerate(rows, 1):
        for column, allowed in [("ccs_class", CCS_CLASSES), *((column, VERDICTS) for column in VERDICT_COLUMNS)]:
            if row[column] is not None and row[column] not in allowed:
                raise CcsError(f"{path}, row {number}: {column} is {row[column]!r}. It is one of {', '.join(allowed)}, or empty.")
    table = typed_table(path, rows, HEADS_COLUMNS, {"layer": int, "ccs": int, "explained_variance": float})
    for number, ccs in enumerate(table["ccs"], 1):
        if ccs is not None and not 0 <= ccs <= 5:
            raise CcsError(f"{path}, row {number}: ccs is {ccs}. It is a whole number from 0 to 5, or empty.")
    return table
