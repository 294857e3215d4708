"""Means of many rows over the same samples: bootstrap under the same draws for all, and tests that know of groups.

Samples that belong together (captions of one video, frames of one scene) are drawn, and change sign, as one. Parts of a set of samples
depend on nothing but the samples' own names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

RESAMPLES = 999
_PERMUTATIONS = 9999
_MOST_NUMBERS = 2_000_000  # held at once, float64: 16 MB
_MOST_UNDEFINED = 0.05  # of the resamples; beyond it the others no longer stand for all
_ENDS = (2.5, 97.5)


class Ends(NamedTuple):
    """95% intervals, an array of each end; NaN where there is none."""

    low: Float[np.ndarray, " *rows"]
    high: Float[np.ndarray, " *rows"]


def drawn_means(
    values: Shaped[np.ndarray, "rows samples"],
    groups: Shaped[np.ndarray, " samples"] | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Float[np.ndarray, "resamples rows"]:
    """The mean of every row in each of the bootstrap's draws of samples, or of whole `groups` of samples.

    Draws depend on `seed` and the number of samples (groups) alone: all rows, and all calls on the same samples, are drawn alike, so
    that differences and quotients of what comes back are paired. A sample that a row does not have is NaN there.
    Memory does not grow with `resamples` times samples.

    Args:
        values: any kind of float; summed in float64.
    """
    index = _group_index(groups)
    count = values.shape[1] if index is None else int(index.max(initial=-1)) + 1
    drawn = np.full((resamples, len(values)), np.nan)
    if count == 0:
        return drawn
    at_once = max(1, _MOST_NUMBERS // max(values.shape[1], 1))
    for start in range(0, len(values), at_once):
        rows = slice(start, start + at_once)
        sums, counts = _sums(values[rows], index, count)
        done = 0
        for weights in _weights(count, resamples, seed):
            part = slice(done, done + len(weights))
            with np.errstate(invalid="ignore", divide="ignore"):  # a draw without any of a row's samples
                drawn[part, rows] = (weights @ sums.T) / (weights @ counts.T)
            done += len(weights)
    return drawn


def over_seeds(drawn: Float[np.ndarray, "resamples seeds rows"], seed: int = 0) -> Float[np.ndarray, "resamples rows"]:
    """Means over seeds, whose own spread enters: each draw takes seeds anew.

    Of S seeds S - 1 are taken, with replacement: then the spread between draws is that of a mean over S seeds, and not
    smaller by (S - 1) / S (Rao and Wu 1988), which would matter where seeds are few.
    """
    resamples, seeds, _ = drawn.shape
    if seeds == 1:
        return drawn[:, 0]
    taken = np.random.default_rng([seed, seeds]).integers(seeds, size=(resamples, seeds - 1))
    weights = (taken[:, :, None] == np.arange(seeds)).mean(axis=1)  # [resamples, seeds]
    return np.einsum("bs,bsr->br", weights, drawn)


def ends(drawn: Float[np.ndarray, "resamples ..."]) -> Ends:
    """The percentile interval of each column; NaN where more than 5% of its draws are undefined."""
    missing = np.isnan(drawn)
    undefined = missing.mean(axis=0) > _MOST_UNDEFINED
    percentile = np.nanpercentile if missing.any() else np.percentile  # the same of what has no NaN, and column by column
    low, high = percentile(np.where(undefined, 0.0, drawn), _ENDS, axis=0)
    return Ends(np.where(undefined, np.nan, low), np.where(undefined, np.nan, high))


def sign_flip_p(
    values: Float[np.ndarray, "rows samples"],
    groups: Shaped[np.ndarray, " samples"] | None = None,
    *,
    permutations: int = _PERMUTATIONS,
    seed: int = 0,
) -> Float[np.ndarray, " rows"]:
    """Two-sided p of each row's mean difference being zero: the signs of samples, or of whole groups, are flipped at random.

    All flips are tried where they are no more than `permutations` (then p = k / N), else as many are drawn (p = (1 + k) / (N + 1)).
    """
    index = _group_index(groups)
    count = values.shape[1] if index is None else int(index.max(initial=-1)) + 1
    sums, _ = _sums(values, index, count)
    least = np.abs(sums.sum(axis=1)) - 1e-9 * np.abs(sums).sum(axis=1)
    every = 2**count <= permutations
    as_far, tried = np.zeros(len(values), dtype=np.int64), 0
    for signs in _signs(count, 2**count if every else permutations, every, seed):
        as_far += (np.abs(signs @ sums.T) >= least).sum(axis=0)
        tried += len(signs)
    return as_far / tried if every else (1 + as_far) / (tried + 1)


def _group_index(groups: Shaped[np.ndarray, " samples"] | None) -> Int[np.ndarray, " samples"] | None:
    return None if groups is None else np.unique(groups, return_inverse=True)[1]


def _sums(
    values: Shaped[np.ndarray, "rows samples"], index: Int[np.ndarray, " samples"] | None, count: int
) -> tuple[Float[np.ndarray, "rows groups"], Float[np.ndarray, "#rows groups"]]:
    """Each group's sum and number of values in float64."""
    known = ~np.isnan(values)
    sums = np.where(known, values, 0).astype(np.float64)
    counts = known[:1].astype(np.float64) if known.all() else known.astype(np.float64)
    if index is None:
        return sums, counts
    of_groups = (np.stack([np.bincount(index, row, count) for row in rows]) for rows in (sums, counts))
    return next(of_groups), next(of_groups)


def _weights(count: int, resamples: int, seed: int) -> Iterator[Float[np.ndarray, "chunk count"]]:
    """How often each of `count` is drawn, in parts of bounded size, the same whatever the size of the parts."""
    if resamples * count <= _MOST_NUMBERS:
        yield _all_weights(count, resamples, seed)
        return
    rng = np.random.default_rng([seed, count])
    at_once = max(1, _MOST_NUMBERS // count)
    for start in range(0, resamples, at_once):
        yield _some_weights(rng, count, min(at_once, resamples - start))


@lru_cache(maxsize=2)  # the tasks and measures of a run are drawn alike, one after the other
def _all_weights(count: int, resamples: int, seed: int) -> Float[np.ndarray, "resamples count"]:
    return _some_weights(np.random.default_rng([seed, count]), count, resamples)


def _some_weights(rng: np.random.Generator, count: int, number: int) -> Float[np.ndarray, "number count"]:
    draws = (rng.integers(count, size=count) for _ in range(number))
    return np.stack([np.bincount(draw, minlength=count) for draw in draws]).astype(np.float64)


def _signs(count: int, number: int, every: bool, seed: int) -> Iterator[Float[np.ndarray, "chunk count"]]:
    rng = np.random.default_rng([seed, count])
    at_once = max(1, _MOST_NUMBERS // max(count, 1))
    for start in range(0, number, at_once):
        chosen = np.arange(start, min(start + at_once, number))
        if every:
            bits = chosen[:, None] >> np.arange(count) & 1
        else:
            bits = rng.integers(2, size=(len(chosen), count), dtype=np.int8)
        signs = bits.astype(np.float64)  # then in place, for this is the largest array that a report makes
        signs *= -2
        signs += 1
        yield signs


def hashed_parts(names: Sequence[Hashable], parts: int, seed: int = 0) -> Int[np.ndarray, " samples"]:
    """The part 0 .. `parts` - 1 that each sample falls into, whatever the order, the device or the rest of the set."""
    digests = (hashlib.blake2b(f"{seed}:{name}".encode("utf-8", "backslashreplace"), digest_size=8).digest() for name in names)
    return np.fromiter((int.from_bytes(digest, "big") % parts for digest in digests), dtype=np.int64, count=len(names))


def chosen_half(names: Sequence[Hashable], seed: int = 0) -> Bool[np.ndarray, " samples"]:
    """True for the half on which sets are chosen by their effects, False for the half on which they are measured."""
    return hashed_parts(names, 2, seed) == 0
