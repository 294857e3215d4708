"""Ranks of right answers among candidates, and the metrics of retrieval."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

RECALL_AT = (1, 5, 10, 50)
_BLOCK = 32  # queries whose comparisons are counted at once


def ranks(
    similarities: Float[np.ndarray, "queries candidates"],
    owner: Int[np.ndarray, " candidates"],
    target: Int[np.ndarray, " queries"],
) -> Float[np.ndarray, " queries"]:
    """The rank of each query's best right candidate: 1 + how many wrong ones are better + half of those that are as good.

    Candidate ``j`` is right for query ``i`` if ``owner[j] == target[i]``; the other right ones do not compete with the best. With one
    right candidate this is ``scipy.stats.rankdata(-similarities[i], "average")``, so that a query to which all are equal has the rank in
    the middle. Every query needs a right candidate. Similarities may be of any sign, -inf included.
    """
    if owner.shape != (similarities.shape[1],) or target.shape != (similarities.shape[0],):
        raise ValueError(f"similarities {similarities.shape} do not fit {owner.shape} candidates and {target.shape} queries")
    order = np.argsort(owner, kind="stable")  # the right candidates of a query are then neighbours
    first, last = (np.searchsorted(owner[order], target, side=side) for side in ("left", "right"))
    if (first == last).any():
        raise ValueError(f"query {int(np.argmax(first == last))} has no right candidate")
    best, own = similarities[np.arange(len(target)), order[first]], np.ones(len(target), dtype=np.int64)
    for query in np.flatnonzero(last - first > 1):
        right = similarities[query, order[first[query] : last[query]]]
        best[query], own[query] = right.max(), np.count_nonzero(right == right.max())
    if np.isnan(best).any():
        raise ValueError(f"query {int(np.argmax(np.isnan(best)))} has a right candidate whose similarity is not a number")
    better, as_good = _counts(similarities, best)
    return 1 + better + (as_good - own) / 2


def _counts(
    similarities: Float[np.ndarray, "queries candidates"], best: Float[np.ndarray, " queries"]
) -> tuple[Int[np.ndarray, " queries"], Int[np.ndarray, " queries"]]:
    """How many candidates of each query are better than `best`, and how many are as good."""
    better, at_least = np.empty(len(best), dtype=np.int64), np.empty(len(best), dtype=np.int64)
    compared = np.empty((_BLOCK, similarities.shape[1]), dtype=bool)  # written anew for each block, so that it stays in cache
    for start in range(0, len(best), _BLOCK):
        block = slice(start, start + _BLOCK)
        rows, limit = similarities[block], best[block, None]
        for counts, compare in ((better, np.greater), (at_least, np.greater_equal)):
            bits = np.packbits(compare(rows, limit, out=compared[: len(rows)]), axis=1)
            counts[block] = np.bitwise_count(bits).sum(axis=1, dtype=np.int64)
    return better, at_least - better


def retrieval_metrics(
    rank: Float[np.ndarray, " queries"], missed: Bool[np.ndarray, " queries"], direction: str
) -> dict[str, float]:
    """``<direction>_R@1 ... R@50`` (fractions), ``_median_rank`` and ``_mean_rank``; a `missed` query is no hit at any depth."""
    recalls = {f"{direction}_R@{k}": float(np.mean((rank <= k) & ~missed)) for k in RECALL_AT}
    return recalls | {f"{direction}_median_rank": float(np.median(rank)), f"{direction}_mean_rank": float(np.mean(rank))}
