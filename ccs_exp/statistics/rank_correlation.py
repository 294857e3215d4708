"""Rank correlation within strata: of heads within layers, where later layers have larger effects whatever their heads mean."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from ccs_exp.statistics.intervals import Interval
from ccs_exp.statistics.resampling import RESAMPLES, ends

_PERMUTATIONS = 9999


@dataclass(frozen=True)
class RankCorrelation:
    """Two quantities over `count` heads.

    Attributes:
        rho: correlation of the ranks (average ones, over all heads) after each stratum's mean is taken off; None where it is not
            defined, and `reason` says why.
        interval: 95% bootstrap over heads within strata; None where it is undefined in more than 5% of the draws.
        p: share of permutations within strata that give as large an absolute value, (1 + k) / (N + 1).
        spearman: the plain one, over all strata together, without a p: heads are not exchangeable across strata.
    """

    count: int
    rho: float | None
    interval: Interval | None
    p: float | None
    spearman: float | None
    reason: str | None = None


def within_strata(
    first: Sequence[float] | Float[np.ndarray, " heads"],
    second: Sequence[float] | Float[np.ndarray, " heads"],
    strata: Sequence[Hashable],
    *,
    permutations: int = _PERMUTATIONS,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> RankCorrelation:
    """The rank correlation of `first` and `second` centred within `strata`. Raises ValueError for different lengths or NaN."""
    one, other = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if not one.shape == other.shape == (len(strata),) or np.isnan(one).any() or np.isnan(other).any():
        raise ValueError(f"{one.shape} and {other.shape} values in {len(strata)} strata must be of one length, without NaN")
    if not one.size:
        return RankCorrelation(0, None, None, None, None, "there are no heads")
    place = {stratum: index for index, stratum in enumerate(dict.fromkeys(strata))}
    index = np.array([place[stratum] for stratum in strata], dtype=int)
    ranks, others = _ranks(one), _ranks(other)
    plain = _correlation(ranks - ranks.mean(axis=-1, keepdims=True), others - others.mean(axis=-1, keepdims=True))
    spearman = None if np.isnan(plain) else float(plain)
    centring = _centring(index)
    rho = _correlation(ranks @ centring, others @ centring)
    if np.isnan(rho):
        return RankCorrelation(len(one), None, None, None, spearman, "one of the two does not vary within any stratum")

    rng = np.random.default_rng(seed)
    # within its stratum a rank keeps the stratum's mean, so that the centred ranks permute with the ranks
    permuted = _correlation((ranks @ centring)[_permutations(rng, index, permutations)], others @ centring)
    p = (1 + int((np.abs(permuted) >= abs(rho) - 1e-12).sum())) / (permutations + 1)
    drawn = _draws(rng, index, resamples)
    low, high = ends(_correlation(_ranks(one[drawn]) @ centring, _ranks(other[drawn]) @ centring))
    interval = None if np.isnan(low) else Interval(float(low), float(high))
    return RankCorrelation(len(one), float(rho), interval, p, spearman)


def _ranks(values: Float[np.ndarray, "*draws heads"]) -> Float[np.ndarray, "*draws heads"]:
    from scipy.stats import rankdata

    return rankdata(values, axis=-1).astype(float)


def _centring(index: Int[np.ndarray, " heads"]) -> Float[np.ndarray, "heads heads"]:
    """The symmetric matrix that takes each stratum's mean off."""
    same = index[:, None] == index
    return np.eye(len(index)) - same / same.sum(axis=0)


def _correlation(one: Float[np.ndarray, "*draws heads"], other: Float[np.ndarray, "*draws heads"]) -> Float[np.ndarray, "*draws"]:
    """Of values whose means are zero; NaN where one of the two is zero up to rounding (ranks are 1 or more apart, or equal)."""
    norms = np.sqrt((one**2).sum(axis=-1) * (other**2).sum(axis=-1))
    return np.divide((one * other).sum(axis=-1), norms, out=np.full(norms.shape, np.nan), where=norms > 1e-9)


def _permutations(rng: np.random.Generator, index: Int[np.ndarray, " heads"], number: int) -> Int[np.ndarray, "number heads"]:
    """Positions permuted within strata."""
    found = np.empty((number, len(index)), dtype=int)
    # both list the strata one after the other: in their own order, and in random order within each
    found[:, np.argsort(index, kind="stable")] = np.argsort(index + rng.random((number, len(index))), axis=1)
    return found


def _draws(rng: np.random.Generator, index: Int[np.ndarray, " heads"], number: int) -> Int[np.ndarray, "number heads"]:
    """Positions drawn with replacement within strata."""
    found = np.empty((number, len(index)), dtype=int)
    for stratum in np.unique(index):
        members = np.flatnonzero(index == stratum)
        found[:, members] = members[rng.integers(len(members), size=(number, len(members)))]
    return found
