"""``robustness.csv`` of a run folder: every head judged once more under another label."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ccs_exp.errors import CcsError
from ccs_exp.files import csv_bytes, read_csv, write_whole
from ccs_exp.heads import Head
from ccs_exp.run_folder.columns import CCS_CLASSES, VERDICT_COLUMNS, VERDICTS
from ccs_exp.scoring.judges.judge import Verdict
from ccs_exp.scoring.robustness import Rescored

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
    rescored = []
    for number, row in enumerate(read_csv(path, COLUMNS), 1):
        verdicts = [row[column] for column in VERDICT_COLUMNS]
        numbers = (row["draw"] or "", row["ccs"] or "0")
        good = (
            row["kind"] in ("relabel", "shuffled_labels") and all(text.isdecimal() for text in numbers) and int(numbers[1]) <= 5
        )
        if not good or not set(verdicts) <= set(VERDICTS) or row["ccs_class"] not in (None, *CCS_CLASSES):
            raise CcsError(f"{path}, row {number} is damaged. Run the job again.")
        rescored.append(
            Rescored(
                *(row["kind"], int(row["draw"]), Head.parse(row["head"]), row["label"]),
                Head.parse(row["label_of"]) if row["label_of"] else None,
                tuple(map(Verdict, verdicts)),
                int(row["ccs"]) if row["ccs"] else None,
                row["ccs_class"],
            )
        )
    return tuple(rescored)
