"""Beside each head's label and CCS: what silencing it does, what it represents, whether its label is true. The rows of ``evidence.csv``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ccs_exp.evidence.causal_map import CausalMap, MostAffected, ccs_against_cost
from ccs_exp.evidence.concept_tests import ConceptTests, Task
from ccs_exp.evidence.intruder import IntruderShare
from ccs_exp.evidence.label_truth import LabelTruth, label_truth
from ccs_exp.evidence.stability import HeadStability
from ccs_exp.heads import Head
from ccs_exp.scoring.ccs import HeadScore
from ccs_exp.statistics.rank_correlation import RankCorrelation
from ccs_exp.statistics.roc import Area

COLUMNS = (
    *("head", "label", "ccs", "ccs_class", "most_affected", "standardised", "specificity", "specificity_low", "specificity_high"),
    *("label_most_affected", "represents", "label_represents", "detection", "detection_low", "detection_high", "intruder_found"),
    *("same_descriptions", "same_label", "same_ccs", "concepts_as_good", "label_tasks"),
)


@dataclass(frozen=True)
class HeadEvidence:
    """All that a job found of its scored heads; what it did not ask for is empty.

    Attributes:
        represented: the factor that each head represents, by its place; None: nothing was measured.
        detection: the area of each head's label.
        intruders: the share of intruders found among each head's descriptions.
        halves: what came again of each head with the other half of the probe.
        easily_had: how many other concepts would have got each head a CCS as high.
    """

    scores: Sequence[HeadScore]
    tests: ConceptTests
    map: CausalMap | None = None
    represented: Sequence[Task | None] | None = None
    factors: Sequence[Task] = ()
    detection: Mapping[Head, Area | None] = field(default_factory=dict)
    intruders: Mapping[Head, IntruderShare] = field(default_factory=dict)
    halves: Sequence[HeadStability] = ()
    easily_had: Sequence[int | None] = ()

    @property
    def labels(self) -> list[str | None]:
        return [score.label for score in self.scores]

    @cached_property
    def most_affected(self) -> Sequence[MostAffected | None]:
        return [None] * len(self.scores) if self.map is None else self.map.most_affected()

    def truth_of_effects(self) -> LabelTruth | None:
        """Whether labels name what silencing their head hurts most."""
        if self.map is None:
            return None
        return label_truth(self.labels, [None if found is None else found.task for found in self.most_affected], self.map.tasks, self.tests)

    def truth_of_representations(self) -> LabelTruth | None:
        """Whether labels name what their head represents."""
        if self.represented is None:
            return None
        return label_truth(self.labels, self.represented, self.factors, self.tests)

    def ccs_against_cost(self, seed: int = 0) -> RankCorrelation | None:
        """CCS against the mean standardised cost, within layers."""
        if self.map is None:
            return None
        return ccs_against_cost(self.map.heads, [score.ccs for score in self.scores], self.map.mean_standardised, seed=seed)

    def rows(self) -> list[dict[str, Any]]:
        """One for each scored head; what is not known is None."""
        affected, effects, represents = self.most_affected, self.truth_of_effects(), self.truth_of_representations()
        rows = []
        for place, score in enumerate(self.scores):
            found, area, intruder = affected[place], self.detection.get(score.head), self.intruders.get(score.head)
            half = self.halves[place] if self.halves else None
            ends = (None, None) if found is None or found.interval is None else (found.interval.low, found.interval.high)
            represented = None if self.represented is None else self.represented[place]
            area_ends = (None, None) if area is None or area.interval is None else (area.interval.low, area.interval.high)
            values = (
                *(str(score.head), score.label, score.ccs, score.ccs_class),
                *(found and str(found.task), found and found.cost, found and found.specificity, *ends),
                *(effects and effects.right[place], represented and str(represented), represents and represents.right[place]),
                *(area and area.value, *area_ends, intruder and intruder.found),
                *((half.descriptions, half.label, half.ccs) if half else (None,) * 3),
                *(self.easily_had[place] if self.easily_had else None, "; ".join(self._tasks_of(score.label)) or None),
            )
            rows.append(dict(zip(COLUMNS, values, strict=True)))
        return rows

    def _tasks_of(self, label: str | None) -> list[str]:
        """The tasks measured that test a label."""
        tasks = self.factors if self.map is None else self.map.tasks
        return [str(task) for task in tasks if self.tests.tests(label, task)]

    def summary(self, seed: int = 0) -> dict[str, Any]:
        """What ``summary.json`` says under ``evidence``."""
        found: dict[str, Any] = {}
        correlation = self.ccs_against_cost(seed)
        if correlation is not None:
            interval = correlation.interval
            found["ccs_against_cost"] = {
                "heads": correlation.count,
                "rho": correlation.rho,
                "low": interval and interval.low,
                "high": interval and interval.high,
                "p": correlation.p,
                "spearman": correlation.spearman,
                "reason": correlation.reason,
            }
        for name, truth in (("most_affected", self.truth_of_effects()), ("represents", self.truth_of_representations())):
            if truth is not None:
                found.setdefault("labels_right", {})[name] = self._shares(truth, seed)
        if self.map is not None:
            found["heads"] = self._foremost()
            specific = [item for item in self.most_affected if item is not None and item.specificity is not None]
            if specific:
                above = sum(item.interval is not None and item.interval.low > 0 for item in specific)
                mean = float(np.mean([item.specificity for item in specific if item.specificity is not None]))
                found["specificity"] = {"mean": mean, "above_zero": above, "heads": len(specific)}
        return found

    def _shares(self, truth: LabelTruth, seed: int) -> dict[str, Any]:
        high = np.array([score.ccs_class == "high" for score in self.scores])
        return {name: vars(truth.share(of, seed=seed)) for name, of in (("all", None), ("high", high), ("others", ~high))}

    def _foremost(self, count: int = 5) -> list[dict[str, Any]]:
        """The heads that matter most for some task, the highest standardised cost first."""
        found = [(item, score) for item, score in zip(self.most_affected, self.scores, strict=True) if item is not None]
        found.sort(key=lambda pair: -pair[0].cost)
        return [
            {"head": str(score.head), "label": score.label, "ccs": score.ccs, "task": str(item.task), "standardised": item.cost}
            for item, score in found[:count]
        ]
