"""Intruder items for people: five descriptions, four of a head and one of another, as a sheet to fill and a key beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ccs_exp.agreement.sheet import key_path
from ccs_exp.errors import CcsError
from ccs_exp.evidence.intruder import Item, intruder_items
from ccs_exp.files import csv_bytes, write_whole
from ccs_exp.heads import Head
from ccs_exp.run_folder.columns import DESCRIPTION_COLUMNS
from ccs_exp.run_folder.folder import RunFolder
from ccs_exp.scoring.ccs import HeadScore

SHEET_COLUMNS = ("item", *(f"text_{number}" for number in range(1, len(DESCRIPTION_COLUMNS) + 1)), "choice")
KEY_COLUMNS = ("item", "run", "head", "intruder_of", "intruder")


def draw_intruders(run_dirs: Sequence[str], per_run: int, seed: int) -> list[tuple[str, Item]]:
    """`per_run` items of each run's described heads, of all there are where they are fewer, shuffled; each with its run."""
    if per_run < 1:
        raise CcsError(f"--per-run {per_run}: give a number of at least 1.")
    drawn: list[tuple[str, Item]] = []
    rng = np.random.default_rng(seed)
    for run_dir in run_dirs:
        rows = RunFolder(run_dir).read_heads().to_dict("records")
        heads = [
            HeadScore(Head.parse(row["head"]), row["label"], None, None, tuple(row[column] for column in DESCRIPTION_COLUMNS))
            for row in rows
            if all(row[column] is not None for column in DESCRIPTION_COLUMNS)
        ]
        items = intruder_items(heads, seed=seed)
        if not items:
            raise CcsError(f"{run_dir} has no two heads with descriptions of different concepts, so none has an intruder.")
        drawn += [(run_dir, items[place]) for place in rng.permutation(len(items))[:per_run]]
    return [drawn[place] for place in rng.permutation(len(drawn))]


def write_intruders(path: Path, drawn: Sequence[tuple[str, Item]]) -> None:
    """The sheet, in whose column ``choice`` a person writes 1 to 5, and its key. Raises `CcsError` where a sheet is there already."""
    if path.suffix.lower() != ".csv" or path.exists():
        raise CcsError(f"--out {path}: give a new file that ends in .csv; a sheet that is there may have been filled already.")
    sheet, key = [], []
    for number, (run, item) in enumerate(drawn, 1):
        sheet.append(dict(zip(SHEET_COLUMNS, (number, *item.texts, None), strict=True)))
        key.append(dict(zip(KEY_COLUMNS, (number, run, str(item.head), str(item.intruder_of), item.place + 1), strict=True)))
    write_whole(key_path(path), csv_bytes(key, KEY_COLUMNS))
    write_whole(path, csv_bytes(sheet, SHEET_COLUMNS))
