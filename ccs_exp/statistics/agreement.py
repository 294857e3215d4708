"""How far two raters of the same descriptions agree (paper, section 4.2): Cohen's kappa, Spearman's rho, Kendall's tau-b.

Ratings are yes or no, so four counts hold all that is in them; rho and tau-b then are the same number, the phi coefficient.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

RESAMPLES = 9999
_CONFIDENCE = (2.5, 97.5)
_MOST_UNDEFINED = 0.05  # of the resamples; beyond it the others no longer stand for all

Counts = Float[np.ndarray, "*resamples groups"]


@dataclass(frozen=True)
class Estimate:
    """A statistic with its 95% bootstrap interval. What is undefined is None, and `reason` says why."""

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Agreement:
    """Two raters over `count` descriptions. `yes_first` and `yes_second` are their shares of yes (prevalence), 0..1."""

    count: int
    yes_first: float | None
    yes_second: float | None
    raw: Estimate
    kappa: Estimate
    spearman: Estimate
    kendall: Estimate


def agreement(
    first: Sequence[bool],
    second: Sequence[bool],
    groups: Sequence[Hashable] | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Agreement:
    """The agreement of two raters.

    Args:
        first, second: yes (True) or no of each rater, one entry a description, in the same order.
        groups: what the descriptions belong together in, such as their head. The bootstrap draws whole groups, because
            descriptions that share a label are not independent. None: each description by itself.
        resamples: of the bootstrap (percentile intervals).

    Raises:
        ValueError: sequences of different length.
    """
    if not len(first) == len(second) == len(first if groups is None else groups):
        raise ValueError(f"{len(first)} and {len(second)} ratings, {len(groups or first)} groups: they must be of one length")
    if not len(first):
        nothing = Estimate(None, reason="there is no description that both rated")
        return Agreement(0, None, None, nothing, nothing, nothing, nothing)
    one, other = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    counts = _counts_by_group(one, other, range(len(one)) if groups is None else groups)

    def estimate(statistic: Callable[..., np.ndarray], constant: str | None = None) -> Estimate:
        value = float(statistic(*counts))
        if constant:  # then kappa is 0 or undefined, and the correlations are undefined, also in every resample
            return Estimate(None if np.isnan(value) else value, reason=constant)
        return _with_interval(value, statistic, counts, resamples, seed)

    constant = _constant(one, other)
    kappa, phi = estimate(kappa_of_counts, constant), estimate(phi_of_counts, constant)
    return Agreement(len(one), float(one.mean()), float(other.mean()), estimate(raw_of_counts), kappa, phi, phi)


def raw_of_counts(both: Counts, only_first: Counts, only_second: Counts, neither: Counts, axis: int = -1) -> np.ndarray:
    """The share of descriptions rated alike, from counts summed over `axis`."""
    a, b, c, d = (counts.sum(axis) for counts in (both, only_first, only_second, neither))
    return _divided(a + d, a + b + c + d)


def kappa_of_counts(both: Counts, only_first: Counts, only_second: Counts, neither: Counts, axis: int = -1) -> np.ndarray:
    """Cohen's kappa from counts summed over `axis`; NaN where both raters give one and the same answer throughout."""
    a, b, c, d = (counts.sum(axis) for counts in (both, only_first, only_second, neither))
    return _divided(2 * (a * d - b * c), (a + b) * (b + d) + (a + c) * (c + d))


def phi_of_counts(both: Counts, only_first: Counts, only_second: Counts, neither: Counts, axis: int = -1) -> np.ndarray:
    """Spearman's rho, which is Kendall's tau-b, of yes/no ratings; NaN where a rater gives one answer throughout."""
    a, b, c, d = (counts.sum(axis) for counts in (both, only_first, only_second, neither))
    return _divided(a * d - b * c, np.sqrt((a + b) * (c + d) * (a + c) * (b + d)))


def _divided(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.full_like(denominator, np.nan, dtype=float), where=denominator > 0)


def _counts_by_group(one: np.ndarray, other: np.ndarray, groups: Sequence[Hashable] | range) -> tuple[np.ndarray, ...]:
    """For each group, how many descriptions got yes from both, from the first only, from the second only, from neither."""
    place = {group: index for index, group in enumerate(dict.fromkeys(groups))}
    index = np.array([place[group] for group in groups])
    cells = (one & other, one & ~other, ~one & other, ~one & ~other)
    return tuple(np.bincount(index, weights=cell, minlength=len(place)) for cell in cells)


def _constant(one: np.ndarray, other: np.ndarray) -> str | None:
    """Why a statistic is undefined, where it is."""
    constant = [f"{'yes' if rater.all() else 'no'} throughout" if rater.all() == rater.any() else None for rater in (one, other)]
    said = [f"the {which} rater says {how}" for which, how in zip(("first", "second"), constant, strict=True) if how]
    return " and ".join(said) or None


def _with_interval(
    value: float, statistic: Callable[..., np.ndarray], counts: tuple[np.ndarray, ...], resamples: int, seed: int
) -> Estimate:
    from scipy.stats import DegenerateDataWarning, bootstrap

    if len(counts[0]) < 2:
        return Estimate(value, reason="no interval: all descriptions are of one head")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateDataWarning)  # of the library's own interval, which is not used
        drawn = bootstrap(
            counts, statistic, n_resamples=resamples, batch=1000, vectorized=True, paired=True, method="percentile", rng=seed
        ).bootstrap_distribution
    undefined = np.isnan(drawn).mean()
    if undefined > _MOST_UNDEFINED:
        return Estimate(value, reason=f"no interval: undefined in {undefined:.0%} of the resamples")
    low, high = np.nanpercentile(drawn, _CONFIDENCE)
    return Estimate(value, float(low), float(high))
