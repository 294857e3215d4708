"""What ``--verify`` prints: every comparison, and at the end how many of each kind have which outcome."""

from __future__ import annotations

from collections import Counter

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ccs_exp.report.reproduction.verification import Comparison, Outcome, Quantity
from ccs_exp.run_folder.wording import metric_name, percent, points

_WIDTH = 160
_STYLES = {Outcome.HOLDS: "green", Outcome.FINDING: "yellow", Outcome.FAILS: "red", Outcome.MISSING: "dim"}


def show_comparisons(found: list[Comparison], console: Console | None = None) -> None:
    """Print every comparison with its outcome, the reasons for tolerances, and a table of outcomes by data set."""
    console = console or Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH, file=console.file)  # a file has no width of its own
    table = _table("Model", "Data set", "Condition", "What", "Metric", "Against")
    for name in ("Ours", "Published", "Difference", "Tolerance"):
        table.add_column(name, justify="right")
    table.add_column("Outcome")
    for item in found:
        against = f"{item.against} (protocol={item.protocol})"
        shown = points if item.quantity is not Quantity.VALUE else lambda value: percent(value, 2)
        numbers = [shown(item.ours), shown(item.target), points(item.difference), percent(item.tolerance)]
        outcome = Text(item.outcome, style=_STYLES[item.outcome])
        table.add_row(item.model, item.dataset, item.condition, item.quantity, metric_name(item.metric), against, *numbers, outcome)
    console.print(table)
    for dataset, reason in dict.fromkeys((item.dataset, item.reason) for item in found if item.against == "paper"):
        console.print(Text(f"{dataset}: {reason}.", style="dim"))
    console.print(_outcomes(found))
    counts = ", ".join(f"{sum(item.outcome is outcome for item in found)} {outcome}" for outcome in Outcome)
    console.print(Text(f"{len(found)} comparisons: {counts}."))


def _outcomes(found: list[Comparison]) -> Table:
    """Rows: what is compared with whose number, by data set; columns: outcomes."""
    counted: dict[tuple[str, str, str], Counter[Outcome]] = {}
    for item in found:
        counted.setdefault((item.against, item.quantity, item.dataset), Counter())[item.outcome] += 1
    table = _table("Against", "What", "Data set")
    for outcome in Outcome:
        table.add_column(outcome, justify="right", style=_STYLES[outcome])
    for names, counts in counted.items():
        table.add_row(*names, *(str(counts[outcome] or "") for outcome in Outcome))
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in columns:
        table.add_column(name, overflow="fold")
    return table
