"""A similarity threshold chosen on heads whose class is known, and what it is worth on heads that it was not chosen on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

Similarities = Float[np.ndarray, "heads descriptions"]


def counts_at(similarities: Similarities, threshold: float) -> Int[np.ndarray, " heads"]:
    """How many descriptions of each head reach the threshold: its CCS."""
    return (similarities >= threshold).sum(axis=1)


def choose_threshold(similarities: Similarities, high: Bool[np.ndarray, " heads"], candidates: Sequence[float]) -> float:
    """The candidate at which CCS separates high from other heads best, by area under the ROC curve.

    Of candidates that are equally good, the median one (the lower of two in the middle): the middle of a plateau is the
    least bound to the heads at hand.

    Raises:
        ValueError: heads of one class only, or no candidate.
    """
    areas = np.array([_area(counts_at(similarities, threshold), high) for threshold in candidates])
    best = np.flatnonzero(areas >= areas.max() - 1e-12)
    return float(candidates[best[(len(best) - 1) // 2]])


def left_out_pairs(
    similarities: Similarities, high: Bool[np.ndarray, " heads"], candidates: Sequence[float]
) -> Float[np.ndarray, "high_heads low_heads"]:
    """For each pair of a high and a low head: 1 if the high one has the higher CCS, 0.5 if the same, 0 if the lower, at a
    threshold chosen without the two. The mean estimates the area under the ROC curve without the bias that pooling heads
    scored at different thresholds has (Airola et al. 2011, leave-pair-out).
    """
    ups, downs = np.flatnonzero(high), np.flatnonzero(~high)
    won = np.empty((len(ups), len(downs)))
    for row, up in enumerate(ups):
        for column, down in enumerate(downs):
            others = np.setdiff1d(np.arange(len(high)), (up, down))
            threshold = choose_threshold(similarities[others], high[others], candidates)
            above, below = counts_at(similarities[[up, down]], threshold)
            won[row, column] = (above > below) + 0.5 * (above == below)
    return won


def _area(counts: Int[np.ndarray, " heads"], high: Bool[np.ndarray, " heads"]) -> float:
    """Area under the ROC curve: the share of pairs that are in order, ties counting half."""
    if high.all() or not high.any():
        raise ValueError("a threshold is chosen between heads of two classes, and there is only one")
    above, below = counts[high][:, None], counts[~high][None, :]
    return float(((above > below) + 0.5 * (above == below)).mean())
