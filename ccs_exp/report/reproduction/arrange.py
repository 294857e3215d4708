"""Run folders arranged as the paper's tables and figures are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ccs_exp.report.reproduction.cells import Book
from ccs_exp.report.reproduction.collect import Collection, Edition, collect
from ccs_exp.report.reproduction.evidence import SweepEvidence, sweep_evidence
from ccs_exp.report.reproduction.heads import Agreement, AtK, Example, agreement, ccs_at_k, examples
from ccs_exp.report.reproduction.paper import Paper, View, load_paper
from ccs_exp.report.reproduction.tables import Table, other_tables, paper_table

_NO_RUNS = Edition("no run", "standard")


@dataclass(frozen=True)
class Reproduction:
    """All that the page and the files show. `views`: the paper's tables and figures, each for every edition that has cells."""

    collection: Collection
    book: Book
    paper: Paper
    views: tuple[tuple[View, tuple[Table, ...]], ...]
    others: tuple[Table, ...]
    examples: dict[str, list[Example]]
    agreement: list[Agreement]
    at_k: dict[str, list[AtK]]
    evidence: SweepEvidence
    seed: int

    @property
    def tables(self) -> list[Table]:
        return [*(table for _, tables in self.views for table in tables), *self.others]


def reproduce(directories: Iterable[str | Path], seed: int = 0) -> Reproduction:
    """Collect the runs below `directories` and arrange them. `seed`: of the heads drawn for Table 1."""
    collection, paper = collect(directories), load_paper()
    book = Book(collection.runs)
    views = []
    for view in paper.views.values():
        tables = [paper_table(book, paper, view, edition) for edition in book.editions if edition.equal == view.equal]
        filled = tuple(table for table in tables if table.filled)
        views.append((view, filled or (paper_table(book, paper, view, _NO_RUNS),)))
    others = tuple(table for edition in book.editions for table in other_tables(book, paper, edition))
    drawn, agreed = examples(book, seed), agreement(collection, paper)
    evidence = sweep_evidence(collection.runs)
    return Reproduction(collection, book, paper, tuple(views), others, drawn, agreed, ccs_at_k(book, paper), evidence, seed)
