"""Where a value stands among those of sets that are exchangeable with its own under the null."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_SAME = 1e-9  # values closer than this are equal: files keep six decimals


@dataclass(frozen=True)
class NullPlace:
    """Of `draws` sets, `as_bad` cost as much as the tested one or more, `as_good` as much or less."""

    as_bad: int
    as_good: int
    draws: int
    all_there_are: bool

    @property
    def p_worse(self) -> float:
        """One-sided: that the tested set costs more. (1 + k) / (N + 1) of random draws, k / N where all sets are enumerated."""
        return self._p(self.as_bad)

    @property
    def p_better(self) -> float:
        return self._p(self.as_good)

    @property
    def p(self) -> float:
        """Two-sided: twice the smaller, at most 1."""
        return min(1.0, 2 * min(self.p_worse, self.p_better))

    def _p(self, as_far: int) -> float:
        return as_far / self.draws if self.all_there_are else (1 + as_far) / (self.draws + 1)


def null_place(cost: float, costs: Sequence[float], all_there_are: bool) -> NullPlace:
    """The place of `cost` among `costs` of the null's sets; `all_there_are`: they are every set that there is, the tested one too."""
    found = np.asarray(costs, dtype=float)
    as_bad, as_good = int((found >= cost - _SAME).sum()), int((found <= cost + _SAME).sum())
    return NullPlace(as_bad, as_good, len(found), all_there_are)
