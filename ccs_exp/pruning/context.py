"""What strategies are given, and what they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ccs_exp.heads import Condition, Head
from ccs_exp.scoring.ccs import Scores


@dataclass(frozen=True)
class PruningContext:
    """What strategies choose from: the scored heads, and the shape and name of the image encoder that has them."""

    scores: Scores
    layers: int
    heads_per_layer: int
    model: str
    costs: Mapping[Head, float] | None = None  # of silencing each head alone, where a strategy asks for them

    @property
    def scored(self) -> tuple[Head, ...]:
        return tuple(score.head for score in self.scores.heads)

    @property
    def matched_count(self) -> int:
        """The smaller of the numbers of high and low heads."""
        return min(len(self.scores.of_class("high")), len(self.scores.of_class("low")))


class Strategy(Protocol):
    """A rule that names sets of heads. `matched` limits high, low and random alike to the smaller class's count."""

    def conditions(self, context: PruningContext, matched: Sequence[int] | None) -> Sequence[Condition]: ...
