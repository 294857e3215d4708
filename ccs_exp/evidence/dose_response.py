"""Dose-response: what is left of a task as heads are silenced one after the other, along several orders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Float

from ccs_exp.evidence.effects_of_conditions import Effects
from ccs_exp.heads import CURVE, Condition
from ccs_exp.statistics.resampling import drawn_means, ends

COLUMNS = ("order", "seed", "size", "task", "value", "value_low", "value_high")


@dataclass(frozen=True)
class Curve:
    """The share of right answers (of retrieval: of first ranks) at each size, and the draws of a bootstrap over samples."""

    order: str
    seeds: tuple[int, ...]
    sizes: tuple[int, ...]
    of_seeds: Float[np.ndarray, "seeds sizes"]
    drawn: Float[np.ndarray, "resamples seeds sizes"]


def curves(effects: Effects, task: str) -> dict[str, Curve]:
    """The curves of a task, by order; none where no condition is of a curve."""
    outcomes, evaluation = effects.evaluation.tasks[task], effects.evaluation
    right = outcomes.columns["rank"] <= 1 if "rank" in outcomes.columns else outcomes.columns["prediction"] == outcomes.fixed["target"]
    groups = None if "prediction" in outcomes.columns else np.array([query.partition("#")[0] for query in outcomes.ids], dtype=object)
    within = effects.within(outcomes)
    right, groups = right[:, within], None if groups is None else groups[within]
    found: dict[str, Curve] = {}
    for order, of_seeds in _by_order(evaluation.conditions).items():
        sizes = sorted(next(iter(of_seeds.values())))
        wanted = [of_seed[size] for of_seed in of_seeds.values() for size in sizes]
        rows = right[evaluation.places(wanted)].mean(axis=0, dtype=np.float32)
        drawn = drawn_means(rows, groups, seed=effects.seed).reshape(-1, len(of_seeds), len(sizes))
        found[order] = Curve(order, tuple(of_seeds), tuple(sizes), rows.mean(axis=1).reshape(len(of_seeds), -1), drawn)
    return found


def areas(task: str, found: Mapping[str, Curve]) -> list[dict[str, Any]]:
    """Between every two orders of a task, the area of the first's curve above the second's over the share of heads silenced: their mean
    difference, a fraction, with its interval; positive where more is left along the first."""
    result = []
    for first, second in combinations(found.values(), 2):
        share = np.array(first.sizes) / max(first.sizes)
        difference = first.of_seeds.mean(axis=0) - second.of_seeds.mean(axis=0)
        drawn = np.trapezoid(first.drawn.mean(axis=1) - second.drawn.mean(axis=1), share, axis=1)
        low, high = map(float, ends(drawn))
        area = float(np.trapezoid(difference, share))
        result.append({"task": task, "first": first.order, "second": second.order, "area": area, "low": low, "high": high})
    return result


def curve_rows(task: str, found: Mapping[str, Curve]) -> list[dict[str, Any]]:
    """The rows of ``curve.csv``: one for each order, seed and size."""
    rows = []
    for curve in found.values():
        low, high = ends(curve.drawn)
        for seed, number in enumerate(curve.seeds):
            for place, size in enumerate(curve.sizes):
                values = (float(curve.of_seeds[seed, place]), float(low[seed, place]), float(high[seed, place]))
                rows.append(dict(zip(COLUMNS, (curve.order, number, size, task, *values), strict=True)))
    return rows


def _by_order(conditions: Sequence[Condition]) -> dict[str, dict[int, dict[int, Condition]]]:
    """By order, seed and size."""
    found: dict[str, dict[int, dict[int, Condition]]] = {}
    for condition in conditions:
        if condition.name.startswith(CURVE):
            order, seed, size = condition.name.removeprefix(CURVE).split("/")
            found.setdefault(order, {}).setdefault(int(seed), {})[int(size)] = condition
    return found
