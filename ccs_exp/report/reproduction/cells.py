"""Which run fills which cell of a table, where several could."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ccs_exp.heads import SINGLE_HEAD
from ccs_exp.report.contents import ConditionResult
from ccs_exp.report.reproduction.collect import Edition, Run


class Cell(NamedTuple):
    """One condition of one run."""

    run: Run
    condition: ConditionResult

    @property
    def value(self) -> float | None:
        return self.condition.values.get(self.run.contents.primary)

    @property
    def delta(self) -> float | None:
        return self.condition.deltas.get(self.run.contents.primary)


class Replaced(NamedTuple):
    """A run whose cells, or some of them, a later run gives as well."""

    run: Run
    by: Run
    cells: int

    @property
    def same_configuration(self) -> bool:
        return self.run.summary["config_hash"] == self.by.summary["config_hash"]


class Book:
    """The cells of all runs, by edition, model, data set and condition.

    Of several runs with the same cell a run on all samples goes before a quick look (`dataset.limit`), and of two alike the
    one that finished later; `replaced` lists the others.
    """

    def __init__(self, runs: Iterable[Run]):
        ordered = sorted(runs, key=lambda run: (not run.limited, run.finished, str(run.path)))
        self._cells: dict[tuple[Edition, str, str], dict[str, Cell]] = {}
        self._scored: dict[tuple[str, str], Run] = {}
        lost: dict[tuple[int, int], int] = {}
        for run in ordered:
            if run.contents.ccs_at_k:
                self._scored[run.edition.scores, run.model] = run
            if run.dataset is None:
                continue
            cells = self._cells.setdefault((run.edition, run.model, run.dataset), {})
            for condition in run.conditions:
                before = cells.get(condition.name)
                if before is not None:
                    lost[id(before.run), id(run)] = lost.get((id(before.run), id(run)), 0) + 1
                cells[condition.name] = Cell(run, condition)
        by_id = {id(run): run for run in ordered}
        self.replaced = tuple(Replaced(by_id[old], by_id[new], count) for (old, new), count in lost.items())

    @property
    def editions(self) -> tuple[Edition, ...]:
        """All editions that have cells, in a fixed order."""
        return tuple(sorted({edition for edition, _, _ in self._cells}, key=lambda edition: (edition.equal, str(edition))))

    def datasets(self, edition: Edition) -> dict[str, list[str]]:
        """``{data set: models that have cells of it}`` in order of name."""
        found: dict[str, list[str]] = {}
        for _, model, dataset in sorted((key for key in self._cells if key[0] == edition), key=lambda key: (key[2], key[1])):
            found.setdefault(dataset, []).append(model)
        return found

    def family(self, edition: Edition, model: str, dataset: str, name: str) -> list[Cell]:
        """The cell of a condition, or the cells of its draws (`random/0`, `high_ccs/1` ...) that silence as many heads as
        the newest of them."""
        cells = self._cells.get((edition, model, dataset), {})
        found = [cell for key, cell in cells.items() if key == name or key.startswith(f"{name}/")]
        if not found:
            return []
        count = max(found, key=lambda cell: (not cell.run.limited, cell.run.finished)).condition.num_pruned
        return [cell for cell in found if cell.condition.num_pruned == count]

    def others(self, edition: Edition, model: str, dataset: str, families: Iterable[str]) -> list[Cell]:
        """Cells outside the named families and not of single heads."""
        cells = self._cells.get((edition, model, dataset), {})
        return [
            cell
            for name, cell in cells.items()
            if not name.startswith(SINGLE_HEAD)
            and not any(name == family or name.startswith(f"{family}/") for family in families)
        ]

    def single_heads(self, edition: Edition, model: str, dataset: str) -> list[Cell]:
        cells = self._cells.get((edition, model, dataset), {})
        return [cell for name, cell in cells.items() if name.startswith(SINGLE_HEAD)]

    @property
    def scores(self) -> dict[str, dict[str, Run]]:
        """``{where scores come from: {model: its newest run with judged heads}}``."""
        found: dict[str, dict[str, Run]] = {}
        for (scores, model), run in sorted(self._scored.items(), key=lambda item: item[0]):
            found.setdefault(scores, {})[model] = run
        return found
