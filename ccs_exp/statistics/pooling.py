"""One estimate out of several models' (random effects)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ccs_exp.statistics.intervals import CONFIDENCE, Interval
from ccs_exp.statistics.rank_correlation import RankCorrelation

_LARGEST = 1 - 1e-6  # correlations of exactly 1 have no transform


@dataclass(frozen=True)
class Pooled:
    """The mean over models, its 95% interval, and the standard deviation `between` models beyond what chance explains."""

    value: float
    interval: Interval
    between: float
    count: int


def pooled(values: Sequence[float], errors: Sequence[float]) -> Pooled | None:
    """Random-effects mean of estimates with their standard errors (statsmodels; Paule and Mandel's variance between models).

    The interval is Student's with as many degrees of freedom as there are models less one: six models are few. None for fewer than two.
    """
    from statsmodels.stats.meta_analysis import combine_effects

    if len(values) < 2:
        return None
    with np.errstate(divide="ignore"):  # of a share of variance that is not used, where all are equal
        found = combine_effects(np.asarray(values, float), np.asarray(errors, float) ** 2, method_re="iterated", use_t=True)
    low, high = found.conf_int(alpha=1 - CONFIDENCE)[1]
    return Pooled(float(found.mean_effect_re), Interval(float(low), float(high)), math.sqrt(max(found.tau2, 0.0)), len(values))


def pooled_rho(correlations: Sequence[RankCorrelation]) -> Pooled | None:
    """The same of correlations, those that have an interval: on Fisher's scale, where intervals are even, and back.

    `between` stays on Fisher's scale.
    """
    known = [(item.rho, item.interval) for item in correlations if item.rho is not None and item.interval is not None]
    known = [(rho, interval) for rho, interval in known if interval.high > interval.low]
    found = pooled([_fisher(rho) for rho, _ in known], [_error(interval) for _, interval in known])
    if found is None:
        return None
    low, high = found.interval
    return Pooled(math.tanh(found.value), Interval(math.tanh(low), math.tanh(high)), found.between, found.count)


def _fisher(rho: float) -> float:
    return math.atanh(max(-_LARGEST, min(_LARGEST, rho)))


def _error(interval: Interval) -> float:
    from scipy.stats import norm

    return (_fisher(interval.high) - _fisher(interval.low)) / (2 * float(norm.isf((1 - CONFIDENCE) / 2)))
