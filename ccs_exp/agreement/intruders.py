"""Intruder items for people: five descriptions, four of a head and one of another, as a sheet to fill and a key beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ccs_exp.agreement.sheet import key_path, write
from ccs_exp.errors import CcsError
from ccs_exp.evidence.intruder import Item, intruder_items
from ccs_exp.files import csv_bytes
from ccs_exp.run_folder.columns import DESCRIPTION_COLUMNS
from ccs_exp.scoring.published import scores_from_csv

TEXTS = tuple(f"text_{number}" for number in range(1, len(DESCRIPTION_COLUMNS) + 1))
SHEET_COLUMNS = ("item", *TEXTS, "choice")
KEY_COLUMNS = ("item", "texts", "run", "head", "ccs_class", "left_out", "intruder_of", "intruder")


@dataclass(frozen=True)
class Drawn:
    """An item, the run that it is of, and the CCS class of its head."""

    run: str
    item: Item
    ccs_class: str | None


def draw_intruders(run_dirs: Sequence[str], per_run: int, seed: int) -> list[Drawn]:
    """`per_run` items of each run's described heads, of all there are where they are fewer, shuffled."""
    if per_run < 1:
        raise CcsError(f"--per-run {per_run}: give a number of at least 1.")
    drawn: list[Drawn] = []
    rng = np.random.default_rng(seed)
    for run_dir in run_dirs:
        heads = [score for score in scores_from_csv(Path(run_dir) / "heads.csv").heads if len(score.descriptions) == len(TEXTS)]
        items = intruder_items(heads, seed=seed)
        if not items:
            raise CcsError(f"{run_dir} has no two heads with descriptions of different concepts, so none has an intruder.")
        class_of = {score.head: score.ccs_class for score in heads}
        chosen = [items[place] for place in rng.permutation(len(items))[:per_run]]
        drawn += [Drawn(run_dir, item, class_of[item.head]) for item in chosen]
    return [drawn[place] for place in rng.permutation(len(drawn))]


def write_intruders(path: Path, drawn: Sequence[Drawn]) -> None:
    """The sheet, in whose column ``choice`` a person writes 1 to 5, and its key. Raises `CcsError` where a sheet is there already."""
    if path.suffix.lower() != ".csv" or path.exists():
        raise CcsError(f"--out {path}: give a new file that ends in .csv; a sheet that is there may have been filled already.")
    sheet, key = [], []
    for number, one in enumerate(drawn, 1):
        item = one.item
        about = (one.run, str(item.head), one.ccs_class, item.left_out + 1, str(item.intruder_of), item.place + 1)
        sheet.append(dict(zip(SHEET_COLUMNS, (number, *item.texts, None), strict=True)))
        key.append(dict(zip(KEY_COLUMNS, (number, digest(item.texts), *about), strict=True)))
    write(key_path(path), csv_bytes(key, KEY_COLUMNS))
    write(path, csv_bytes(sheet, SHEET_COLUMNS))


def digest(texts: Sequence[str]) -> str:
    """What the key knows the texts of an item by."""
    return hashlib.sha256("\t".join(texts).encode()).hexdigest()[:16]
