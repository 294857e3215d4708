"""Ours, the paper's and open_clip's numbers in one table, in the paper's arrangement; and which differences are sure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ccs_exp.heads import ORIGINAL, RANDOM
from ccs_exp.report.contents import ConditionResult
from ccs_exp.report.intervals import mean_over_sets
from ccs_exp.report.reproduction.cells import Book, Cell
from ccs_exp.report.reproduction.collect import Edition, Run
from ccs_exp.report.reproduction.paper import Paper, View
from ccs_exp.statistics.intervals import Interval, holm, spread

TITLES = {"original": "Original", "high_ccs": "High CCS", "low_ccs": "Low CCS", "random": "Random"}
SIGNIFICANT = 0.05
_SECOND_METRIC = {"oxford_pets": "mean_per_class"}  # open_clip's table does not say which of two its number is


@dataclass(frozen=True)
class Entry:
    """One cell of a table. All values are fractions; what is not known is None.

    Attributes:
        ours, delta: the primary metric and its difference to the same run's original; of several draws their means. A set without heads
            has neither.
        interval, delta_interval: 95%; of several draws of their mean, over the draws.
        sd, draws: sample standard deviation over the draws, and their number.
        condition_result: of a single condition, all that its run says of it.
        adjusted: p against the matched sets after Holm's correction over the table.
        matched: the mean over the matched sets.
        paper, paper_delta, reference: the paper's numbers, and open_clip's (of the original).
        other_protocol: what the paper evaluated in another way than our runs did; its numbers are then no target.
        target: of the original: open_clip's accuracy, under protocol=paper where that differs the paper's.
        also: other metrics of ours, by name.
    """

    dataset: str
    condition: str
    metric: str = "top1"
    ours: float | None = None
    delta: float | None = None
    num_pruned: int | None = None
    interval: Interval | None = None
    delta_interval: Interval | None = None
    condition_result: ConditionResult | None = None
    adjusted: float | None = None
    matched: ConditionResult | None = None
    sd: float | None = None
    draws: int = 0
    paper: float | None = None
    paper_delta: float | None = None
    reference: float | None = None
    other_protocol: str | None = None
    target: float | None = None
    also: tuple[tuple[str, float], ...] = ()
    runs: tuple[Run, ...] = ()

    @property
    def difference(self) -> float | None:
        """Of the original: ours minus `target`. Else: our delta minus the paper's, if of the same protocol."""
        if self.condition == ORIGINAL:
            return None if self.ours is None or self.target is None else self.ours - self.target
        if self.delta is None or self.paper_delta is None or self.other_protocol:
            return None
        return self.delta - self.paper_delta

    @property
    def empty(self) -> bool:
        """Whether the condition silenced nothing, because there was nothing to silence."""
        return self.condition != ORIGINAL and self.num_pruned == 0

    @property
    def p_matched(self) -> float | None:
        return self.condition_result.p_matched if self.condition_result else None

    @property
    def starred(self) -> bool:
        """Whether the condition costs another amount than sets do that match it layer by layer."""
        return self.adjusted is not None and self.adjusted < SIGNIFICANT

    @property
    def limited(self) -> bool:
        return any(run.limited for run in self.runs)


@dataclass(frozen=True)
class Table:
    """Rows are models, columns data sets times conditions; `name` is that of the view, `title` what people read."""

    name: str
    title: str
    what: str
    edition: Edition
    columns: tuple[tuple[str, str], ...]  # (data set, condition)
    dataset_titles: dict[str, str]
    rows: tuple[tuple[str, str, tuple[Entry, ...]], ...]  # (model, its title, an entry for each column)

    @property
    def entries(self) -> list[tuple[str, Entry]]:
        return [(model, entry) for model, _, entries in self.rows for entry in entries]

    @property
    def filled(self) -> int:
        return sum(bool(entry.runs) for _, entry in self.entries)

    @property
    def tested(self) -> int:
        return sum(entry.p_matched is not None for _, entry in self.entries)

    @property
    def groups(self) -> list[tuple[str, list[str]]]:
        """``(data set's title, conditions)`` in the columns' order."""
        found: dict[str, list[str]] = {}
        for dataset, condition in self.columns:
            found.setdefault(dataset, []).append(condition)
        return [(self.dataset_titles.get(dataset, dataset), conditions) for dataset, conditions in found.items()]


def paper_table(book: Book, paper: Paper, view: View, edition: Edition) -> Table:
    """A table or figure of the paper: its models and data sets, whether or not there are runs of them."""
    columns = [(dataset, condition) for dataset in view.datasets for condition in view.conditions]
    return _Maker(book, paper, view.name, edition).table(view.title, view.what, columns, paper.models)


def other_tables(book: Book, paper: Paper, edition: Edition, at_once: int = 3) -> list[Table]:
    """What the paper does not have: other models, other data sets; as many data sets in one table as `at_once`."""
    shown = {dataset for view in paper.views.values() if view.equal == edition.equal for dataset in view.datasets}
    datasets = {
        dataset: [model for model in models if dataset not in shown or model not in paper.models]
        for dataset, models in book.datasets(edition).items()
    }
    names, tables = [dataset for dataset, models in datasets.items() if models], []
    for start in range(0, len(names), at_once):
        some = names[start : start + at_once]
        columns = [(name, condition) for name in some for condition in TITLES]
        title = f"Other results {start // at_once + 1}" if len(names) > at_once else "Other results"
        maker = _Maker(book, paper, "other", edition)
        models = sorted({model for name in some for model in datasets[name]})
        tables.append(maker.table(title, "models and data sets that the paper does not have", columns, models))
    return tables


@dataclass(frozen=True)
class _Maker:
    """Makes the tables of one view from the runs of one edition."""

    book: Book
    paper: Paper
    view: str
    edition: Edition

    def table(self, title: str, what: str, columns: Sequence[tuple[str, str]], models: Iterable[str]) -> Table:
        rows = [(model, [self._entry(model, *column) for column in columns]) for model in models]
        tested = iter(holm([entry.p_matched for _, entries in rows for entry in entries]))
        corrected = tuple(
            (model, self.paper.title(model), tuple(replace(entry, adjusted=next(tested)) for entry in entries)) for model, entries in rows
        )
        return Table(self.view, title, what, self.edition, tuple(columns), dict(self.paper.datasets), corrected)

    def _entry(self, model: str, dataset: str, condition: str) -> Entry:
        theirs, base = (self.paper.value(self.view, model, dataset, name) for name in (condition, ORIGINAL))
        way, of_the_paper = self.paper.own_protocol.get(dataset), self.edition.protocol == "paper"
        reference, comparable = self.paper.reference.get((model, dataset)), of_the_paper or not way
        entry = Entry(
            dataset,
            condition,
            paper=theirs,
            paper_delta=None if condition == ORIGINAL or theirs is None or base is None else theirs - base,
            reference=reference if condition == ORIGINAL else None,
            other_protocol=None if of_the_paper or theirs is None else way,
            # open_clip evaluates by protocol=standard
            target=theirs if comparable and (of_the_paper or reference is None) else reference,
        )
        return _filled(entry, self.book.family(self.edition, model, dataset, condition))


def _filled(entry: Entry, cells: Sequence[Cell]) -> Entry:
    """With the numbers of a condition, or of its draws."""
    if not cells:
        return entry
    first = cells[0]
    runs = tuple({id(cell.run): cell.run for cell in cells}.values())
    metric = first.run.contents.primary
    entry = replace(entry, metric=metric, num_pruned=first.condition.num_pruned, runs=runs)
    if len(cells) > 1 or first.condition.name.startswith((RANDOM, f"{entry.condition}/")):
        values = [cell.value for cell in cells if cell.value is not None]
        deltas = [cell.delta for cell in cells if cell.delta is not None]
        over, of_deltas = spread(values), spread(deltas)
        if over is None or of_deltas is None:
            return entry
        entry = replace(entry, ours=over.mean, delta=of_deltas.mean, sd=over.sd, draws=len(values))
        return replace(entry, interval=mean_over_sets(values), delta_interval=mean_over_sets(deltas))
    condition, second = first.condition, _SECOND_METRIC.get(entry.dataset, "")
    other = condition.values.get(second)
    return replace(
        entry,
        ours=first.value,
        delta=first.delta,
        interval=condition.intervals.get(metric),
        delta_interval=condition.delta_intervals.get(metric),
        condition_result=condition,
        matched=first.run.contents.matched(condition.name),
        also=() if other is None else ((second, other),),
    )
