"""What silencing heads does to a task: per sample, then as costs with intervals. A cost is positive where silencing hurts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Shaped

from ccs_exp.statistics.intervals import paired
from ccs_exp.statistics.resampling import RESAMPLES, drawn_means, ends, over_seeds, sign_flip_p

IN_DEVIATIONS = ("standardised", "standardised_low", "standardised_high")
COLUMNS = (  # of effects.csv: a measure of a condition on a task; `became_wrong`, `became_right`: samples, of accuracy
    *("task", "condition", "measure", "count", "cost", "cost_low", "cost_high"),
    *(*IN_DEVIATIONS, "became_wrong", "became_right", "p"),
)

@dataclass(frozen=True)
class Costs:
    """Costs of conditions, an array each; NaN is an absence.

    Attributes:
        count: samples that the task has.
        cost, low, high: mean over samples of the original's value minus the condition's, with its 95% bootstrap interval.
        standardised, standardised_low, standardised_high: the same in standard deviations of the task's own original values.
        p: two-sided, of the mean cost (over seeds as they are) being zero: Student's test, or flipped signs of whole groups.
        drawn: the standardised cost in each of the bootstrap's draws, of which other intervals are made.
    """

    count: int
    cost: Float[np.ndarray, " conditions"]
    low: Float[np.ndarray, " conditions"]
    high: Float[np.ndarray, " conditions"]
    standardised: Float[np.ndarray, " conditions"]
    standardised_low: Float[np.ndarray, " conditions"]
    standardised_high: Float[np.ndarray, " conditions"]
    p: Float[np.ndarray, " conditions"]
    drawn: Float[np.ndarray, "resamples conditions"]

    def of(self, places: Sequence[int]) -> Costs:
        """Those of some conditions."""
        return Costs(self.count, *(getattr(self, item.name)[..., list(places)] for item in fields(self)[1:]))


def costs(
    original: Shaped[np.ndarray, " samples"],
    silenced: Shaped[np.ndarray, "*seeds conditions samples"],
    groups: Shaped[np.ndarray, " samples"] | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Costs:
    """Costs of all conditions under the same draws of samples, or of whole `groups`.

    Draws depend on `seed` and the number of samples alone, so that tasks on the same images, and conditions given in several
    calls, are paired too. NaN in `original`: an image that the task does not have.

    Args:
        original: margins or log-probabilities with nothing silenced; for log ranks give their negatives.
        silenced: the same under the conditions; with ``ablation=resample`` of several seeds of donors, whose spread enters.
    """
    differences = original.astype(np.promote_types(original.dtype, np.float32)) - silenced  # float16 is for disks
    if differences.ndim == 2:
        differences = differences[None]
    seeds, conditions, samples = differences.shape
    known = original[~np.isnan(original)].astype(np.float64)
    if known.size == 0:
        no = np.full(conditions, np.nan)
        return Costs(0, no, no, no, no, no, no, no, np.full((resamples, conditions), np.nan))

    def drawn(values: Shaped[np.ndarray, "rows samples"]) -> Float[np.ndarray, "resamples rows"]:
        return drawn_means(values, groups, resamples=resamples, seed=seed)

    drawn_costs = drawn(differences.reshape(-1, samples)).reshape(resamples, seeds, conditions)
    drawn_costs = over_seeds(drawn_costs, seed)
    centred = original.astype(np.float64) - known.mean()
    first, second = drawn(np.stack([centred, centred**2])).T
    correction = known.size / max(known.size - 1, 1)  # a sample's standard deviation, as `numpy.std(ddof=1)`
    spread = np.sqrt(np.maximum(second - first**2, 0) * correction)
    own_spread = known.std() * np.sqrt(correction)
    mean = np.nansum(differences, axis=(0, 2), dtype=np.float64) / (seeds * known.size)
    with np.errstate(invalid="ignore", divide="ignore"):
        standardised = np.where(own_spread > 0, mean / own_spread, np.nan)
        drawn_standardised = np.where(spread[:, None] > 0, drawn_costs / spread[:, None], np.nan)
    p = _mean_p(differences.mean(axis=0), groups)
    return Costs(known.size, mean, *ends(drawn_costs), standardised, *ends(drawn_standardised), p, drawn_standardised)


def _mean_p(
    differences: Float[np.ndarray, "conditions samples"], groups: Shaped[np.ndarray, " samples"] | None
) -> Float[np.ndarray, " conditions"]:
    from scipy.stats import ttest_1samp

    if groups is not None:
        return sign_flip_p(differences, groups)
    known = differences[:, ~np.isnan(differences[0])].astype(np.float64) if len(differences) else differences
    varying = np.ptp(known, axis=1) > 0 if known.size else np.zeros(len(known), dtype=bool)
    p = np.where(
        (known == 0).all(axis=1), 1.0, np.nan
    )  # nothing changed; nothing can be said of what changed by one number throughout
    p[varying] = ttest_1samp(known[varying], 0, axis=1).pvalue
    return p


def cost_rows(task: str, measure: str, conditions: Sequence[str], found: Costs) -> list[dict[str, Any]]:
    """The rows of one measure whose samples have a mean."""
    columns = (found.cost, found.low, found.high, found.standardised, found.standardised_low, found.standardised_high)
    rows = []
    for place, name in enumerate(conditions):
        numbers = (defined(column[place]) for column in columns)
        values = (task, name, measure, found.count, *numbers, None, None, defined(found.p[place]))
        rows.append(dict(zip(COLUMNS, values, strict=True)))
    return rows


def defined(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def flip_rows(
    task: str, conditions: Sequence[str], original: Bool[np.ndarray, " samples"], silenced: Bool[np.ndarray, "conditions samples"]
) -> list[dict[str, Any]]:
    """The rows of accuracy: the share of samples lost, Newcombe's interval and McNemar's exact test."""
    rows = []
    for name, after in zip(conditions, silenced, strict=True):
        found = paired(original, after)
        row: dict[str, Any] = dict.fromkeys(COLUMNS) | {"task": task, "condition": name, "measure": "accuracy", "count": len(original)}
        if found is not None:
            row |= {"cost": 0.0 - found.delta, "cost_low": -found.interval.high, "cost_high": -found.interval.low, "p": found.p}
            row |= {"became_wrong": found.lost, "became_right": found.gained}
        rows.append(row)
    return rows
