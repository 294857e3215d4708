"""Runs of one edition as what claims are asked of: the same samples under two conditions, where one run has both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
from jaxtyping import Float

from ccs_exp.heads import DESCRIPTIONS_PER_HEAD, ORIGINAL
from ccs_exp.report.answers import Answers, read_answers
from ccs_exp.report.reproduction.cells import Book, Cell
from ccs_exp.report.reproduction.claims.estimates import REACH, Estimate, of_groups, of_normal, of_pairs, share_error
from ccs_exp.report.reproduction.collect import Edition, Run


class RunSource:
    """The cells of an edition, and of the same with heads in equal number. Quick looks (`dataset.limit`) count like others.

    Answers to the same samples are compared pair by pair (McNemar's exact test, one-sided; videos by flipped signs); of several draws
    their mean, whose spread between draws enters the error. Without kept predictions, and of a mean over tasks, accuracies are compared
    as if of different samples.
    """

    how = "the same samples under both: exact sign tests, Newcombe's intervals; videos by flipped signs; means of draws with their spread"

    def __init__(self, book: Book, edition: Edition):
        self._book, self._editions = book, {False: edition, True: replace(edition, equal=True)}
        found = [self._book.datasets(one) for one in self._editions.values()]
        self.name = str(edition)
        self.datasets = tuple(dict.fromkeys(name for datasets in found for name in datasets))
        self.models = tuple(dict.fromkeys(model for datasets in found for models in datasets.values() for model in models))
        self._answers: dict[str, Answers | None] = {}

    def more(self, model: str, dataset: str, one: str, other: str = ORIGINAL, equal: bool = False) -> Estimate | None:
        both = [self._cells(model, dataset, name, equal) for name in (one, other)]
        if not all(both):
            return None
        paired = self._paired(*both)
        return paired or _unpaired(*both)

    def beside_matched(self, model: str, dataset: str, condition: str) -> Estimate | None:
        """The error is that of the condition's own cost: the mean over some hundred sets has hardly any of its own."""
        for cell in self._cells(model, dataset, condition):
            metric, p = cell.run.contents.primary, cell.condition.p_matched
            null, interval = cell.run.contents.matched(cell.condition.name), cell.condition.delta_intervals.get(metric)
            mean = null.deltas.get(metric) if null else None
            if p is None or mean is None or cell.delta is None or interval is None:
                continue
            value = mean - cell.delta
            p_for, p_against = (p / 2, 1 - p / 2) if value > 0 else (1 - p / 2, p / 2)
            return Estimate(value, (interval.high - interval.low) / (2 * REACH), p_for, p_against)
        return None

    def heads(self, model: str, dataset: str, condition: str) -> int | None:
        cells = self._cells(model, dataset, condition)
        return cells[0].condition.num_pruned if cells else None

    def consistent(self, model: str) -> tuple[int, int] | None:
        """Of high heads where only classes are known (published sets)."""
        heads = next((run.contents.heads for run in self._newest if run.model == model), ())
        judged = [head for head in heads if head.ccs is not None or head.ccs_class]
        return (sum(head.ccs == DESCRIPTIONS_PER_HEAD for head in judged), len(judged)) if judged else None

    def retrieval(self, dataset: str) -> bool:
        return any(run.dataset == dataset and "_R@" in run.contents.primary for run in self._newest)

    @cached_property
    def concepts(self) -> Sequence[str]:
        names = (item.name for run in self._newest for item in run.conditions)
        return sorted({name.removeprefix("concept/") for name in names if name.startswith("concept/")})

    @cached_property
    def _newest(self) -> Sequence[Run]:
        cells = (cell for model in self.models for name in self.datasets for cell in self._cells(model, name, ORIGINAL))
        more = (cell for model in self.models for name in self.datasets for cell in self._cells(model, name, ORIGINAL, equal=True))
        return [cell.run for cell in (*cells, *more)]

    def _cells(self, model: str, dataset: str, name: str, equal: bool = False) -> list[Cell]:
        cells = self._book.family(self._editions[equal], model, dataset, name)
        return [cell for cell in cells if not cell.condition.empty and cell.value is not None]

    def _paired(self, more: Sequence[Cell], less: Sequence[Cell]) -> Estimate | None:
        runs = {id(cell.run): cell.run for cell in (*more, *less)}
        answers = self._answers_of(next(iter(runs.values()))) if len(runs) == 1 else None
        names = [[cell.condition.name for cell in cells] for cells in (more, less)]
        known = (answers.hits or answers.ranks) if answers else {}
        if answers is None or not all(name in known for name in (*names[0], *names[1])):
            return None
        if answers.targets is not None and len(more) == len(less) == 1:
            return of_pairs(answers.hits[names[1][0]], answers.hits[names[0][0]])
        costly, cheap = (_mean_hits(answers, conditions) for conditions in names)
        groups = answers.samples if answers.targets is None else np.arange(len(answers.samples))
        return of_groups(cheap - costly, groups, _between(more) + _between(less))

    def _answers_of(self, run: Run) -> Answers | None:
        """Of the run's one task, or from text to video."""
        key = str(run.path)
        if key not in self._answers:
            found = read_answers(run.path)
            self._answers[key] = found.get("t2v") or (next(iter(found.values())) if len(found) == 1 else None)
        return self._answers[key]


def _mean_hits(answers: Answers, conditions: Sequence[str]) -> Float[np.ndarray, " samples"]:
    hits = [answers.hits[name] if answers.targets is not None else answers.ranks[name] <= 1 for name in conditions]
    return np.mean(hits, axis=0, dtype=float)


def _between(draws: Sequence[Cell]) -> float:
    """The variance of the mean over draws of heads; 0 of a single set."""
    values = [cell.value for cell in draws if cell.value is not None]
    return float(np.var(values, ddof=1)) / len(values) if len(values) > 1 else 0.0


def _unpaired(more: Sequence[Cell], less: Sequence[Cell]) -> Estimate | None:
    """Accuracies as of different samples, which makes the error too large."""
    means, variance = [], 0.0
    for cells in (more, less):
        samples = cells[0].run.summary.get("num_samples")
        values = [cell.value for cell in cells if cell.value is not None]
        if not samples:
            return None
        means.append(float(np.mean(values)))
        variance += share_error(min(max(means[-1], 0.0), 1.0), samples) ** 2 + _between(cells)
    return of_normal(round(means[1] - means[0], 9), math.sqrt(variance))
