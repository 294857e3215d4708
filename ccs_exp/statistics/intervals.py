"""How sure a number is: intervals, paired tests, corrections."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean, stdev
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

CONFIDENCE = 0.95
_RESAMPLES = 999


class Interval(NamedTuple):
    """A 95% confidence interval."""

    low: float
    high: float


@dataclass(frozen=True)
class Paired:
    """The same samples answered twice: before and after heads were silenced.

    Attributes:
        lost, gained: samples that were right before only, or after only.
        delta: share right after minus share right before; `interval`: Newcombe's score interval (see `newcombe`).
        p: exact McNemar test, two-sided.
    """

    count: int
    lost: int
    gained: int
    delta: float
    interval: Interval
    p: float


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation (None for a single value)."""

    mean: float
    sd: float | None
    count: int


@lru_cache(maxsize=4096)  # conditions of a run often share their counts
def wilson(hits: int, count: int) -> Interval | None:
    """Wilson's interval of a proportion; None without samples."""
    from scipy.stats import binomtest

    if count == 0:
        return None
    low, high = binomtest(hits, count, hits / count).proportion_ci(CONFIDENCE, method="wilson")
    return Interval(float(low), float(high))


def newcombe(both: int, lost: int, gained: int, neither: int) -> Interval | None:
    """The score interval of a difference of paired proportions: share right after minus share right before; None without samples.

    Newcombe, Statistics in Medicine 17 (1998), 2635, method 10: Wilson's intervals of the two shares, joined by their
    correlation phi with its continuity correction. It has a width also where no sample changed.

    Args:
        both, lost, gained, neither: numbers of samples that were right before and after, before only, after only, never.
    """
    count = both + lost + gained + neither
    before, after = wilson(both + lost, count), wilson(both + gained, count)
    if before is None or after is None:
        return None
    p_before, p_after = (both + lost) / count, (both + gained) / count
    excess = float(both * neither - lost * gained)
    if excess > 0:
        excess = max(excess - count / 2, 0.0)
    margins = (both + lost) * (gained + neither) * (both + gained) * (lost + neither)
    phi = excess / math.sqrt(margins) if margins else 0.0

    def reach(one: float, other: float) -> float:
        return math.sqrt(max(one**2 - 2 * phi * one * other + other**2, 0.0))

    delta = p_after - p_before
    return Interval(
        delta - reach(p_after - after.low, before.high - p_before), delta + reach(after.high - p_after, p_before - before.low)
    )


def bootstrap_mean(values: Float[np.ndarray, " values"], seed: int = 0) -> Interval | None:
    """Percentile bootstrap of the mean; None for fewer than two values, or for some that are not finite."""
    from scipy.stats import bootstrap

    if len(values) < 2 or not np.isfinite(values).all():
        return None
    result = bootstrap(
        [values],
        np.mean,
        n_resamples=_RESAMPLES,
        batch=max(1, 4_000_000 // len(values)),
        vectorized=True,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(float(result.low), float(result.high))


def paired(before: np.ndarray, after: np.ndarray) -> Paired | None:
    """Compare hits (booleans) of the same samples in the same order; None without samples."""
    from scipy.stats import binom

    before, after = np.asarray(before, dtype=bool), np.asarray(after, dtype=bool)
    if before.shape != after.shape:
        raise ValueError(f"{before.shape} and {after.shape} are not the same samples")
    lost, gained = int((before & ~after).sum()), int((~before & after).sum())
    both, neither = int((before & after).sum()), int((~before & ~after).sum())
    interval = newcombe(both, lost, gained, neither)
    if interval is None:
        return None
    p = 2 * float(binom.cdf(min(lost, gained), lost + gained, 0.5)) if lost + gained else 1.0  # McNemar's exact test
    return Paired(before.size, lost, gained, (gained - lost) / before.size, interval, min(p, 1.0))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's correction over the comparisons of one table; those without a test (None) do not count.

    As statsmodels' `multipletests`, which collects the process's garbage at every call: a fifth of a second.
    """
    known = np.array([p for p in p_values if p is not None], dtype=float)
    order = known.argsort(kind="stable")
    corrected = np.empty_like(known)
    corrected[order] = np.minimum(np.maximum.accumulate(known[order] * np.arange(len(known), 0, -1)), 1.0)
    found = iter(corrected.tolist())
    return [None if p is None else next(found) for p in p_values]


def holm_in_family(p_values: Mapping[str, float | None], family: Collection[str]) -> dict[str, float | None]:
    """Holm's correction over the comparisons that are the hypotheses; None for all others, such as random controls.

    Raises ValueError for members of the family that were not compared.
    """
    unknown = sorted(set(family) - set(p_values))
    if unknown:
        raise ValueError(f"{', '.join(unknown)} belong to the family but were not compared; there are {', '.join(p_values)}")
    members = [name for name in p_values if name in family]
    corrected = dict(zip(members, holm([p_values[name] for name in members]), strict=True))
    return {name: corrected.get(name) for name in p_values}


def spread(values: Sequence[float]) -> Spread | None:
    """Mean and sample standard deviation; None without values."""
    return Spread(fmean(values), stdev(values) if len(values) > 1 else None, len(values)) if values else None
