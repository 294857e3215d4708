"""Ranks of right answers among candidates, and the metrics of retrieval."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

RECALL_AT = (1, 5, 10, 50)


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
    result = np.empty(len(target))
    compared = np.empty(len(owner), dtype=bool)  # written anew for each query, so that it stays in the processor's cache
    for query, (row, begin, end) in enumerate(zip(similarities, first.tolist(), last.tolist(), strict=True)):
        right = row[order[begin:end]]
        best = right.max() if end - begin > 1 else right[0]
        if np.isnan(best):
            raise ValueError(f"query {query} has a right candidate whose similarity is not a number")
        better = np.count_nonzero(np.greater(row, best, out=compared))
        equal = np.count_nonzero(np.equal(row, best, out=compared))
        own = np.count_nonzero(right == best) if end - begin > 1 else 1
        result[query] = 1 + better + (equal - own) / 2
    return result


def retrieval_metrics(
    rank: Float[np.ndarray, " queries"], missed: Bool[np.ndarray, " queries"], direction: str
) -> dict[str, float]:
    """``<direction>_R@1 ... R@50`` (fractions), ``_median_rank`` and ``_mean_rank``; a `missed` query is no hit at any depth."""
    recalls = {f"{direction}_R@{k}": float(np.mean((rank <= k) & ~missed)) for k in RECALL_AT}
    return recalls | {f"{direction}_median_rank": float(np.median(rank)), f"{direction}_mean_rank": float(np.mean(rank))}
