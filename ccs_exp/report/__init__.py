"""What people read of a run: the page, the figures and the terminal's last lines; of many runs, `reproduction`.

In: run folders. Out: ``uncertainty.csv``, ``figures/*.png`` and ``report.html`` beside what the run left. May import `run_folder`,
`statistics`, `journal`, `files`, `heads` and `errors`; of `compute` that a process ends with its parent, of `pruning` the p of a matched
null, of `scoring` the map of concepts.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ccs_exp.journal.log import stage

if TYPE_CHECKING:
    from rich.console import Console

    from ccs_exp.report.beside import Beside
    from ccs_exp.report.contents import Contents

__all__ = ["show_run", "write_report"]


@stage("report")
def write_report(run_dir: Path, beside: Beside | None = None) -> Contents:
    """Write ``uncertainty.csv``, ``figures/*.png`` and ``report.html`` into a finished run's folder, of which this is all.

    What `beside` has made is not made again.
    """
    from ccs_exp.report.contents import gather
    from ccs_exp.report.page import write_page
    from ccs_exp.report.uncertainty import write_uncertainty
    from ccs_exp.run_folder.summary import read_summary

    if beside is not None and beside.done():
        contents = gather(run_dir)
    else:
        from ccs_exp.report.figures import write_figures

        contents = gather(run_dir, write_uncertainty(run_dir, read_summary(run_dir)))
        write_figures(contents)
    write_page(contents)
    return contents


def show_run(run: Path | Contents, console: Console | None = None, alone: bool = True) -> None:
    """Print a finished run's main numbers, warnings and folder, and, if it is no cell of a sweep, what to do next.

    `run`: its folder, or what is in it, read already.
    """
    from ccs_exp.report.contents import gather
    from ccs_exp.report.terminal import show

    show(gather(run) if isinstance(run, Path) else run, console, alone)
