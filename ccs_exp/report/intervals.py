"""Intervals of every metric of a run and of its difference to the original's, from what the conditions answered sample by sample.

Shares of samples have score intervals (Wilson; of paired differences Newcombe). The other metrics are resampled: classes by
themselves, videos with all their captions, images with all their tasks. Where resampling changes nothing, as at 100%, it gives no
interval, and a share has the score interval of as many samples as there are independent ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from ccs_exp.heads import ORIGINAL
from ccs_exp.report.answers import Answers
from ccs_exp.statistics.intervals import CONFIDENCE, Interval, newcombe, wilson
from ccs_exp.statistics.resampling import RESAMPLES, drawn_means, ends, over_seeds

SCORE, UNPAIRED = "score (Wilson, of deltas Newcombe)", "score, of deltas as of unpaired samples"
SEEDS, VIDEOS_AND_SEEDS = "bootstrap over images and seeds of donors", "bootstrap over videos and seeds of donors"
CLASSES, VIDEOS, IMAGES, SETS = "bootstrap within classes", "bootstrap over videos", "bootstrap over images", "Student's over sets"
_MOST_NUMBERS = 20_000_000  # held at once by draws of medians


class Sure(NamedTuple):
    """Intervals of a value and of its difference to the original; None where there is none. `how` they came about."""

    value: Interval | None
    delta: Interval | None
    how: str


def of_hits(answers: Answers, metric: str, values: Mapping[str, float | None]) -> dict[str, Sure]:
    """Of classification, by condition. Values are those of the run: a metric that predictions do not tell has an interval by its value."""
    original, base = answers.hits.get(ORIGINAL), values.get(ORIGINAL)
    if metric == "mean_per_class" and answers.targets is not None:
        known = {name: hits for name, hits in answers.hits.items() if values.get(name) is not None}
        return _per_class(answers.targets, known, original)
    found = {}
    for name, hits in answers.hits.items():
        value = values.get(name)
        if value is None:
            continue
        if metric == "top1":
            delta = None if original is None else newcombe(*_counts(original, hits))
            found[name] = Sure(wilson(int(hits.sum()), len(hits)), delta, SCORE)
        else:
            after, before = (share and wilson(round(share * len(hits)), len(hits)) for share in (value, base))
            delta = _unpaired(base, before, value, after) if before and after and base is not None else None
            found[name] = Sure(after or None, delta, UNPAIRED)
    return found


def of_seeds(tasks: Sequence[Answers], metric: str) -> dict[str, Sure]:
    """Of ``top1`` and ``mean_per_class`` of one task, or the mean ``top1`` of several, under seeds of donors, whose spread enters."""
    if metric not in ("top1", "mean_per_class"):
        return {}  # the kept predictions do not tell it
    names = [name for name in tasks[0].of_seeds if all(name in task.of_seeds for task in tasks)]
    images = max(int(task.samples.max(initial=-1)) for task in tasks) + 1
    drawn = np.zeros((RESAMPLES, len(names)))
    for task in tasks:
        rows = np.concatenate([task.of_seeds[name] for name in names]).astype(np.float32)  # [conditions and seeds, samples]
        if metric == "top1" or task.targets is None:
            hits = np.full((len(rows), images), np.nan, dtype=np.float32)
            hits[:, task.samples] = rows
            means = drawn_means(hits)
        else:  # each class drawn again by itself
            classes, means = np.unique(task.targets), np.zeros((RESAMPLES, len(rows)))
            for one in classes:
                means += drawn_means(rows[:, task.targets == one], seed=int(one)) / len(classes)
        drawn += _of_conditions(means, [len(task.of_seeds[name]) for name in names]) / len(tasks)
    independent = effective_number([len(task.samples) for task in tasks])
    return {
        name: _with_width(sure, np.concatenate([task.of_seeds[name].mean(axis=0) for task in tasks]), None, independent)
        for name, sure in _resampled(names, drawn, SEEDS).items()
    }


def of_ranks(answers: Answers, metrics: Sequence[str]) -> dict[str, dict[str, Sure]]:
    """Of one direction of retrieval, ``{metric: {condition: ...}}``; metrics as ``R@5`` and ``median_rank``.

    Where every condition has ranks under several seeds of donors, their spread enters.
    """
    of_seeds = answers.of_seeds or {name: ranks[None] for name, ranks in answers.ranks.items()}
    names, how = list(of_seeds), VIDEOS_AND_SEEDS if answers.of_seeds else VIDEOS
    seeds, ranks = [len(rows) for rows in of_seeds.values()], np.concatenate(list(of_seeds.values()))  # [conditions and seeds, samples]
    independent = len(np.unique(answers.samples))
    found: dict[str, dict[str, Sure]] = {}
    for metric in metrics:
        if metric.startswith("R@") and metric[2:].isdigit():
            draws = drawn_means((ranks <= int(metric[2:])).astype(float), answers.samples)
            found[metric] = _resampled(names, _of_conditions(draws, seeds), how)
            hits = {name: rows <= int(metric[2:]) for name, rows in of_seeds.items()}
            original = hits[ORIGINAL][0] if ORIGINAL in hits and not answers.of_seeds else None
            for name, sure in found[metric].items():
                found[metric][name] = _with_width(sure, hits[name].ravel(), original, independent)
        elif metric in ("median_rank", "mean_rank") and np.isfinite(ranks).all():
            draws = drawn_medians(ranks, answers.samples) if metric == "median_rank" else drawn_means(ranks, answers.samples)
            of_conditions = _resampled(names, _of_conditions(draws, seeds), how)
            found[metric] = {name: Sure(_wide(sure.value), _wide(sure.delta), how) for name, sure in of_conditions.items()}
    return found


def _of_conditions(
    drawn: Float[np.ndarray, "resamples rows"], seeds: Sequence[int]
) -> Float[np.ndarray, "resamples conditions"]:
    """Of each condition, whose rows are under so many seeds each, the mean over them (`over_seeds`)."""
    parts = np.split(drawn, np.cumsum(seeds)[:-1], axis=1)
    return np.stack([over_seeds(part[:, :, None])[:, 0] for part in parts], axis=1)


def of_task_means(tasks: Mapping[str, Answers]) -> dict[str, Sure]:
    """Of the mean over several tasks of the same images, by condition."""
    names = [name for name in next(iter(tasks.values())).hits if all(name in task.hits for task in tasks.values())]
    images = max(int(task.samples.max(initial=-1)) for task in tasks.values()) + 1
    drawn = np.zeros((RESAMPLES, len(names)))
    for task in tasks.values():
        hits = np.full((len(names), images), np.nan)
        hits[:, task.samples] = [task.hits[name] for name in names]
        drawn += drawn_means(hits) / len(tasks)  # the same draws of images in every task
    independent = effective_number([len(task.samples) for task in tasks.values()])
    found = {}
    for name, sure in _resampled(names, drawn, IMAGES).items():
        hits, original = (np.concatenate([task.hits[which] for task in tasks.values()]) for which in (name, ORIGINAL))
        found[name] = _with_width(sure, hits, original, independent)
    return found


def mean_over_sets(values: Sequence[float]) -> Interval | None:
    """Student's interval of the mean over random sets; None for fewer than two, and where all are alike."""
    from scipy.stats import ttest_1samp

    if len(set(values)) < 2:
        return None
    low, high = ttest_1samp(values, 0).confidence_interval(CONFIDENCE)
    return Interval(float(low), float(high))


def effective_number(sizes: Sequence[int]) -> int:
    """How many samples have a share as sure as the mean of the shares of parts of these sizes, if those are alike.

    >>> effective_number([50, 50]), effective_number([90, 10])
    (100, 36)
    """
    return int(len(sizes) ** 2 / sum(1 / size for size in sizes))


def drawn_medians(
    values: Float[np.ndarray, "rows samples"], groups: Int[np.ndarray, " samples"], seed: int = 0
) -> Float[np.ndarray, "resamples rows"]:
    """The median of every row in each draw of whole groups; the same draws for all rows."""
    index = np.unique(groups, return_inverse=True)[1]
    count = int(index.max()) + 1
    rng = np.random.default_rng([seed, count])
    drawn = np.empty((RESAMPLES, len(values)))
    at_once = max(1, _MOST_NUMBERS // values.shape[1])
    for start in range(0, RESAMPLES, at_once):
        part = slice(start, min(start + at_once, RESAMPLES))
        weights = rng.multinomial(count, np.full(count, 1 / count), size=part.stop - part.start)[:, index]  # [draws, samples]
        for row, value in enumerate(values):
            order = np.argsort(value)
            upto = weights[:, order].cumsum(axis=1)
            half = upto[:, -1:] / 2
            # the mean of the two in the middle, which are one and the same where their number is odd
            middle = [value[order][(upto < half).sum(axis=1)], value[order][(upto <= half).sum(axis=1)]]
            drawn[part, row] = np.mean(middle, axis=0)
    return drawn


def _counts(before: Bool[np.ndarray, " samples"], after: Bool[np.ndarray, " samples"]) -> tuple[int, int, int, int]:
    """Right both times, before only, after only, never."""
    both, lost, gained = (int(cell.sum()) for cell in (before & after, before & ~after, ~before & after))
    return both, lost, gained, len(before) - both - lost - gained


def _per_class(
    targets: Int[np.ndarray, " samples"],
    of_conditions: Mapping[str, Bool[np.ndarray, " samples"]],
    original: Bool[np.ndarray, " samples"] | None,
) -> dict[str, Sure]:
    """Mean of the classes' shares: each class drawn again by itself, which is to draw its counts."""
    _, place, sizes = np.unique(targets, return_inverse=True, return_counts=True)

    def drawn(rng: np.random.Generator, *kinds: Bool[np.ndarray, " samples"]) -> Float[np.ndarray, "resamples kinds"]:
        shares = [np.bincount(place, kind, len(sizes)) / sizes for kind in (*kinds, ~np.any(kinds, axis=0))]
        counts = rng.multinomial(sizes, np.stack(shares, axis=-1), size=(RESAMPLES, len(sizes)))
        return (counts[:, :, :-1] / sizes[:, None]).mean(axis=1)

    values, deltas = (np.empty((RESAMPLES, len(of_conditions))) for _ in range(2))
    for at, hits in enumerate(of_conditions.values()):
        rng = np.random.default_rng(0)
        values[:, at] = drawn(rng, hits)[:, 0]
        if original is not None:
            lost, gained = drawn(rng, original & ~hits, hits & ~original).T
            deltas[:, at] = gained - lost
    independent = effective_number(sizes.tolist())
    found = _intervals(list(of_conditions), values, None if original is None else deltas, CLASSES)
    return {name: _with_width(sure, of_conditions[name], original, independent) for name, sure in found.items()}


def _resampled(names: list[str], drawn: Float[np.ndarray, "resamples conditions"], how: str) -> dict[str, Sure]:
    return _intervals(names, drawn, drawn - drawn[:, [names.index(ORIGINAL)]] if ORIGINAL in names else None, how)


def _intervals(
    names: list[str],
    drawn: Float[np.ndarray, "resamples conditions"],
    drawn_deltas: Float[np.ndarray, "resamples conditions"] | None,
    how: str,
) -> dict[str, Sure]:
    values, deltas = ends(drawn), None if drawn_deltas is None else ends(drawn_deltas)
    return {
        name: Sure(
            Interval(float(values.low[at]), float(values.high[at])),
            None if deltas is None else Interval(float(deltas.low[at]), float(deltas.high[at])),
            how,
        )
        for at, name in enumerate(names)
    }


def _wide(interval: Interval | None) -> Interval | None:
    return interval if interval and interval.high > interval.low else None


def _with_width(sure: Sure, hits: Shaped[np.ndarray, " some"], original: Bool[np.ndarray, " some"] | None, independent: int) -> Sure:
    """With the score interval of `independent` samples, in the shares of these, for what resampling does not change."""
    value, delta = _wide(sure.value), _wide(sure.delta)
    if value is None:
        value = wilson(round(independent * hits.mean()), independent)
    if delta is None and original is not None:
        both, lost, gained, _ = (round(independent * count / len(hits)) for count in _counts(original, hits))
        delta = newcombe(both, lost, gained, max(0, independent - both - lost - gained))
    return Sure(value, delta, sure.how)


def _unpaired(before: float, ends_before: Interval, after: float, ends_after: Interval) -> Interval:
    """Newcombe's interval without knowing which samples changed: wider, where answers before and after go together."""
    delta = after - before
    down = np.hypot(after - ends_after.low, ends_before.high - before)
    up = np.hypot(ends_after.high - after, before - ends_before.low)
    return Interval(float(delta - down), float(delta + up))
