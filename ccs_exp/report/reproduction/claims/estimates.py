"""How much more one thing costs than another, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import binomtest, norm

from ccs_exp.statistics.intervals import CONFIDENCE, Interval, paired
from ccs_exp.statistics.pooling import Pooled
from ccs_exp.statistics.resampling import sign_flip_p

REACH = float(norm.isf((1 - CONFIDENCE) / 2))  # standard errors, from a mean to the end of its interval


@dataclass(frozen=True)
class Estimate:
    """A difference of costs, a fraction; positive where the claim says so.

    Attributes:
        error: its standard error.
        p_for, p_against: one-sided: that it is not above zero, and not below. Both are 1 where nothing differs.
        interval: 95%.
    """

    value: float
    error: float
    p_for: float
    p_against: float
    interval: Interval | None = None


def of_normal(value: float, error: float) -> Estimate:
    """An estimate whose error is known well enough for the normal distribution: of thousands of samples."""
    interval = Interval(value - REACH * error, value + REACH * error)
    if value == 0:
        return Estimate(value, error, 1.0, 1.0, interval)
    return Estimate(value, error, float(norm.sf(value / error)), float(norm.cdf(value / error)), interval)


def share_error(share: float, samples: int) -> float:
    """The standard error of a share of `samples`, those of Agresti and Coull (1998) so that 0 and 1 have one too."""
    adjusted = (share * samples + 2) / (samples + 4)
    return math.sqrt(adjusted * (1 - adjusted) / (samples + 4))


def of_pairs(less: Bool[np.ndarray, " samples"], more: Bool[np.ndarray, " samples"]) -> Estimate | None:
    """How much more accuracy `more` costs than `less`: the same samples under both. Newcombe's interval, exact sign tests."""
    found = paired(less, more)
    if found is None:
        return None
    changed = found.lost + found.gained
    p_for, p_against = (
        float(binomtest(count, changed, alternative="greater").pvalue) if changed else 1.0 for count in (found.lost, found.gained)
    )
    variance = (changed - (found.lost - found.gained) ** 2 / found.count) / found.count**2
    # where no sample changed, as if one had
    error = math.sqrt(max(variance, 1 / found.count**2))
    return Estimate(-found.delta, error, p_for, p_against, Interval(-found.interval.high, -found.interval.low))


def of_groups(
    differences: Float[np.ndarray, " samples"], groups: Int[np.ndarray, " samples"], between: float = 0.0
) -> Estimate:
    """The mean of per-sample differences whose samples come in groups (videos); signs are flipped by group.

    `between`: the variance that random draws of heads add, of whose mean the differences are; with it the test is the normal one.
    """
    sums = np.bincount(groups, differences)
    counts = np.bincount(groups)
    value = float(differences.mean())
    residual = sums - value * counts
    kept = int((counts > 0).sum())
    variance = float((residual**2).sum()) / len(differences) ** 2 * kept / max(kept - 1, 1)
    error = math.sqrt(max(variance, 1 / len(differences) ** 2) + between)
    normal = of_normal(value, error)
    if between or value == 0:
        return normal
    p = float(sign_flip_p(differences[None], groups)[0])
    p_for, p_against = (p / 2, 1 - p / 2) if value > 0 else (1 - p / 2, p / 2)
    return Estimate(value, error, p_for, p_against, normal.interval)


def scaled(one: Estimate, by: float, other: Estimate, other_by: float) -> Estimate:
    """One estimate less another, each scaled, as if independent."""
    error = math.hypot(one.error * by, other.error * other_by)
    return of_normal(round(one.value * by - other.value * other_by, 12), error)


def mean_of(estimates: Sequence[Estimate | None]) -> Estimate | None:
    """Their mean, as if independent; None where one is missing."""
    known = [item for item in estimates if item]
    if not known or len(known) < len(estimates):
        return None
    error = math.sqrt(sum(item.error**2 for item in known)) / len(known)
    return of_normal(sum(item.value for item in known) / len(known), error)


def of_pooled(found: Pooled) -> Estimate:
    """A random-effects mean as one comparison of a family."""
    return Estimate(found.value, found.error, found.p_above, 1 - found.p_above, found.interval)
