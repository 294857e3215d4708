"""What silencing heads does to a task: per sample, then as costs with intervals. A cost is positive where silencing hurts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Shaped

from ccs_exp.statistics.intervals import paired
from ccs_exp.statistics.resampling import RESAMPLES, drawn_means, ends, over_seeds, sign_flip_p


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


@dataclass(frozen=True)
class Effect:
    """A row of ``effects.csv``: one measure of one condition on one task. `became_wrong`, `became_right`: samples, of accuracy."""

    task: str
    condition: str
    measure: str
    count: int
    cost: float | None
    cost_low: float | None
    cost_high: float | None
    standardised: float | None = None
    standardised_low: float | None = None
    standardised_high: float | None = None
    became_wrong: int | None = None
    became_right: int | None = None
    p: float | None = None

    def row(self) -> dict[str, Any]:
        return asdict(self)


def cost_rows(task: str, measure: str, conditions: Sequence[str], found: Costs) -> list[Effect]:
    """The rows of one measure whose samples have a mean."""
    columns = (found.cost, found.low, found.high, found.standardised, found.standardised_low, found.standardised_high, found.p)
    rows = []
    for place, name in enumerate(conditions):
        cost, low, high, standardised, st_low, st_high, p = (defined(column[place]) for column in columns)
        ends_of = (cost, low, high, standardised, st_low, st_high)
        rows.append(Effect(task, name, measure, found.count, *ends_of, p=p))
    return rows


def defined(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def flip_rows(
    task: str,
    conditions: Sequence[str],
    original: Bool[np.ndarray, " samples"],
    silenced: Bool[np.ndarray, "conditions samples"],
    groups: Shaped[np.ndarray, " samples"] | None = None,
    *,
    seed: int = 0,
) -> list[Effect]:
    """The rows of accuracy: the share of samples lost, Newcombe's interval and McNemar's exact test.

    Where samples come in `groups`, which both take for independent: a bootstrap and flipped signs, of whole groups.
    """
    rows = []
    for name, after in zip(conditions, silenced, strict=True):
        found = paired(original, after)
        if found is None:
            rows.append(Effect(task, name, "accuracy", 0, None, None, None))
            continue
        low, high, p = -found.interval.high, -found.interval.low, found.p
        if groups is not None:
            lost = (original.astype(np.float32) - after)[None]
            low, high = (float(end[0]) for end in ends(drawn_means(lost, groups, seed=seed)))
            p = float(sign_flip_p(lost, groups, seed=seed)[0])
        cost = 0.0 - found.delta
        flips = (found.lost, found.gained)
        rows.append(Effect(task, name, "accuracy", found.count, cost, low, high, None, None, None, *flips, p))
    return rows
