"""What the report shows of heads: CCS@K (Table 3), examples (Table 1), agreement (Table 2), and what labels stand for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ccs_exp.report.contents import HeadResult
from ccs_exp.report.reproduction.cells import Book
from ccs_exp.report.reproduction.collect import Collection, Run
from ccs_exp.report.reproduction.paper import Paper, PaperModel
from ccs_exp.run_folder.columns import DESCRIPTION_COLUMNS
from ccs_exp.scoring.concepts import load_concepts

STATISTICS = ("kappa", "spearman", "kendall")
_EXAMPLES = 3  # heads of each class, as in Table 1
COLUMNS = {"high": ("High CCS", "CCS = 5"), "moderate": ("Moderate CCS", "CCS = 3"), "low": ("Low CCS", "CCS ≤ 1")}
_OF_CLASS = {"high": (5,), "moderate": (3,), "low": (0, 1)}


@dataclass(frozen=True)
class AtK:
    """A row of Table 3: the six fractions, ours (over the judged heads) and the paper's."""

    model: str
    title: str
    known: PaperModel | None
    ours: tuple[float | None, ...]
    paper: tuple[float | None, ...]
    heads: int  # judged ones
    of: int  # all scored ones
    run: Run | None

    @property
    def of_all(self) -> tuple[float | None, ...]:
        """The fractions over all scored heads, as the paper defines them: with unjudged heads they sum to less than 1."""
        return tuple(None if ours is None or not self.of else ours * self.heads / self.of for ours in self.ours)

    @property
    def differences(self) -> tuple[float | None, ...]:
        return tuple(
            None if ours is None or paper is None else ours - paper for ours, paper in zip(self.ours, self.paper, strict=True)
        )


@dataclass(frozen=True)
class Example:
    """A head of Table 1."""

    title: str  # of its class
    rule: str
    model: str | None  # the paper does not say
    head: str
    label: str
    described: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True)
class Agreement:
    """A row of Table 2: ours may be of several judges."""

    model: str
    title: str
    ours: Mapping[str, float | None] | None
    paper: Mapping[str, float] | None
    path: Path | None


@dataclass(frozen=True)
class Label:
    """The concepts that the packaged map takes a label of high heads for; none for an unmapped one."""

    label: str
    concepts: tuple[str, ...]
    heads: tuple[str, ...]


def ccs_at_k(book: Book, paper: Paper) -> dict[str, list[AtK]]:
    """Table 3 for each source of scores; the paper's alone (under an empty name) where no run has scores."""
    tables = {}
    for scores, by_model in (book.scores or {"": {}}).items():
        models = [*paper.models, *(model for model in by_model if model not in paper.models)]
        tables[scores] = [_at_k(model, by_model.get(model), paper) for model in models]
    return tables


def _at_k(model: str, run: Run | None, paper: Paper) -> AtK:
    known = paper.models.get(model)
    at_k = run.contents.ccs_at_k if run else None
    ours = tuple(at_k.get(k) if at_k else None for k in range(6))
    judged = sum(head.ccs is not None for head in run.contents.heads) if run else 0
    scored = len(run.contents.heads) if run else 0
    return AtK(model, paper.title(model), known, ours, paper.ccs_at_k.get(model, (None,) * 6), judged, scored, run)


def examples(book: Book, seed: int) -> dict[str, list[Example]]:
    """Table 1 for each source of scores: heads of all its models, drawn with `seed`, three of each class if there are."""
    tables = {}
    for scores, by_model in book.scores.items():
        generator, drawn = np.random.default_rng(seed), []
        for ccs_class, (title, rule) in COLUMNS.items():
            heads = [
                (model, head)
                for model, run in by_model.items()
                for head in run.contents.heads
                if head.ccs in _OF_CLASS[ccs_class] and head.label
            ]
            order = generator.permutation(len(heads))[:_EXAMPLES]
            drawn += [_example(title, rule, *heads[index]) for index in order]
        if drawn:
            tables[scores] = drawn
    return tables


def _example(title: str, rule: str, model: str, head: HeadResult) -> Example:
    return Example(title, rule, model, head.name, head.label or "", head.described)


def paper_examples(paper: Paper) -> list[Example]:
    """The paper's Table 1."""
    return [
        Example(
            *COLUMNS[row["class"]],
            None,
            row["head"],
            row["label"],
            tuple((row[column], None) for column in DESCRIPTION_COLUMNS),
        )
        for row in paper.examples
    ]


def agreement(collection: Collection, paper: Paper) -> list[Agreement]:
    """Table 2: the paper's three models, then others; a model's rows are those of every agreement.csv found."""
    ours: dict[str, list[dict[str, Any]]] = {}
    for row in collection.agreement:
        ours.setdefault(row["model"], []).append(row)
    rows: list[Agreement] = []
    for model in [*paper.agreement, *(name for name in ours if name not in paper.agreement)]:
        found: list[dict[str, Any] | None] = [*ours.get(model, ())]
        rows += [
            Agreement(model, paper.title(model), mine, paper.agreement.get(model), mine["path"] if mine else None)
            for mine in found or [None]
        ]
    return rows


def labels(book: Book) -> dict[str, dict[str, list[Label]]]:
    """``{where scores come from: {model: labels of its high heads}}``."""
    concepts = load_concepts()
    tables: dict[str, dict[str, list[Label]]] = {}
    for scores, by_model in book.scores.items():
        for model, run in by_model.items():
            heads: dict[str, list[str]] = {}
            for head in run.contents.heads:
                if head.ccs_class == "high" and head.label:
                    heads.setdefault(head.label, []).append(head.name)
            found = [Label(label, tuple(sorted(concepts.of(label))), tuple(names)) for label, names in sorted(heads.items())]
            if found:
                tables.setdefault(scores, {})[model] = found
    return tables
