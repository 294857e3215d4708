"""A family of comparisons, and what it says of the claim that they are all above zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from ccs_exp.report.reproduction.claims.estimates import Estimate
from ccs_exp.statistics.intervals import holm
from ccs_exp.statistics.pooling import Pooled, pooled_by_group

SURE = 0.05


class Verdict(StrEnum):
    HOLDS = "holds"
    FAILS = "does not hold"
    UNKNOWN = "cannot be told"


@dataclass(frozen=True)
class Comparison:
    """One comparison of a family: `estimate` is above zero where it speaks for the claim. `group`: what it shares with others (a model)."""

    name: str
    estimate: Estimate
    group: str | None = None
    adjusted_for: float = 1.0  # p after Holm's correction over the family
    adjusted_against: float = 1.0

    @property
    def sure(self) -> bool:
        return self.adjusted_for < SURE

    @property
    def contradicts(self) -> bool:
        return self.adjusted_against < SURE

    @property
    def against(self) -> bool:
        """Whether the number itself speaks against the claim, sure or not; an equal one does too."""
        return self.estimate.value <= 0


@dataclass(frozen=True)
class Finding:
    """What a source says of a claim. `overall`: one estimate over the family, where its comparisons are of one kind."""

    comparisons: tuple[Comparison, ...]
    overall: Pooled | None

    @property
    def against(self) -> tuple[Comparison, ...]:
        return tuple(item for item in self.comparisons if item.against)

    @property
    def verdict(self) -> Verdict:
        """Of the claim as it is made, in every case: it does not hold where one contradicts it surely, and holds where all are sure."""
        if any(item.contradicts for item in self.comparisons):
            return Verdict.FAILS
        return Verdict.HOLDS if self.comparisons and all(item.sure for item in self.comparisons) else Verdict.UNKNOWN


def finding(comparisons: Sequence[Comparison]) -> Finding:
    """With Holm's correction over the family, in either direction; overall a random-effects estimate over groups of random effects."""
    p_for, p_against = (
        [p for p in holm([getattr(item.estimate, name) for item in comparisons]) if p is not None] for name in ("p_for", "p_against")
    )
    tested = tuple(
        replace(item, adjusted_for=one, adjusted_against=other)
        for item, one, other in zip(comparisons, p_for, p_against, strict=True)
    )
    overall = None
    if comparisons and all(item.group is not None for item in comparisons):
        values, errors = ([getattr(item.estimate, name) for item in comparisons] for name in ("value", "error"))
        overall = pooled_by_group(values, errors, [str(item.group) for item in comparisons])
    return Finding(tested, overall)
