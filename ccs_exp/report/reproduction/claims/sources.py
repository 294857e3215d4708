"""What claims are asked of: costs of silencing, by model, data set and condition. The paper's own are one such source."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Protocol

from ccs_exp.heads import ORIGINAL
from ccs_exp.report.reproduction.claims.estimates import Estimate, of_normal, share_error
from ccs_exp.report.reproduction.paper import Paper
from ccs_exp.scoring.ccs import Scores
from ccs_exp.scoring.published import published_scores


class Source(Protocol):
    """Costs are losses of the primary metric (top-1; R@1 of videos), as fractions; None is what the source does not say.

    `equal`: of high, low and random heads in equal number.
    """

    @property
    def name(self) -> str: ...

    @property
    def how(self) -> str:
        """How the source's comparisons are tested."""

    @property
    def models(self) -> Sequence[str]: ...

    @property
    def datasets(self) -> Sequence[str]: ...

    @property
    def concepts(self) -> Sequence[str]: ...

    def more(self, model: str, dataset: str, one: str, other: str = ORIGINAL, equal: bool = False) -> Estimate | None:
        """How much more silencing `one` costs than silencing `other` (than nothing)."""

    def beside_matched(self, model: str, dataset: str, condition: str) -> Estimate | None:
        """How much more a condition costs than sets of heads that match it layer by layer."""

    def heads(self, model: str, dataset: str, condition: str) -> int | None:
        """How many heads a condition silences."""

    def consistent(self, model: str) -> tuple[int, int] | None:
        """How many heads have CCS 5, and of how many."""

    def retrieval(self, dataset: str) -> bool: ...


class PaperSource:
    """The numbers of Tables 4 to 6 and those that the figures' text gives.

    The paper gives no predictions, so two accuracies on the same images are compared as if on different ones: their answers go together,
    so that the true error is smaller, and what is sure here is sure.
    """

    name = "the paper's own numbers"
    how = "accuracies as of unpaired samples, which makes p too large"

    def __init__(self, paper: Paper):
        self._paper = paper
        self.models = tuple(paper.models)
        self.datasets = tuple(paper.datasets)
        self.concepts = paper.concepts

    @cached_property
    def _scores(self) -> dict[str, Scores]:
        return {model: published_scores(model) for model in self.models}

    def more(self, model: str, dataset: str, one: str, other: str = ORIGINAL, equal: bool = False) -> Estimate | None:
        values = [self._value(model, dataset, condition) for condition in (one, other)]
        if equal or None in values:
            return None
        samples = self._paper.samples[dataset]
        error = math.hypot(*(share_error(value, samples) for value in values if value is not None))
        return of_normal(round((values[1] or 0.0) - (values[0] or 0.0), 9), error)  # as printed: to hundredths of a point

    def _value(self, model: str, dataset: str, condition: str) -> float | None:
        key = (model, dataset, condition)
        figures = (values.get(key) for values in self._paper.in_text.values())
        return self._paper.values.get(key, next((value for value in figures if value is not None), None))

    def beside_matched(self, model: str, dataset: str, condition: str) -> Estimate | None:
        return None

    def heads(self, model: str, dataset: str, condition: str) -> int | None:
        if condition not in ("high_ccs", "low_ccs"):
            return None
        return len(self._scores[model].of_class("high" if condition == "high_ccs" else "low"))

    def consistent(self, model: str) -> tuple[int, int] | None:
        scores = self._scores[model]
        return len(scores.of_class("high")), len(scores.heads)

    def retrieval(self, dataset: str) -> bool:
        return dataset in self._paper.groups["video"]
