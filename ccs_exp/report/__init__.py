"""What people read of a run: the page, the figures and the terminal's last lines; of many runs, `reproduction`.

In: run folders. Out: ``uncertainty.csv``, ``figures/*.png`` and ``report.html`` beside what the run left. May import `run_folder`,
`statistics`, `journal`, `files`, `heads` and `errors`; of `pruning` the p of a matched null, of `scoring` the map of concepts.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ccs_exp.journal.log import stage

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["show_run", "write_report"]


@stage("report")
def write_report(run_dir: Path) -> None:
    """Write ``uncertainty.csv``, ``figures/*.png`` and ``report.html`` into a finished run's folder."""
    from ccs_exp.report.contents import gather
    from ccs_exp.report.figures import write_figures
    from ccs_exp.report.page import write_page
    from ccs_exp.report.uncertainty import uncertainty
    from ccs_exp.run_folder.folder import RunFolder
    from ccs_exp.run_folder.summary import read_summary

    folder = RunFolder(run_dir)
    rows = uncertainty(folder, read_summary(folder.path))
    if rows:
        folder.write("uncertainty.csv", rows)
    contents = gather(folder.path)
    write_figures(contents)
    write_page(contents)


def show_run(run_dir: Path, console: Console | None = None, alone: bool = True) -> None:
    """Print a finished run's main numbers, warnings and folder, and, if it is no cell of a sweep, what to do next."""
    from ccs_exp.report.contents import gather
    from ccs_exp.report.terminal import show

    show(gather(Path(run_dir)), console, alone)
