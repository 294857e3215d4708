"""What turns descriptions into scores, put together; and what that will take of language models, before the first request is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ccs_exp.llm.prices import Forecast
from ccs_exp.llm.session import AsksModels, Session
from ccs_exp.scoring.ccs import Thresholds
from ccs_exp.scoring.judges.judge import Judge, Question
from ccs_exp.scoring.judges.label import Labeler
from ccs_exp.scoring.spans import HeadSpans

UNKNOWN_LABEL = "x" * 16  # in place of a label that is not known yet


@runtime_checkable
class KeepsLabels(AsksModels, Protocol):
    """A labeler that asks language models, and keeps what they said."""

    def kept_labels(self, heads: Sequence[HeadSpans]) -> list[str | None]:
        """The labels that are kept from earlier; nothing is asked."""


@dataclass(frozen=True)
class Scorers:
    """A labeler, a judge, the classes' thresholds, and what was asked of language models for them."""

    labeler: Labeler
    judge: Judge
    thresholds: Thresholds
    session: Session

    def check_ready(self) -> None:
        """Raise `CcsError` where a language model would be asked but cannot be."""
        for part in (self.labeler, self.judge):
            if isinstance(part, AsksModels):
                part.check_ready()

    def forecast(self, heads: Sequence[HeadSpans]) -> list[Forecast]:
        """What scoring `heads` would ask of language models."""
        return forecast(heads, self.labeler, self.judge)


def forecast(heads: Sequence[HeadSpans], labeler: Labeler, judge: Judge) -> list[Forecast]:
    """What labelling `heads` and judging their descriptions would take. Nothing is asked.

    A label that is neither given nor kept stands as one of average length, so its verdicts count as not kept.
    """
    found = list(labeler.forecast(heads)) if isinstance(labeler, KeepsLabels) else []
    if isinstance(judge, AsksModels):
        labels = labeler.kept_labels(heads) if isinstance(labeler, KeepsLabels) else labeler.label(heads)
        named = [(head, label or f"{UNKNOWN_LABEL}{head.head}") for head, label in zip(heads, labels, strict=True)]
        found += judge.forecast([Question(text, label) for head, label in named for text in head.descriptions])
    return found
