"""Accuracy within the groups of an attribute, and its gap: whether a model that treats groups alike is one that sees less."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from ccs_exp.heads import NULLS, ORIGINAL, SINGLE_HEAD
from ccs_exp.statistics.intervals import newcombe, wilson
from ccs_exp.statistics.resampling import RESAMPLES, ends
from ccs_exp.tasks.evaluation import Evaluation

COLUMNS = ("attribute", "condition", "of", "group", "images", "accuracy", "low", "high", "delta", "delta_low", "delta_high")
_GAP, _WORST = "gap", "worst"

Ends = tuple[float | None, float | None]


def group_accuracy_rows(evaluation: Evaluation, names: dict[str, tuple[str, ...]], seed: int = 0) -> list[dict[str, Any]]:
    """The rows of ``group_accuracy.csv``, ``of`` a ``group``, the ``worst`` one, or the ``gap`` between best and worst.

    Shares have score intervals (Wilson, Newcombe); worst and gap are drawn again within groups, original and condition together.
    Empty where outputs are resampled: an image is then right in part.
    """
    rows = []
    for attribute, task in evaluation.tasks.items() if not evaluation.resampled else ():
        targets, right = task.fixed["target"], task.columns["prediction"] == task.fixed["target"]
        before = right[evaluation.sets.index(frozenset())]
        for condition in evaluation.conditions:
            if not condition.name.startswith((*NULLS, SINGLE_HEAD)) and (condition.heads or condition.name == ORIGINAL):
                after = right[evaluation.places([condition])[0, 0]]
                about = {"attribute": attribute, "condition": condition.name}
                for row in _of_condition(targets, before, after, names[attribute], seed):
                    own = dict.fromkeys(("delta", "delta_low", "delta_high")) if condition.name == ORIGINAL else {}
                    rows.append(about | row | own)
    return rows


def _of_condition(
    targets: Int[np.ndarray, " images"],
    before: Bool[np.ndarray, " images"],
    after: Bool[np.ndarray, " images"],
    names: tuple[str, ...],
    seed: int,
) -> Iterator[dict[str, Any]]:
    there = [number for number in range(len(names)) if (targets == number).any()]
    kinds = np.stack([before & after, before & ~after, ~before & after, ~before & ~after])
    counts = np.array([(kinds & (targets == number)).sum(axis=1) for number in there])  # [groups, both, lost, gained, neither]
    sizes = counts.sum(axis=1)
    for number, count, size in zip(there, counts.tolist(), sizes.tolist(), strict=True):
        share, delta = wilson(count[0] + count[2], size), newcombe(*count)
        assert share is not None and delta is not None  # the group has images
        yield _row("group", names[number], size, (count[0] + count[2]) / size, share, (count[2] - count[1]) / size, delta)
    shares = _shares(counts, sizes)  # [before and after, groups]
    drawn = _shares(np.random.default_rng(seed).multinomial(sizes, counts / sizes[:, None], size=(RESAMPLES, len(sizes))), sizes)
    for kind, measured, draws in (
        (_WORST, shares.min(axis=-1), drawn.min(axis=-1)),
        (_GAP, np.ptp(shares, axis=-1), np.ptp(drawn, axis=-1)),
    ):
        worst = names[there[int(shares[1].argmin())]] if kind == _WORST else None
        ends_after, ends_change = _wide(draws[1]), _wide(draws[1] - draws[0])
        yield _row(kind, worst, int(sizes.sum()), measured[1], ends_after, measured[1] - measured[0], ends_change)


def _shares(
    counts: Int[np.ndarray, "*draws groups four"], sizes: Int[np.ndarray, " groups"]
) -> Float[np.ndarray, "two *draws groups"]:
    """Right before, and right after."""
    return np.stack([(counts[..., 0] + counts[..., 1]) / sizes, (counts[..., 0] + counts[..., 2]) / sizes])


def _wide(draws: Float[np.ndarray, " draws"]) -> Ends:
    """Their interval; none where drawing again changes nothing."""
    low, high = (float(end) for end in ends(draws))
    return (low, high) if high > low else (None, None)


def _row(
    kind: str, group: str | None, images: int, value: float, interval: Ends, delta: float, delta_interval: Ends
) -> dict[str, Any]:
    return dict(zip(COLUMNS[2:], (kind, group, images, float(value), *interval, float(delta), *delta_interval), strict=True))
