"""Skews of the rankings of an evaluation: of every occupation, and their means with intervals, tests and matched nulls, as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from ccs_exp.heads import CURVE, MATCHED, MEAN, NULLS, ORIGINAL, Condition, is_hypothesis
from ccs_exp.statistics.intervals import holm_in_family
from ccs_exp.statistics.null_place import null_place
from ccs_exp.statistics.resampling import drawn_means, ends, sign_flip_p
from ccs_exp.tasks.evaluation import Evaluation, Outcomes
from ccs_exp.tasks.group_rankings import SIZE, TOP
from ccs_exp.tasks.skew import Extremes, extremes, random_level, skews, smoothed_skews

MEASURES = ("max_skew", "min_skew", "ndkl", "max_skew_smoothed", "min_skew_smoothed", "absent")
COLUMNS = (
    *("attribute", "condition", "occupation", "images", "k"),
    *("max_skew", "max_group", "min_skew", "min_group", "absent", "absent_groups"),
    *("max_skew_smoothed", "min_skew_smoothed", "ndkl", "tied", "random_max_skew", "random_min_skew", "random_ndkl"),
)
MEANS_COLUMNS = (
    *("attribute", "measure", "condition", "num_pruned", "occupations"),
    *("value", "low", "high", "delta", "delta_low", "delta_high"),
    *("p", "p_holm", "p_matched", "matched_sets", "matched_mean", "random"),
)

Rows = list[dict[str, Any]]
_random_level = cache(lambda sizes, k: random_level(np.array(sizes), k))


@dataclass(frozen=True)
class Skews:
    """One attribute under all sets of silenced heads."""

    attribute: str
    ranking: Outcomes
    paper: bool = False

    @cached_property
    def groups(self) -> list[str]:
        return [column.removeprefix(SIZE) for column in self.ranking.fixed if column.startswith(SIZE)]

    @cached_property
    def in_top(self) -> Int[np.ndarray, "sets occupations groups"]:
        return np.stack([self.ranking.columns[f"{TOP}{group}"] for group in self.groups], axis=-1)

    @cached_property
    def sizes(self) -> Int[np.ndarray, "occupations groups"]:
        return np.stack([self.ranking.fixed[f"{SIZE}{group}"] for group in self.groups], axis=-1)

    @cached_property
    def extremes(self) -> Extremes:
        return extremes(skews(self.in_top, self.sizes))

    @cached_property
    def values(self) -> dict[str, Float[np.ndarray, "sets occupations"]]:
        """Every one of `MEASURES`; NDKL is NaN where groups are counted as the authors do."""
        found, smoothed = self.extremes, extremes(smoothed_skews(self.in_top, self.sizes))
        of_measures = (found.highest, found.lowest, self.ranking.columns["ndkl"], smoothed.highest, smoothed.lowest, found.absent)
        return {name: values.astype(float) for name, values in zip(MEASURES, of_measures, strict=True)}

    @cached_property
    def random(self) -> dict[str, Float[np.ndarray, " occupations"]]:
        """What rankings in random order give, where that is known."""
        if self.paper:
            return {}
        ks = self.ranking.fixed["k"].tolist()
        levels = np.array([_random_level(tuple(sizes), k) for sizes, k in zip(self.sizes.tolist(), ks, strict=True)])
        return dict(zip(("max_skew", "min_skew", "ndkl"), levels.T, strict=True))


def skew_tables(evaluation: Evaluation, paper: bool = False, seed: int = 0) -> tuple[Rows, Rows]:
    """The rows of ``skew.csv`` and ``skew_means.csv``; none where nothing was ranked. Nulls' sets stand in the means alone."""
    rows, means = [], []
    for attribute, ranking in evaluation.rankings.items():
        found = Skews(attribute, ranking, paper)
        for condition in evaluation.conditions:
            if not condition.name.startswith(NULLS) and (condition.heads or condition.name == ORIGINAL):
                rows += _of_occupations(found, evaluation, condition)
        for measure, values in found.values.items():
            if np.isfinite(values).all():
                random = found.random.get(measure)
                level = None if random is None else float(random.mean())
                means += [
                    {"attribute": attribute, "measure": measure, **row, "random": level}
                    for row in _means(evaluation, values, seed)
                ]
    return rows, means


def _of_occupations(found: Skews, evaluation: Evaluation, condition: Condition) -> Rows:
    """Means over seeds, where outputs are resampled; groups as under the first."""
    places = evaluation.places([condition])[:, 0]
    first, fixed = places[0], found.ranking.fixed
    values = {name: of_sets[places].mean(axis=0) for name, of_sets in found.values.items()}
    tied = found.ranking.columns["tied"][places].mean(axis=0)
    random = {f"random_{name}": found.random.get(name) for name in ("max_skew", "min_skew", "ndkl")}
    rows = []
    for at, occupation in enumerate(found.ranking.ids):
        counts = zip(found.groups, found.in_top[first, at], found.sizes[at], strict=True)
        away = [group for group, count, size in counts if size and not count]
        groups = {"max_group": found.groups[found.extremes.highest_group[first, at]]}
        groups |= {"min_group": found.groups[found.extremes.lowest_group[first, at]], "absent_groups": "; ".join(away) or None}
        numbers = {name: _known(column[at]) for name, column in values.items()} | {"tied": float(tied[at])}
        numbers |= {name: None if column is None else float(column[at]) for name, column in random.items()}
        about = {"attribute": found.attribute, "condition": condition.name, "occupation": occupation}
        rows.append(about | {name: int(fixed[name][at]) for name in ("images", "k")} | groups | numbers)
    return rows


def _means(evaluation: Evaluation, values: Float[np.ndarray, "sets occupations"], seed: int) -> Rows:
    """Means over occupations of every condition, and of the means over draws; under the same draws of occupations for all.

    Tested against the original are the conditions that somebody asks about: Holm's family. Of several draws of one, their mean is.
    """
    named = {condition.name: condition for condition in evaluation.conditions if condition.heads or condition.name == ORIGINAL}
    of_conditions = dict(zip(named, values[evaluation.places(list(named.values()))].mean(axis=0), strict=True))
    families = _families(list(named))
    of_conditions |= {
        f"{name}/{MEAN}": np.mean([of_conditions[draw] for draw in draws], axis=0) for name, draws in families.items()
    }
    in_family = {draw for draws in families.values() for draw in draws} | {name for name in named if name.startswith(CURVE)}
    shown = [name for name in of_conditions if name not in in_family or not name.startswith(NULLS)]
    table = np.array([of_conditions[name] for name in shown])
    deltas = table - of_conditions[ORIGINAL]
    drawn, drawn_deltas = (ends(drawn_means(of_rows, seed=seed)) for of_rows in (table, deltas))
    p = dict(zip(shown, sign_flip_p(deltas).tolist(), strict=True))
    tested = [name for name in shown if is_hypothesis(name) and name not in in_family]
    corrected = holm_in_family({name: p[name] for name in tested}, tested)
    rows = []
    for at, name in enumerate(shown):
        original, heads = name == ORIGINAL, named[name if name in named else families[name.removesuffix(f"/{MEAN}")][0]].heads
        row: dict[str, Any] = dict.fromkeys(MEANS_COLUMNS[2:-1])
        row |= {"condition": name, "num_pruned": len(heads), "occupations": table.shape[1]}
        row |= {"value": float(table[at].mean()), "low": float(drawn.low[at]), "high": float(drawn.high[at])}
        if not original:
            row |= {
                "delta": float(deltas[at].mean()),
                "delta_low": float(drawn_deltas.low[at]),
                "delta_high": float(drawn_deltas.high[at]),
            }
        if name in corrected:
            row |= {"p": p[name], "p_holm": corrected[name]}
        draws = _null(families.get(name.removesuffix(f"/{MEAN}"), [name]), {other: of_conditions[other] for other in named})
        if draws:
            everything = heads in {one.heads for other, one in named.items() if other.startswith(f"{MATCHED}{name}/")}
            place = null_place(float(table[at].mean()), draws, everything)
            row |= {"p_matched": place.p, "matched_sets": place.draws, "matched_mean": float(np.mean(draws))}
        rows.append(row)
    return rows


def _families(names: Sequence[str]) -> dict[str, list[str]]:
    """Conditions that are draws of one thing: ``random/0`` and ``random/1``; the sets that match one condition, or all its draws."""
    found: dict[str, list[str]] = {}
    for name in names:
        family, _, number = name.rpartition("/")
        if family and number.isdecimal() and not name.startswith(CURVE):
            tested, _, draw = family.rpartition("/")
            found.setdefault(tested if tested.startswith(MATCHED) and draw.isdecimal() else family, []).append(name)
    return {family: draws for family, draws in found.items() if len(draws) > 1}


def _null(tested: Sequence[str], of_conditions: Mapping[str, Float[np.ndarray, " occupations"]]) -> list[float]:
    """What the sets that match a condition give; of several draws of one, the means over one set that matches each."""
    sets = [
        [float(found.mean()) for name, found in of_conditions.items() if name.startswith(f"{MATCHED}{one}/")] for one in tested
    ]
    return np.mean(sets, axis=0).tolist() if len(set(map(len, sets))) == 1 else []


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
