"""Run folders arranged as the paper's tables and figures are."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ccs_exp.report.reproduction.cells import Book
from ccs_exp.report.reproduction.claims.runs import RunSource
from ccs_exp.report.reproduction.claims.sources import PaperSource
from ccs_exp.report.reproduction.claims.statements import findings
from ccs_exp.report.reproduction.claims.words import Answer
from ccs_exp.report.reproduction.collect import Collection, Edition, collect
from ccs_exp.report.reproduction.contradictions import contradictions
from ccs_exp.report.reproduction.evidence import SweepEvidence, sweep_evidence
from ccs_exp.report.reproduction.heads import Agreement, AtK, Example, agreement, ccs_at_k, examples
from ccs_exp.report.reproduction.layers import OfModel, concepts_over_layers
from ccs_exp.report.reproduction.paper import Paper, View, load_paper
from ccs_exp.report.reproduction.tables import Table, other_tables, paper_table

_NO_RUNS = Edition("no run", "paper")


@dataclass(frozen=True)
class Reproduction:
    """All that the page and the files show.

    Attributes:
        views: the paper's tables and figures, each for every edition that has cells.
        layers: which concepts stand in which layers, by where scores come from.
        contradictions: between the authors' head sets and the paper.
        answers: what the paper's numbers, and the runs of each edition, say of the paper's claims.
    """

    collection: Collection
    book: Book
    paper: Paper
    views: tuple[tuple[View, tuple[Table, ...]], ...]
    others: tuple[Table, ...]
    examples: dict[str, list[Example]]
    agreement: list[Agreement]
    at_k: dict[str, list[AtK]]
    answers: tuple[Answer, ...]
    layers: dict[str, list[OfModel]]
    contradictions: list[str]
    evidence: SweepEvidence
    seed: int

    @property
    def tables(self) -> list[Table]:
        return [*(table for _, tables in self.views for table in tables), *self.others]


def reproduce(directories: Iterable[str | Path], seed: int = 0) -> Reproduction:
    """Collect the runs below `directories` and arrange them. `seed`: of the heads drawn for Table 1."""
    return arranged(collect(directories), seed)


def arranged(collection: Collection, seed: int = 0) -> Reproduction:
    """Runs, also none at all, in the paper's arrangement."""
    paper = load_paper()
    book = Book(collection.runs)
    views = []
    for view in paper.views.values():
        tables = [paper_table(book, paper, view, edition) for edition in book.editions if edition.equal == view.equal]
        filled = tuple(table for table in tables if table.filled)
        views.append((view, filled or (paper_table(book, paper, view, _NO_RUNS),)))
    others = tuple(table for edition in book.editions for table in other_tables(book, paper, edition))
    drawn, agreed = examples(book, seed), agreement(collection, paper)
    at_k, answers = ccs_at_k(book, paper), (paper_answer(), *_answers(book, paper))
    of_heads = concepts_over_layers(book, paper), contradictions(paper)
    evidence = sweep_evidence(collection.runs)
    return Reproduction(collection, book, paper, tuple(views), others, drawn, agreed, at_k, answers, *of_heads, evidence, seed)


@functools.cache
def paper_answer() -> Answer:
    """What the paper's own numbers say of its claims."""
    paper = load_paper()
    source = PaperSource(paper)
    return source, findings(source, paper)


def _answers(book: Book, paper: Paper) -> Iterator[Answer]:
    """What the runs of each edition say, with those of the same edition whose heads are in equal number."""
    for edition in dict.fromkeys(replace(edition, equal=False) for edition in book.editions):
        source = RunSource(book, edition)
        yield source, findings(source, paper)
