"""How far the requests are, and what they have cost so far."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ccs_exp.llm.ledger import Ledger, dollars


class Advance:
    """Called once for each request that is done with."""

    def __init__(self, bar: Progress, task: TaskID, ledger: Ledger):
        self._bar, self._task, self._ledger = bar, task, ledger

    def __call__(self) -> None:
        self._bar.update(self._task, advance=1, cost=dollars(self._ledger.spent))


@contextmanager
def progress(what: str, total: int, ledger: Ledger) -> Iterator[Advance]:
    """A progress bar, on a terminal only."""
    console = Console(stderr=True)
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[cost]}"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield Advance(bar, bar.add_task(what, total=total, cost=dollars(ledger.spent)), ledger)
