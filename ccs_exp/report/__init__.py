"""What people read: figures, the HTML page and the terminal's summary, made from the run folder alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ccs_exp.journal.log import stage

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["print_summary", "write_report"]


@stage("report")
def write_report(run_dir: Path) -> None:
    """Write ``figures/*.png`` and ``report.html`` into a finished run's folder."""
    from ccs_exp.report.contents import gather
    from ccs_exp.report.figures import write_figures
    from ccs_exp.report.page import write_page
    from ccs_exp.report.robustness import write_robustness_figures

    contents = gather(Path(run_dir), thorough=True)
    write_figures(contents)
    write_robustness_figures(contents)
    write_page(contents)


def print_summary(run_dir: Path, console: Console | None = None, alone: bool = True) -> None:
    """Print a finished run's main numbers, warnings and folder, and, if it is no cell of a sweep, what to do next."""
    from ccs_exp.report.contents import gather
    from ccs_exp.report.terminal import show

    show(gather(Path(run_dir)), console, alone)
