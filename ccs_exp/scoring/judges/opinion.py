"""What a judge thought of a question, in more detail than its verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ccs_exp.scoring.judges.judge import Judge, Question, Verdict


@dataclass(frozen=True)
class Opinion:
    """One judge's verdict on one question.

    `p_aligned` is the probability (0..1) that the model gave to "aligned", None where it was not asked for; `model` and
    `fingerprint` are the reply's own; `reply` is the key of the kept reply; `reason` says why there is no verdict.
    """

    judge: str
    question: Question
    verdict: Verdict
    p_aligned: float | None = None
    model: str | None = None
    fingerprint: str | None = None
    reply: str | None = None
    reason: str | None = None

    @property
    def confidence(self) -> float | None:
        """The probability of the verdict itself."""
        if self.p_aligned is None or self.verdict is Verdict.UNJUDGED:
            return None
        return self.p_aligned if self.verdict is Verdict.ALIGNED else 1 - self.p_aligned


@runtime_checkable
class HasOpinions(Protocol):
    """A judge with more to say than verdicts."""

    @property
    def opinions(self) -> tuple[Opinion, ...]:
        """The opinions behind all verdicts that it has given."""


def opinions_of(judge: Judge) -> tuple[Opinion, ...]:
    """The opinions behind all verdicts that `judge` has given; none for a judge that has nothing to say beyond its verdicts."""
    return judge.opinions if isinstance(judge, HasOpinions) else ()
