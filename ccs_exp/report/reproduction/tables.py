"""Ours, the paper's and open_clip's numbers in one table, in the paper's arrangement; and which differences are sure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ccs_exp.heads import ORIGINAL
from ccs_exp.report.reproduction.cells import Book, Cell
from ccs_exp.report.reproduction.collect import Edition, Run
from ccs_exp.report.reproduction.paper import Paper, View
from ccs_exp.statistics.intervals import Interval, Paired, Place, holm, place, spread

TITLES = {"original": "Original", "high_ccs": "High CCS", "low_ccs": "Low CCS", "random": "Random"}
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Entry:
    """One cell of a table. All values are fractions; what is not known is None.

    Attributes:
        ours, delta: the primary metric and its difference to the same run's original; of several draws their means.
        sd, draws: sample standard deviation over the draws, and their number.
        adjusted: the paired test's p-value after Holm's correction over the table.
        place: of high heads, where the value falls among the random draws.
        paper, paper_delta, reference: the paper's numbers, and open_clip's (of the original).
        also: other metrics of ours, by name.
    """

    dataset: str
    condition: str
    metric: str = "top1"
    ours: float | None = None
    delta: float | None = None
    num_pruned: int | None = None
    interval: Interval | None = None
    paired: Paired | None = None
    adjusted: float | None = None
    sd: float | None = None
    draws: int = 0
    place: Place | None = None
    paper: float | None = None
    paper_delta: float | None = None
    reference: float | None = None
    also: tuple[tuple[str, float], ...] = ()
    runs: tuple[Run, ...] = ()

    @property
    def difference(self) -> float | None:
        """Of the original: ours minus open_clip's (the paper's where open_clip has none). Else: our delta minus the paper's."""
        if self.condition == ORIGINAL:
            target = self.reference if self.reference is not None else self.paper
            return None if self.ours is None or target is None else self.ours - target
        return None if self.delta is None or self.paper_delta is None else self.delta - self.paper_delta

    @property
    def empty(self) -> bool:
        """Whether the condition silenced nothing, because there was nothing to silence."""
        return self.condition != ORIGINAL and self.num_pruned == 0

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
        return sum(entry.ours is not None for _, entry in self.entries)

    @property
    def groups(self) -> list[tuple[str, list[str]]]:
        """``(data set's title, conditions)`` in the columns' order."""
        found: dict[str, list[str]] = {}
        for dataset, condition in self.columns:
            found.setdefault(dataset, []).append(condition)
        return [(self.dataset_titles.get(dataset, dataset), conditions) for dataset, conditions in found.items()]


def paper_table(book: Book, paper: Paper, view: View, edition: Edition) -> Table:
    """A table or figure of the paper: its models and data sets, whether or not there are runs of them."""
    columns = tuple((dataset, condition) for dataset in view.datasets for condition in view.conditions)
    models = [(name, model.title) for name, model in paper.models.items()]
    return _table(book, paper, view.name, view.title, view.what, edition, columns, models)


def other_tables(book: Book, paper: Paper, edition: Edition, at_once: int = 3) -> list[Table]:
    """What the paper does not have: other models, other data sets; as many data sets in one table as `at_once`."""
    shown = {dataset for view in paper.views.values() if view.equal == edition.equal for dataset in view.datasets}
    datasets = {
        dataset: [model for model in models if dataset not in shown or model not in paper.models]
        for dataset, models in book.datasets(edition).items()
    }
    names = [dataset for dataset, models in datasets.items() if models]
    tables = []
    for start in range(0, len(names), at_once):
        some = names[start : start + at_once]
        models = sorted({model for name in some for model in datasets[name]})
        columns = tuple((name, condition) for name in some for condition in TITLES)
        rows = [(model, paper.models[model].title if model in paper.models else model) for model in models]
        title = f"Other results {start // at_once + 1}" if len(names) > at_once else "Other results"
        what = "models and data sets that the paper does not have"
        tables.append(_table(book, paper, "other", title, what, edition, columns, rows))
    return tables


def _table(
    book: Book,
    paper: Paper,
    name: str,
    title: str,
    what: str,
    edition: Edition,
    columns: Sequence[tuple[str, str]],
    models: Iterable[tuple[str, str]],
) -> Table:
    rows = [
        (model, shown, [_entry(book, paper, name, edition, model, dataset, condition) for dataset, condition in columns])
        for model, shown in models
    ]
    tested = iter(holm([entry.paired and entry.paired.p for _, _, entries in rows for entry in entries]))
    corrected = tuple(
        (model, shown, tuple(replace(entry, adjusted=next(tested)) for entry in entries)) for model, shown, entries in rows
    )
    return Table(name, title, what, edition, tuple(columns), dict(paper.datasets), corrected)


def _entry(book: Book, paper: Paper, view: str, edition: Edition, model: str, dataset: str, condition: str) -> Entry:
    published = {ORIGINAL: paper.value(view, model, dataset, ORIGINAL), condition: paper.value(view, model, dataset, condition)}
    theirs, base = published[condition], published[ORIGINAL]
    entry = Entry(
        dataset,
        condition,
        paper=theirs,
        paper_delta=None if condition == ORIGINAL or theirs is None or base is None else theirs - base,
        reference=paper.reference.get((model, dataset)) if condition == ORIGINAL else None,
    )
    cells = [cell for cell in book.family(edition, model, dataset, condition) if cell.value is not None]
    return _filled(entry, cells, book.family(edition, model, dataset, "random")) if cells else entry


def _filled(entry: Entry, cells: list[Cell], random: list[Cell]) -> Entry:
    values = spread([cell.value for cell in cells])
    deltas = spread([cell.delta for cell in cells if cell.delta is not None])
    first = cells[0]
    alone = len(cells) == 1 and "/" not in first.condition.name.removeprefix(entry.condition)
    metric = first.run.contents.primary
    found = None
    if entry.condition == "high_ccs" and first.condition.num_pruned and not metric.endswith("rank"):
        draws = [
            cell.value for cell in random if cell.value is not None and cell.condition.num_pruned == first.condition.num_pruned
        ]
        found = place(values.mean, draws)
    return replace(
        entry,
        metric=metric,
        ours=values.mean,
        delta=None if deltas is None else deltas.mean,
        num_pruned=first.condition.num_pruned,
        interval=first.condition.intervals.get(metric) if alone else None,
        paired=first.condition.paired if alone else None,
        sd=values.sd,
        draws=0 if alone else values.count,
        place=found,
        also=tuple(
            (name, value)
            for name, value in first.condition.values.items()
            if alone and value is not None and name == "mean_per_class" and entry.dataset == "oxford_pets"
        ),
        runs=tuple({id(cell.run): cell.run for cell in cells}.values()),
    )
