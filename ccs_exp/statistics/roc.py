"""The area under the ROC curve, of one score or averaged over several, with an interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from ccs_exp.statistics.intervals import CONFIDENCE, Interval


@dataclass(frozen=True)
class Area:
    """Area 0..1 (0.5: chance). `interval` is None where it would have no width: all in order, or a single sample of one kind."""

    value: float
    interval: Interval | None
    positives: int
    negatives: int


def area(
    scores: Float[np.ndarray, "*scores samples"],
    positive: Bool[np.ndarray, "*scores samples"],
) -> Area | None:
    """The area that separates `positive` samples from the others; of several rows, their mean (one value against the rest).

    Equal to scikit-learn's ``roc_auc_score``, from average ranks. The interval is DeLong's (Biometrics 44 (1988), 837) on the logit
    scale, of the mean over rows. Rows without both kinds of sample are left out; None if none is left.
    """
    rows = [
        (row, wanted)
        for row, wanted in zip(np.atleast_2d(scores), np.atleast_2d(positive), strict=True)
        if 0 < np.count_nonzero(wanted) < len(wanted)
    ]
    if not rows:
        return None
    values: list[float] = []
    parts: Float[np.ndarray, " samples"] = np.zeros(len(rows[0][0]))
    for row, wanted in rows:
        value, part = _of_row(np.asarray(row, dtype=float), wanted)
        values.append(value)
        parts += part / len(rows)
    value = float(np.mean(values))
    positives = int(sum(np.count_nonzero(wanted) for _, wanted in rows))
    total = sum(len(wanted) for _, wanted in rows)
    return Area(value, _interval(value, math.sqrt((parts**2).sum())), positives, total - positives)


def _of_row(scores: Float[np.ndarray, " samples"], positive: Bool[np.ndarray, " samples"]) -> tuple[float, np.ndarray]:
    """The area, and every sample's part in its error: what its own share of the comparisons is off by, over its kind's number."""
    from scipy.stats import rankdata

    among_all = rankdata(scores)
    parts = np.empty(len(scores))
    areas = []
    for kind, sign in ((positive, 1), (~positive, -1)):
        own, others = np.count_nonzero(kind), np.count_nonzero(~kind)
        won = (among_all[kind] - rankdata(scores[kind])) / others  # share of the other kind that lies below
        areas.append(won.mean())
        parts[kind] = sign * (won - won.mean()) / math.sqrt(own * (own - 1)) if own > 1 else math.nan
    return float(areas[0]), parts


def _interval(value: float, error: float) -> Interval | None:
    from scipy.special import expit, logit
    from scipy.stats import norm

    if not (0 < value < 1 and error > 0):
        return None
    reach = float(norm.isf((1 - CONFIDENCE) / 2)) * error / (value * (1 - value))
    return Interval(float(expit(logit(value) - reach)), float(expit(logit(value) + reach)))
