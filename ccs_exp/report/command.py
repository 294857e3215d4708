"""``ccs-exp report DIR...``: run folders beside the paper's numbers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ccs_exp.errors import CcsError
from ccs_exp.files import write_whole
from ccs_exp.run_folder.wording import plain


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; exit status 1 after an error, or where ``--verify`` finds a cell that does not hold."""
    parser = argparse.ArgumentParser(
        prog="ccs-exp report",
        description="Collect run folders into one page, with the tables and figures of the paper and its numbers beside ours.",
    )
    parser.add_argument(
        "directories", nargs="+", metavar="DIR", help="folders with runs anywhere below them, as outputs multirun"
    )
    parser.add_argument("--output", metavar="DIR", help="where the page and its files go; by default `reproduction` in the first DIR")
    parser.add_argument("--seed", type=int, default=0, help="of the heads drawn for Table 1 (0)")
    parser.add_argument("--verify", action="store_true", help="print which cells of Tables 4 to 6 hold")
    asked = parser.parse_args(arguments)
    if asked.seed < 0:
        parser.error("--seed: give a number of at least 0")
    output = Path(asked.output) if asked.output else Path(asked.directories[0], "reproduction")
    try:
        holds = _report(asked.directories, output, asked.seed, asked.verify)
    except (CcsError, OSError) as error:
        sys.exit(f"Error: {error}")
    if not holds:
        sys.exit(1)


def _report(directories: list[str], output: Path, seed: int, verify: bool) -> bool:
    from ccs_exp.report.reproduction.arrange import reproduce
    from ccs_exp.report.reproduction.verification import all_hold, comparisons, comparisons_csv, show_comparisons
    from ccs_exp.report.reproduction.write import write_reproduction

    found = reproduce(directories, seed)
    page = write_reproduction(found, output)
    collection = found.collection
    print(f"{len(collection.runs)} runs, {len(collection.unfinished)} unfinished, {len(collection.damaged)} damaged.")
    for path, what in collection.damaged:
        print(plain(f"Damaged: {path}: {what}"), file=sys.stderr)
    for path, asked in collection.unfinished:
        print(plain(f"Unfinished: {path} {asked}"), file=sys.stderr)
    holds = True
    if verify:
        cells = comparisons(found.book, found.paper)
        write_whole(output / "verification.csv", comparisons_csv(cells), choose="--output DIR")
        show_comparisons(cells)
        holds = all_hold(cells)
    print(f"Report: {page}")
    return holds
