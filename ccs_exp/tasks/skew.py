"""How unevenly a ranking treats groups: skews among the first k, and NDKL over their prefixes (Geyik et al. 2019, section 3.2).

Of groups i, with p_i the share among the first k and q_i among all candidates: ``Skew_i@k = ln(p_i / q_i)``.

The last two functions are the arithmetic of the authors' published code, its faults included: ``protocol=paper``. Not a measure of
anything. Where all images are ranked for each occupation, the sizes of groups are counted in the order in which the groups first appear
among the images, and taken for those of the list of groups. Where the images of an occupation are ranked, the lists of the groups are one
list: every group holds all images, and every image is ranked once as a member of each. Absent groups are left out, as `extremes` does;
what the code prints is the sum over occupations, not their mean.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

MOST_K = 1000
_RANDOM_RANKINGS = 200


class Top(NamedTuple):
    """The first k candidates by falling similarity, equal ones in their own order; `tied`: places as similar as the next one."""

    order: Int[np.ndarray, " k"]
    tied: int


class Extremes(NamedTuple):
    """MaxSkew@k and MinSkew@k over the groups that are among the first k, which groups those are, and how many are not there."""

    highest: Float[np.ndarray, " *queries"]
    highest_group: Int[np.ndarray, " *queries"]
    lowest: Float[np.ndarray, " *queries"]
    lowest_group: Int[np.ndarray, " *queries"]
    absent: Int[np.ndarray, " *queries"]


class Level(NamedTuple):
    """What rankings in random order give on average."""

    max_skew: float
    min_skew: float
    ndkl: float


def default_k(candidates: int) -> int:
    """A tenth of the candidates, at most 1,000 and at least one."""
    return max(1, min(MOST_K, candidates // 10))


def top(similarities: Float[np.ndarray, " candidates"], k: int) -> Top:
    """The first `k` candidates. Sorts these alone: of the others it is enough to know that they are no more similar."""
    count = len(similarities)
    last = np.partition(similarities, count - k)[count - k]  # the k-th highest
    above, equal = np.flatnonzero(similarities > last), np.flatnonzero(similarities == last)
    chosen = np.concatenate([above, equal[: k - len(above)]])
    order = chosen[np.argsort(-similarities[chosen], kind="stable")]
    ranked = similarities[order]
    return Top(order, int((ranked[1:] == ranked[:-1]).sum()) + (len(above) + len(equal) > k))


def skews(
    in_top: Int[np.ndarray, "*queries groups"], sizes: Int[np.ndarray, "*queries groups"]
) -> Float[np.ndarray, "*queries groups"]:
    """``Skew_i@k`` in nats; -inf for a group that is absent from the first k, NaN for one without any candidate."""
    shares = in_top / in_top.sum(axis=-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(shares / (sizes / sizes.sum(axis=-1, keepdims=True)))


def smoothed_skews(
    in_top: Int[np.ndarray, "*queries groups"], sizes: Int[np.ndarray, "*queries groups"]
) -> Float[np.ndarray, "*queries groups"]:
    """``ln((k_i + q_i) / ((k + 1) q_i))``: as if one more were drawn fairly, so that absent groups count, and not endlessly."""
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = sizes / sizes.sum(axis=-1, keepdims=True)
        return np.log((in_top + shares) / ((in_top.sum(axis=-1, keepdims=True) + 1) * shares))


def extremes(of_groups: Float[np.ndarray, "*queries groups"]) -> Extremes:
    """Highest and lowest skews over the groups that have one."""
    absent, there = np.isneginf(of_groups), np.isfinite(of_groups)
    rising, falling = np.where(there, of_groups, -np.inf), np.where(there, of_groups, np.inf)
    return Extremes(
        rising.max(axis=-1), rising.argmax(axis=-1), falling.min(axis=-1), falling.argmin(axis=-1), absent.sum(axis=-1)
    )


def ndkl(groups: Int[np.ndarray, "queries k"], sizes: Int[np.ndarray, " groups"]) -> Float[np.ndarray, " queries"]:
    """Normalised discounted KL divergence, in nats, of the prefixes' shares of groups from those of all candidates, to the depth k.

    Prefix i weighs ``1 / log2(i + 1)``. Above 0 for a fair ranking too: its first prefixes hold few groups.
    """
    depth = np.arange(1, groups.shape[1] + 1)
    weights = 1 / np.log2(depth + 1)
    found = np.zeros(len(groups))
    for group, size in enumerate(sizes):
        shares = np.cumsum(groups == group, axis=1) / depth
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = np.where(shares > 0, shares * np.log(shares / (size / sizes.sum())), 0.0)
        found += terms @ weights
    return found / weights.sum()


def group_counts(groups: Int[np.ndarray, "queries k"], number: int) -> Int[np.ndarray, "queries groups"]:
    """How many of each group are there."""
    return np.stack([(groups == group).sum(axis=-1) for group in range(number)], axis=-1)


def random_level(sizes: Int[np.ndarray, " groups"], k: int, rankings: int = _RANDOM_RANKINGS, seed: int = 0) -> Level:
    """Means over random rankings of as many candidates of each group: what no preference gives at this k."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(sizes)), sizes)
    drawn = np.stack([rng.choice(labels, size=k, replace=False) for _ in range(rankings)])
    found = extremes(skews(group_counts(drawn, len(sizes)), sizes))
    return Level(float(found.highest.mean()), float(found.lowest.mean()), float(ndkl(drawn, sizes).mean()))


def sizes_by_appearance(groups: Sequence[int]) -> Int[np.ndarray, " groups"]:
    """The sizes of groups in the order of their first appearance."""
    return np.array(list(Counter(groups).values()))


def one_list_top(similarities: Float[np.ndarray, " images"], number: int, k: int) -> Int[np.ndarray, " k"]:
    """The groups of the first `k` of all images in each of `number` groups; copies of an image come in the order of groups."""
    copies = np.tile(similarities, number)
    return np.argsort(-copies, kind="stable")[:k] // len(similarities)
