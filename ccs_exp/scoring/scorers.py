"""What turns descriptions into scores, put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ccs_exp.llm.forecast import Forecast
from ccs_exp.llm.session import AsksModels, Session
from ccs_exp.scoring.ccs import Thresholds
from ccs_exp.scoring.judges.forecast import forecast
from ccs_exp.scoring.judges.judge import Judge
from ccs_exp.scoring.judges.label import Labeler
from ccs_exp.scoring.spans import HeadSpans


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
