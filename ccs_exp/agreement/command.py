"""The command line of the agreement study."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from ccs_exp.agreement.draw import draw, read_runs
from ccs_exp.agreement.findings import judge_findings, study_findings
from ccs_exp.agreement.intruder_findings import found_by_people, print_found, write_found
from ccs_exp.agreement.intruders import draw_intruders, write_intruders
from ccs_exp.agreement.output import print_findings, write_findings
from ccs_exp.agreement.ratings import open_ratings
from ccs_exp.agreement.sheet import key_path, read_sheet, write_study
from ccs_exp.errors import CcsError
from ccs_exp.statistics.agreement import RESAMPLES


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; exit status 1 after an error, 130 after Ctrl-C."""
    asked = _parser().parse_args(arguments)
    try:
        asked.command(asked, Console(soft_wrap=False))
    except CcsError as error:
        sys.exit(f"Error: {error}")
    except KeyboardInterrupt:
        print("\nInterrupted. Every answer given is kept.", file=sys.stderr)
        sys.exit(130)


def _draw(asked: argparse.Namespace, console: Console) -> None:
    out = Path(asked.out)
    if asked.intruders:
        items = draw_intruders(asked.run_dirs, asked.per_run, asked.seed)
        write_intruders(out, items)
        told = f"{len(items)} items, of whose five texts one is another head's: write its number under choice in {out}"
        console.print(Text(told), soft_wrap=True)
        console.print(Text(f"Then: ccs-exp agreement report {out} --intruders"), soft_wrap=True)
        console.print(Text(f"Where the intruders are, not to be seen before: {key_path(out)}"), soft_wrap=True)
        return
    drawn = draw(read_runs(asked.run_dirs), asked.per_run, asked.seed, asked.stratify)
    write_study(out, drawn.items, drawn.origins)
    for run, available in drawn.available.items():
        took = min(asked.per_run, available)
        few = f", which are all: fewer than the {asked.per_run} asked for" if available < asked.per_run else ""
        left = f"; {drawn.unjudged[run]} unjudged left out" if drawn.unjudged[run] else ""
        console.print(Text(f"{took} of {available} judged descriptions of {run}{few}{left}"), soft_wrap=True)
    console.print(Text(f"{len(drawn.items)} items to rate: {out}"), soft_wrap=True)
    console.print(Text(f"The verdicts, not to be seen before rating: {key_path(out)}"), soft_wrap=True)


def _rate(asked: argparse.Namespace, console: Console) -> None:
    with open_ratings(read_sheet(asked.sheet), asked.rater) as ratings:
        if asked.page:
            from ccs_exp.agreement.rating_page import serve

            serve(ratings, console)
        else:
            from ccs_exp.agreement.rating_terminal import rate

            rate(ratings, console)


def _report(asked: argparse.Namespace, console: Console) -> None:
    if asked.intruders:
        if len(asked.sheets) > 1:
            raise CcsError("report --intruders scores one sheet, and the copies SHEET.ratings.NAME.csv beside it.")
        sheet = Path(asked.sheets[0])
        found = found_by_people(sheet, asked.seed)
        print_found(found, console)
        console.print(Text(f"Written: {write_found(found, asked.out or sheet.parent)}"), soft_wrap=True)
        return
    findings = study_findings(asked.sheets, asked.raters, asked.resamples, asked.seed)
    _leave(findings, asked.out or Path(asked.sheets[0]).parent, console)


def _compare(asked: argparse.Namespace, console: Console) -> None:
    if len(asked.run_dirs) < 2:
        raise CcsError("compare needs two runs or more, over the same descriptions and labels.")
    _leave(judge_findings(read_runs(asked.run_dirs), asked.resamples, asked.seed), asked.out, console)


def _leave(findings: list, folder: Path, console: Console) -> None:
    print_findings(findings, console)
    for path in write_findings(findings, folder):
        console.print(Text(f"Written: {path}"), soft_wrap=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ccs-exp agreement",
        description="How far people agree with the judge, and raters or judges with each other.",
    )
    commands = parser.add_subparsers(required=True, metavar="draw | rate | report | compare")

    command = commands.add_parser("draw", help="draw descriptions of finished runs into a sheet that hides the verdicts")
    command.add_argument("run_dirs", nargs="+", metavar="RUN_DIR")
    command.add_argument("--per-run", type=int, default=50, help="descriptions of each run (50, as in the paper)")
    command.add_argument("--seed", type=_natural, default=0)
    command.add_argument(
        "--stratify", choices=("ccs", "verdict"), help="give each CCS or verdict its share of the run in the sample"
    )
    command.add_argument(
        "--intruders", action="store_true", help="items of five texts, one of another head, instead of descriptions with labels"
    )
    command.add_argument("--out", required=True, metavar="SHEET", help="the sheet to write, a .csv; the key goes beside it")
    command.set_defaults(command=_draw)

    command = commands.add_parser("rate", help="answer yes or no, with undo; the same command resumes")
    command.add_argument("sheet", metavar="SHEET")
    command.add_argument("--rater", required=True, metavar="NAME")
    command.add_argument("--page", action="store_true", help="in the browser instead of the terminal, on this machine only")
    command.set_defaults(command=_rate)

    command = commands.add_parser("report", help="kappa, rho and tau of the judge and each rater, and of each two raters")
    command.add_argument("sheets", nargs="+", metavar="SHEET")
    command.add_argument(
        "--intruders", action="store_true", help="the sheet is one of intruder items: how many were found, and SHEET.ratings.NAME.csv alike"
    )
    command.add_argument(
        "--rater", dest="raters", action="append", default=[], metavar="NAME", help="only this one; may be repeated"
    )
    command.add_argument(
        "--out", type=Path, metavar="DIR", help="where agreement.csv and agreement.md go (beside the first sheet)"
    )
    _add_bootstrap(command)
    command.set_defaults(command=_report)

    command = commands.add_parser("compare", help="the judges of runs over the same descriptions and labels")
    command.add_argument("run_dirs", nargs="+", metavar="RUN_DIR")
    command.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="where agreement.csv and agreement.md go")
    _add_bootstrap(command)
    command.set_defaults(command=_compare)
    return parser


def _natural(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text}: give a number of at least 0")
    return number


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text}: give a number of at least 1")
    return number


def _add_bootstrap(command: argparse.ArgumentParser) -> None:
    command.add_argument("--resamples", type=_positive, default=RESAMPLES, help="of the bootstrap")
    command.add_argument("--seed", type=_natural, default=0, help="of the bootstrap")
