"""Who found the intruders: sheets of intruder items that people have filled, scored as other judges are.

A person writes into the sheet's column ``choice``; of several people each fills a copy, ``SHEET.ratings.NAME.csv``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ccs_exp.agreement.findings import ALL
from ccs_exp.agreement.intruders import KEY_COLUMNS, SHEET_COLUMNS, TEXTS, Drawn, digest
from ccs_exp.agreement.output import shown
from ccs_exp.agreement.ratings import raters
from ccs_exp.agreement.sheet import key_path, write
from ccs_exp.errors import CcsError
from ccs_exp.evidence.intruder import IntruderShare, Item, intruder_shares, told
from ccs_exp.files import Row, csv_bytes, read_csv
from ccs_exp.heads import Head
from ccs_exp.run_folder.wording import plain
from ccs_exp.statistics.agreement import Estimate

COLUMNS = ("run", "head", "ccs_class", "judge", "found", "answered", "unanswered")

Choices = list[frozenset[int] | None]  # the text that does not belong, from 0, of each item; None: no answer


@dataclass(frozen=True)
class PersonFound:
    """What one person found among the heads of one run, or of all: by head with its CCS class, and as `told` sums it up."""

    run: str
    shares: Sequence[tuple[IntruderShare, str | None]]
    summary: Mapping[str, Any]


def found_by_people(sheet: Path, seed: int = 0) -> list[PersonFound]:
    """Of everyone who filled the sheet or a copy, for each run and over all. An item without a choice is unanswered.

    Raises `CcsError` for a sheet that nobody filled, a key that is missing or of another sheet, and choices that are none.
    """
    filled: dict[str, tuple[list[Drawn], Choices]] = {}
    for name, path in {sheet.name: sheet, **raters(sheet)}.items():
        drawn, choices = _read(path, key_path(sheet))
        if any(choice is not None for choice in choices):
            filled[name] = drawn, choices
    if not filled:
        raise CcsError(f"Nobody has filled {sheet} yet: write the number of the text that does not belong, 1 to 5, into its column choice.")
    found = []
    for person, (drawn, choices) in filled.items():
        of_runs = {run: _shares(run, drawn, choices) for run in dict.fromkeys(one.run for one in drawn)}
        if len(of_runs) > 1:  # heads of two runs may have one name, so that they are put together only now
            of_runs[ALL] = [share for shares in of_runs.values() for share in shares]
        for run, shares in of_runs.items():
            summary = told(person, [share for share, _ in shares], [of for _, of in shares], seed)
            found.append(PersonFound(run, shares, summary))
    return found


def _shares(run: str, drawn: Sequence[Drawn], choices: Choices) -> list[tuple[IntruderShare, str | None]]:
    those = [(one, choice) for one, choice in zip(drawn, choices, strict=True) if one.run == run]
    class_of = {one.item.head: one.ccs_class for one, _ in those}
    return [(share, class_of[share.head]) for share in intruder_shares([one.item for one, _ in those], [choice for _, choice in those])]


def _read(path: Path, key: Path) -> tuple[list[Drawn], Choices]:
    """The items of a filled sheet in its own order, which a spreadsheet may have changed, and what was chosen."""
    if not key.exists():
        raise CcsError(f"{key} is missing: the key that `draw` wrote beside the sheet. Put it there to learn who found the intruders.")
    where = {row["item"]: row for row in read_csv(key, KEY_COLUMNS)}
    drawn: list[Drawn] = []
    choices: Choices = []
    rows = read_csv(path, SHEET_COLUMNS)
    for row in rows:
        texts, known = tuple(row[column] or "" for column in TEXTS), where.get(row["item"])
        if known is None or known["texts"] != digest(texts):
            raise CcsError(f"{row.where}: {key} does not know this item: it belongs to another sheet, or its texts were changed.")
        drawn.append(_drawn(known, texts))
        choices.append(_choice(row))
    if len({row["item"] for row in rows}) != len(where) or len(rows) != len(where):
        raise CcsError(f"{path} has {len(rows)} items and {key} {len(where)}: each needs to be there once. Unanswered ones stay empty.")
    return drawn, choices


def _drawn(known: Row, texts: tuple[str, ...]) -> Drawn:
    left_out, place = known.text("left_out"), known.text("intruder")
    if not all(number in "12345" and len(number) == 1 for number in (left_out, place)):
        raise CcsError(f"{known.where} is damaged: left_out and intruder are numbers from 1 to 5.")
    head, other = Head.parse(known.text("head")), Head.parse(known.text("intruder_of"))
    return Drawn(known.text("run"), Item(head, int(left_out) - 1, other, texts, int(place) - 1), known["ccs_class"])


def _choice(row: Row) -> frozenset[int] | None:
    choice = row["choice"]
    if choice is None:
        return None
    if choice.strip() not in map(str, range(1, len(TEXTS) + 1)):
        raise CcsError(f"{row.where}: choice is {choice!r}. Write the number of one text, 1 to {len(TEXTS)}, or nothing.")
    return frozenset({int(choice) - 1})


def write_found(found: Sequence[PersonFound], folder: Path) -> Path:
    """``intruder.csv``: a row for each person and head."""
    path = folder / "intruder.csv"
    rows = (
        {"run": one.run, "ccs_class": of, **share.row(one.summary["judge"])} for one in found if one.run != ALL for share, of in one.shares
    )
    write(path, csv_bytes(rows, COLUMNS))
    return path


def print_found(found: Sequence[PersonFound], console: Console) -> None:
    """A line for each person and run."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("Person", overflow="fold")
    for name in ("Heads", "Unanswered", "Found, %", "AUC, high against low"):
        table.add_column(name, justify="right")
    for one in found:
        of, run = one.summary, one.run if one.run == ALL else Path(one.run).name
        found_of = shown(Estimate(of["found"], *(of["interval"] or ())), "\n", 100, 0)
        area = shown(Estimate(of["area"], *(of["area_interval"] or ())), "\n", decimals=2)
        cells = (f"{plain(of['judge'])}\n{plain(run)}", str(of["heads"]), str(of["unanswered"]), found_of, area)
        table.add_row(*map(Text, cells))
    console.print(table)
    note = "Chance is 20%. In brackets: 95% intervals, of shares by bootstrap over heads, of areas DeLong's. By head: intruder.csv."
    console.print(Text(note, style="dim"), soft_wrap=True)
