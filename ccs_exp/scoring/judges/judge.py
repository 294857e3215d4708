"""Judges: does a description align with the label of its head? (paper, section 4.1.3)"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, Protocol

from ccs_exp.scoring.taxonomy import load_taxonomy


class Verdict(StrEnum):
    """Whether a description aligns with a label; `UNJUDGED` is the absence of a verdict, not a no."""

    ALIGNED = "aligned"
    NOT_ALIGNED = "not_aligned"
    UNJUDGED = "unjudged"


class Question(NamedTuple):
    """Does this description align with this label?"""

    description: str
    label: str


class Judge(Protocol):
    """Answers questions, one verdict each, in their order."""

    @property
    def name(self) -> str: ...

    def judge(self, questions: Sequence[Question]) -> list[Verdict]: ...


class TaxonomyJudge:
    """A description is aligned if it carries a concept that the label asks for. Needs no language model, always answers the same.

    A label is a concept's name, or free text that names concepts or holds words of their lexicons ("Timepieces").
    A label that leads to no concept cannot be judged. A description that carries no concept is aligned with nothing.
    """

    name = "taxonomy"

    def __init__(self, directory: str | Path | None = None) -> None:
        """`directory`: a taxonomy of one's own; None is the packaged one. Raises `CcsError` if it cannot be read."""
        self.taxonomy = load_taxonomy(directory)

    def judge(self, questions: Sequence[Question]) -> list[Verdict]:
        """One verdict a question, in the same order."""
        return [self._verdict(question) for question in questions]

    def _verdict(self, question: Question) -> Verdict:
        wanted = self.taxonomy.concepts_of_label(question.label)
        if not wanted:
            return Verdict.UNJUDGED
        return Verdict.NOT_ALIGNED if wanted.isdisjoint(self.taxonomy.concepts_of(question.description)) else Verdict.ALIGNED
