"""``robustness.csv``: every head judged once more under another label."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ccs_exp.errors import CcsError
from ccs_exp.files import read_csv
from ccs_exp.heads import DESCRIPTIONS_PER_HEAD, Head
from ccs_exp.run_folder.columns import CCS_CLASSES, TABLES, VERDICT_COLUMNS, VERDICTS

FILE = "robustness.csv"
KINDS = ("relabel", "shuffled_labels")


@dataclass(frozen=True)
class Rescored:
    """A row: of which kind (`KINDS`) and draw it is, the head's name, the label that it had there, and the score that came of it."""

    kind: str
    draw: int
    head: str
    label: str | None
    ccs: int | None
    ccs_class: str | None


def read_rescored(run_dir: Path) -> tuple[Rescored, ...]:
    """The rows, none where the file is absent. Raises `CcsError` where it is damaged, naming the row."""
    path = run_dir / FILE
    if not path.exists():
        return ()
    rescored = []
    for number, row in enumerate(read_csv(path, TABLES[FILE]), 1):
        draw, ccs = row["draw"] or "", row["ccs"]
        whole = draw.isdecimal() and len(draw) < 9 and ccs in (None, *map(str, range(DESCRIPTIONS_PER_HEAD + 1)))
        known = row["kind"] in KINDS and row["ccs_class"] in (None, *CCS_CLASSES)
        if not whole or not known or not {row[column] for column in VERDICT_COLUMNS} <= set(VERDICTS):
            raise CcsError(f"{path}, row {number} is damaged. Run the job again.")
        head = str(Head.parse(row["head"] or ""))
        rescored.append(Rescored(str(row["kind"]), int(draw), head, row["label"], None if ccs is None else int(ccs), row["ccs_class"]))
    return tuple(rescored)
