"""``ccs-exp report DIR...``: run folders beside the paper's numbers; ``ccs-exp report --claims``: the paper's claims of its own."""

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
        "directories", nargs="*", metavar="DIR", help="folders with runs anywhere below them, as outputs multirun"
    )
    parser.add_argument("--output", metavar="DIR", help="where the page and its files go; by default `reproduction` in the first DIR")
    parser.add_argument("--seed", type=int, default=0, help="of the heads drawn for Table 1 (0)")
    parser.add_argument("--verify", action="store_true", help="print which of the paper's numbers come again")
    parser.add_argument("--claims", action="store_true", help="print what becomes of the paper's claims; without DIR, of its own numbers")
    asked = parser.parse_args(arguments)
    if not asked.directories and (asked.verify or not asked.claims):
        parser.error("name folders with runs, or ask for --claims alone: those of the paper's own numbers")
    if asked.seed < 0:
        parser.error("--seed: give a number of at least 0")
    try:
        if asked.directories:
            output = Path(asked.output) if asked.output else Path(asked.directories[0], "reproduction")
            holds = _report(asked.directories, output, asked.seed, asked.verify, asked.claims)
        else:
            holds = _claims_of_the_paper(asked.output)
    except (CcsError, OSError) as error:
        sys.exit(f"Error: {error}")
    if not holds:
        sys.exit(1)


def _claims_of_the_paper(output: str | None) -> bool:
    from ccs_exp.report.reproduction.arrange import arranged
    from ccs_exp.report.reproduction.claims.words import show_claims
    from ccs_exp.report.reproduction.collect import Collection
    from ccs_exp.report.reproduction.write import write_reproduction

    found = arranged(Collection((), (), (), ()))
    show_claims(found.answers)
    if output:
        print(f"Report: {write_reproduction(found, output)}")
    return True


def _report(directories: list[str], output: Path, seed: int, verify: bool, claims: bool) -> bool:
    from ccs_exp.report.reproduction.arrange import reproduce
    from ccs_exp.report.reproduction.claims.words import show_claims
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
    if claims:
        show_claims(found.answers)
    holds = True
    if verify:
        cells = comparisons(found.book, found.paper)
        write_whole(output / "verification.csv", comparisons_csv(cells), choose="--output DIR")
        show_comparisons(cells)
        holds = all_hold(cells)
    print(f"Report: {page}")
    return holds
