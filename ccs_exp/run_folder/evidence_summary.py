"""What ``summary.json`` holds under ``evidence``, by type. What a job did not ask for has no key."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, FiniteFloat
from typing_extensions import TypedDict

Natural = Annotated[int, Field(ge=0)]
Ends = Annotated[list[FiniteFloat], Field(min_length=2, max_length=2)]


class Correlation(TypedDict):
    """CCS against mean standardised cost, centred within layers; `rho` is None where it is not defined, for a `reason`."""

    heads: Natural
    rho: FiniteFloat | None
    low: FiniteFloat | None
    high: FiniteFloat | None
    p: FiniteFloat | None
    spearman: FiniteFloat | None
    reason: str | None


class LabelsRight(TypedDict):
    """Of some heads (`ccs_exp.evidence.label_truth.TruthShare`)."""

    right: Natural
    tested: Natural
    untested: Natural
    permuted: FiniteFloat | None
    p: FiniteFloat | None


class LabelsOfHeads(TypedDict):
    all: LabelsRight
    high: LabelsRight
    others: LabelsRight


class Senses(TypedDict, total=False):
    """In which labels can be right: of the most affected task, of what the head represents."""

    most_affected: LabelsOfHeads
    represents: LabelsOfHeads


class ForemostHead(TypedDict):
    """One that matters much: the standardised cost of its most affected task."""

    head: str
    label: str | None
    ccs: Natural | None
    task: str
    standardised: FiniteFloat


class Specificity(TypedDict):
    """The mean over `heads`, and how many have an interval above zero."""

    mean: FiniteFloat
    above_zero: Natural
    heads: Natural


class AgainstMatched(TypedDict):
    """A condition beside the sets that match it layer by layer, in standard deviations, averaged over tasks."""

    condition: str
    cost: FiniteFloat
    null_mean: FiniteFloat
    null_low: FiniteFloat
    null_high: FiniteFloat
    draws: Natural
    p: FiniteFloat


class CurveArea(TypedDict):
    """The area of one order's curve above another's, a fraction."""

    task: str
    first: str
    second: str
    area: FiniteFloat
    low: FiniteFloat
    high: FiniteFloat


class IntrudersFound(TypedDict):
    """The mean share over heads (chance 0.2) of the intruders that a judge found; None where it gave no answer.

    `area`: under the ROC curve, by which these shares tell heads of high CCS from those of low; None where one class is absent.
    """

    judge: str
    found: FiniteFloat | None
    interval: Ends | None
    area: FiniteFloat | None
    area_interval: Ends | None
    heads: Natural
    unanswered: Natural


class Again(TypedDict):
    """A share over `heads` of what came again."""

    value: FiniteFloat | None
    interval: Ends | None
    heads: Natural


class Stability(TypedDict):
    """With another probe, or another half of the same: descriptions, labels, scores, classes."""

    probe: str
    descriptions: Again
    label: Again
    ccs: Again
    ccs_class: Again


class MeanSkew(TypedDict):
    """MaxSkew of one attribute under a condition, over occupations, with its difference to the original's."""

    condition: str
    attribute: str
    occupations: Natural
    value: FiniteFloat
    delta: FiniteFloat
    delta_low: FiniteFloat | None
    delta_high: FiniteFloat | None
    p_holm: FiniteFloat | None
    p_matched: FiniteFloat | None
    matched_sets: Natural | None
    matched_mean: FiniteFloat | None


class EvidenceSummary(TypedDict, total=False):
    ccs_against_cost: Correlation
    labels_right: Senses
    heads: list[ForemostHead]
    specificity: Specificity
    nulls: list[AgainstMatched]
    areas: list[CurveArea]
    intruders: list[IntrudersFound]
    stability: list[Stability]
    skew: list[MeanSkew]
