"""Which cells of Tables 4 to 6 hold: the original against open_clip's own accuracy, the pruned against the paper."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ccs_exp.files import csv_bytes
from ccs_exp.heads import ORIGINAL
from ccs_exp.report.reproduction.cells import Book
from ccs_exp.report.reproduction.collect import PUBLISHED, Edition
from ccs_exp.report.reproduction.paper import Paper
from ccs_exp.run_folder.wording import metric_name, percent, points

TABLES = ("table4", "table5", "table6")
TOLERANCE = 0.005  # of an original against open_clip's accuracy of the same weights
PAPER_TOLERANCE = 0.01  # of a pruned model against the paper, whose own originals are 0.1 to 2.5 points from open_clip's
COLUMNS = (
    *("model", "dataset", "condition", "metric", "protocol", "against", "outcome", "ours", "target", "difference"),
    *("delta", "target_delta"),
)
_WIDTH = 150
_TWO_METRICS = ("oxford_pets",)  # open_clip's table does not say which of the two its number is


class Outcome(StrEnum):
    """`DELTA`: not the accuracy, but what pruning costs is the paper's."""

    HOLDS = "holds"
    DELTA = "delta holds"
    FAILS = "differs"
    MISSING = "no run"


@dataclass(frozen=True)
class Comparison:
    """One cell against one published number; all values are fractions."""

    model: str
    dataset: str
    condition: str
    metric: str
    protocol: str
    against: str
    outcome: Outcome
    ours: float | None
    target: float
    delta: float | None = None
    target_delta: float | None = None

    @property
    def difference(self) -> float | None:
        return None if self.ours is None else self.ours - self.target


def comparisons(book: Book, paper: Paper, tolerance: float = TOLERANCE, paper_tolerance: float = PAPER_TOLERANCE) -> list[Comparison]:
    """A comparison for each cell of Tables 4 to 6, of runs with the authors' heads and on all samples.

    Originals under protocol=standard are held against open_clip's accuracies. Pruned models are held against the paper, under
    protocol=paper (there with the original too) on the data sets that the authors evaluated in a way of their own.
    """
    result = []
    for dataset in (name for table in TABLES for name in paper.views[table].datasets):
        own = dataset in paper.own_protocol
        for model in paper.models:
            for metric in ("top1", "mean_per_class") if dataset in _TWO_METRICS else ("top1",):
                ours, _ = _value(book, "standard", model, dataset, ORIGINAL, metric)
                target = paper.reference[model, dataset]
                outcome = _outcome(ours, target, tolerance)
                result.append(Comparison(model, dataset, ORIGINAL, metric, "standard", "open_clip", outcome, ours, target))
            base = paper.values[model, dataset, ORIGINAL]
            protocol = "paper" if own else "standard"
            for condition in (ORIGINAL, "high_ccs", "low_ccs") if own else ("high_ccs", "low_ccs"):
                target = paper.values[model, dataset, condition]
                ours, delta = _value(book, protocol, model, dataset, condition, "top1")
                outcome = _outcome(ours, target, paper_tolerance)
                theirs = None if condition == ORIGINAL else target - base
                delta = None if theirs is None else delta
                if outcome is Outcome.FAILS and delta is not None and theirs is not None and abs(delta - theirs) <= paper_tolerance + 1e-9:
                    outcome = Outcome.DELTA
                result.append(Comparison(model, dataset, condition, "top1", protocol, "paper", outcome, ours, target, delta, theirs))
    return result


def _value(book: Book, protocol: str, model: str, dataset: str, condition: str, metric: str) -> tuple[float | None, float | None]:
    for cell in book.family(Edition(PUBLISHED, protocol), model, dataset, condition):
        if not cell.run.limited:
            return cell.condition.values.get(metric), cell.condition.deltas.get(metric)
    return None, None


def _outcome(ours: float | None, target: float, tolerance: float) -> Outcome:
    if ours is None:
        return Outcome.MISSING
    return Outcome.HOLDS if abs(ours - target) <= tolerance + 1e-9 else Outcome.FAILS


def all_hold(found: Iterable[Comparison]) -> bool:
    """Whether every cell holds. Where one number is held against two metrics, one of them is enough."""
    by_cell: dict[tuple[str, str, str, str], list[Comparison]] = {}
    for item in found:
        by_cell.setdefault((item.model, item.dataset, item.condition, item.against), []).append(item)
    return all(any(item.outcome is Outcome.HOLDS for item in cell) for cell in by_cell.values())


def comparisons_csv(found: Iterable[Comparison]) -> bytes:
    """One row for each comparison; fractions."""
    return csv_bytes(({column: getattr(item, column) for column in COLUMNS} for item in found), COLUMNS)


def show_comparisons(found: list[Comparison], console: Console | None = None) -> None:
    """Print every cell with its outcome, and how many hold."""
    console = console or Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH, file=console.file)  # a file has no width of its own
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("Model", "Data set", "Condition", "Metric", "Against"):
        table.add_column(name, overflow="fold")
    for name in ("Ours", "Published", "Difference", "Delta", "Published delta"):
        table.add_column(name, justify="right")
    table.add_column("Outcome")
    styles = {Outcome.HOLDS: "green", Outcome.DELTA: "yellow", Outcome.FAILS: "red", Outcome.MISSING: "dim"}
    for item in found:
        against = item.against if item.protocol == "standard" else f"{item.against} (protocol=paper)"
        numbers = [
            percent(item.ours, 2),
            percent(item.target, 2),
            points(item.difference),
            points(item.delta),
            points(item.target_delta),
        ]
        outcome = Text(item.outcome, style=styles[item.outcome])
        table.add_row(item.model, item.dataset, item.condition, metric_name(item.metric), against, *numbers, outcome)
    console.print(table)
    counts = ", ".join(f"{sum(item.outcome is outcome for item in found)} {outcome}" for outcome in Outcome)
    console.print(Text(f"{len(found)} comparisons: {counts}."))
