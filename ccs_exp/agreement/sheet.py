"""The sheet that raters see, and the key that says where its items are from."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from ccs_exp.errors import CcsError
from ccs_exp.files import csv_bytes, read_csv, write_whole
from ccs_exp.run_folder.columns import VERDICTS

SHEET_COLUMNS = ("item", "description", "label")
KEY_COLUMNS = ("item", "sheet", "run", "model", "head", "position", "ccs", "verdict")


_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")


@dataclass(frozen=True)
class Item:
    """One question to a rater: does `description` align with `label`?"""

    name: str
    description: str
    label: str


@dataclass(frozen=True)
class Origin:
    """Where an item is from, and what that run's judge said of it. Runs may share an item."""

    item: str
    run: str
    model: str
    head: str
    position: int
    ccs: int | None
    verdict: str


@dataclass(frozen=True)
class Sheet:
    """The items of ``path`` in the order in which they are asked; `digest` stands for exactly these."""

    path: Path
    items: tuple[Item, ...]
    digest: str


def key_path(sheet: Path) -> Path:
    return sheet.with_name(f"{sheet.stem}.key.csv")


def write_study(path: Path, items: Sequence[Item], origins: Sequence[Origin]) -> None:
    """Write the sheet and its key. Raises `CcsError` where a sheet is there already: ratings may belong to it."""
    if path.suffix.lower() != ".csv":
        raise CcsError(f"--out {path}: a sheet is a CSV file. Give a name that ends in .csv, such as {path.name or 'study'}.csv.")
    for there in (path, key_path(path)):
        if there.exists():
            raise CcsError(f"{there} is there already, and ratings may belong to it. Choose another --out, or delete it first.")
    content = csv_bytes(
        ({"item": item.name, "description": item.description, "label": item.label} for item in items), SHEET_COLUMNS
    )
    digest = _digest(items)
    key = [dict(zip(KEY_COLUMNS, (item, digest, *about), strict=True)) for item, *about in map(astuple, origins)]
    write(key_path(path), csv_bytes(key, KEY_COLUMNS))
    write(path, content)


def write(path: Path, content: bytes) -> None:
    """Write a file of the study, whole or not at all. Raises `CcsError` where it cannot be."""
    try:
        write_whole(path, content)
    except CcsError as error:  # its advice is for the run folder of a job
        reason = getattr(error.__cause__, "strerror", None) or error.__cause__
        raise CcsError(f"{path} could not be written: {reason}. Choose another place with --out.") from error


def read_sheet(path: str | Path) -> Sheet:
    """Raises `CcsError` for a missing or damaged sheet, one without items, and items named twice."""
    path = Path(path)
    rows = read_csv(path, SHEET_COLUMNS)
    for row in rows:
        if not _NAME.fullmatch(row.text("item")):
            raise CcsError(f"{row.where}: the item {row['item']!r} is no name that `draw` gives.")
    items = tuple(Item(*(row.text(column) for column in SHEET_COLUMNS)) for row in rows)
    if not items:
        raise CcsError(f"{path} has no items to rate.")
    if len({item.name for item in items}) != len(items):
        raise CcsError(f"{path} names an item more than once.")
    return Sheet(path, items, _digest(items))


def read_key(sheet: Sheet) -> tuple[Origin, ...]:
    """The origins of a sheet's items. Raises `CcsError` where the key is missing, damaged, or belongs to another sheet."""
    path = key_path(sheet.path)
    if not path.exists():
        raise CcsError(f"{path} is missing: the key that `draw` wrote beside the sheet. Put it there to compare with the judge.")
    rows = read_csv(path, KEY_COLUMNS)
    names = {item.name for item in sheet.items}
    origins = []
    for row in rows:
        if row["sheet"] != sheet.digest or row["item"] not in names:
            raise CcsError(f"{row.where}: it belongs to another sheet than {sheet.path}, or the sheet was changed after the draw.")
        if row["verdict"] not in VERDICTS:
            raise CcsError(f"{row.where}: verdict is {row['verdict']!r}. It is one of {', '.join(VERDICTS)}.")
        position, ccs = row.text("position"), row["ccs"] or "0"
        if not position.isdecimal() or not ccs.isdecimal():
            raise CcsError(f"{row.where} is damaged: it needs a run, a model, a position and, if known, a CCS.")
        named = (row.text("item"), row.text("run"), row.text("model"), row["head"] or "")
        origins.append(Origin(*named, int(position), int(ccs) if row["ccs"] else None, row.text("verdict")))
    if {row["item"] for row in rows} != names:
        raise CcsError(f"{path} does not know every item of {sheet.path}: it was cut short, or belongs to another sheet.")
    return tuple(origins)


def _digest(items: Sequence[Item]) -> str:
    text = "\n".join("\t".join((item.name, item.description, item.label)) for item in items)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
