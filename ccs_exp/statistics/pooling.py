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
    """The mean over models, its 95% interval, and the standard deviation `between` models beyond what chance explains.

    `error`: the standard error of `value`; `p_above`: one-sided, that the mean is not above zero.
    """

    value: float
    interval: Interval
    between: float
    count: int
    error: float

    @property
    def p_above(self) -> float:
        from scipy.stats import t

        return float(t.sf(self.value / self.error, self.count - 1))


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
    between, error = math.sqrt(max(found.tau2, 0.0)), float(found.sd_eff_w_re)
    return Pooled(float(found.mean_effect_re), Interval(float(low), float(high)), between, len(values), error)


def pooled_by_group(values: Sequence[float], errors: Sequence[float], groups: Sequence[str]) -> Pooled | None:
    """The same in two stages: estimates of one group (the data sets of a model) into one, then those over groups.

    Groups, not estimates, are what the interval generalises over: those of one group go together. None for fewer than two groups.
    """
    means, of_means = [], []
    for group in dict.fromkeys(groups):
        members = [(value, error) for value, error, name in zip(values, errors, groups, strict=True) if name == group]
        inside = pooled([value for value, _ in members], [error for _, error in members])
        value, error = (inside.value, inside.error) if inside else members[0]
        means.append(value)
        of_means.append(error)
    return pooled(means, of_means)


def pooled_rho(correlations: Sequence[RankCorrelation]) -> Pooled | None:
    """The same of correlations, those that have an interval: on Fisher's scale, where intervals are even, and back.

    `between` and `error` stay on Fisher's scale.
    """
    known = [(item.rho, item.interval) for item in correlations if item.rho is not None and item.interval is not None]
    known = [(rho, interval) for rho, interval in known if interval.high > interval.low]
    found = pooled([_fisher(rho) for rho, _ in known], [_error(interval) for _, interval in known])
    if found is None:
        return None
    low, high = found.interval
    return Pooled(math.tanh(found.value), Interval(math.tanh(low), math.tanh(high)), found.between, found.count, found.error)


def _fisher(rho: float) -> float:
    return math.atanh(max(-_LARGEST, min(_LARGEST, rho)))


def _error(interval: Interval) -> float:
    from scipy.stats import norm

    return (_fisher(interval.high) - _fisher(interval.low)) / (2 * float(norm.isf((1 - CONFIDENCE) / 2)))
