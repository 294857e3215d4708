"""What a judge thought of a question, in more detail than its verdict."""

from __future__ import annotations

from collections.abc import Iterable
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


class Spoken:
    """The opinions of a judge, or of several: what each said first of a question counts."""

    def __init__(self) -> None:
        self._opinions: dict[tuple[str, Question], Opinion] = {}

    @property
    def opinions(self) -> tuple[Opinion, ...]:
        return tuple(self._opinions.values())

    def speak(self, told: Iterable[Opinion]) -> list[Verdict]:
        """Keep what was told; the verdicts in it."""
        told = list(told)
        for opinion in told:
            self._opinions.setdefault((opinion.judge, opinion.question), opinion)
        return [opinion.verdict for opinion in told]


def opinions_of(judge: Judge) -> tuple[Opinion, ...]:
    """The opinions behind all verdicts that `judge` has given; none for a judge that has nothing to say beyond its verdicts."""
    return judge.opinions if isinstance(judge, HasOpinions) else ()
