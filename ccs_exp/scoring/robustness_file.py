"""``robustness.csv`` of a run folder: every head judged once more under another label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

from ccs_exp.errors import CcsError
from ccs_exp.files import csv_bytes, read_csv, write_whole
from ccs_exp.heads import DESCRIPTIONS_PER_HEAD, Head
from ccs_exp.run_folder.columns import VERDICT_COLUMNS
from ccs_exp.scoring.ccs import CcsClass
from ccs_exp.scoring.judges.judge import Verdict
from ccs_exp.scoring.robustness import Kind, Rescored

FILE = "robustness.csv"
COLUMNS = ("kind", "draw", "head", "label", "label_of", "ccs", "ccs_class", *VERDICT_COLUMNS)


def write_rescored(run_dir: Path, rescored: Sequence[Rescored]) -> None:
    rows = [
        {"kind": item.kind, "draw": item.draw, "head": str(item.head), "label": item.label}
        | {"label_of": item.label_of and str(item.label_of), "ccs": item.ccs, "ccs_class": item.ccs_class}
        | {column: str(verdict) for column, verdict in zip(VERDICT_COLUMNS, item.verdicts, strict=True)}
        for item in rescored
    ]
    write_whole(run_dir / FILE, csv_bytes(rows, COLUMNS))


def read_rescored(run_dir: Path) -> tuple[Rescored, ...]:
    """The rows, none where the file is absent. Raises `CcsError` where it is damaged, naming the row."""
    path = run_dir / FILE
    if not path.exists():
        return ()
    return tuple(_rescored(row, f"{path}, row {number}") for number, row in enumerate(read_csv(path, COLUMNS), 1))


def _rescored(row: Mapping[str, str | None], place: str) -> Rescored:
    kind = next((kind for kind in get_args(Kind) if kind == row["kind"]), None)
    ccs_class = next((name for name in get_args(CcsClass) if name == row["ccs_class"]), None)
    verdicts = [row[column] or "" for column in VERDICT_COLUMNS]
    draw, ccs = row["draw"] or "", row["ccs"] or "0"
    good = draw.isdecimal() and ccs.isdecimal() and int(ccs) <= DESCRIPTIONS_PER_HEAD and set(verdicts) <= set(Verdict)
    if not good or kind is None or ccs_class != row["ccs_class"]:
        raise CcsError(f"{place} is damaged. Run the job again.")
    return Rescored(
        kind,
        int(draw),
        Head.parse(row["head"] or ""),
        row["label"],
        Head.parse(row["label_of"]) if row["label_of"] else None,
        tuple(map(Verdict, verdicts)),
        int(ccs) if row["ccs"] else None,
        ccs_class,
    )
