"""``report.html``: one file that needs nothing else, and shows whatever a label or description says as text."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Template
from markupsafe import Markup

from ccs_exp.files import write_whole
from ccs_exp.heads import ORIGINAL
from ccs_exp.report.contents import ConditionResult, Contents
from ccs_exp.report.evidence import causal_map_view, findings
from ccs_exp.report.robustness import robustness
from ccs_exp.report.skew import skew_findings, skew_view
from ccs_exp.run_folder.web_page import policy, templates
from ccs_exp.run_folder.wording import is_rank, metric_delta, metric_name, metric_value, p_value, percent, plain, points, signed

_HERE = Path(__file__).parent
_PLOT_WIDTH = 220  # of the intervals drawn in the table of conditions
_VERDICTS = {"aligned": ("✓", "aligned"), "not_aligned": ("✕", "not aligned"), "unjudged": ("?", "unjudged")}
_FILES = (
    *("summary.json", "heads.csv", "ccs_at_k.csv", "accuracy.csv", "uncertainty.csv", "predictions.parquet"),
    *("effects.csv", "causal_map.csv", "nulls.csv", "curve.csv", "evidence.csv", "represents.csv", "detection.csv"),
    *("intruder.csv", "sufficiency.csv", "stability.csv", "skew.csv", "skew_means.csv", "group_accuracy.csv"),
    *("robustness.csv", "figures"),
)


def write_page(contents: Contents) -> None:
    """Write ``report.html`` into the run's folder."""
    write_whole(contents.path / "report.html", render(contents).encode("utf-8"))


def render(contents: Contents) -> str:
    """The page as text. Its policy lets the browser run only the page's own script and load nothing."""
    # the policy names hashes of these two: hence exactly the text between the tags
    css, js = ((_HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    summary = contents.summary
    return _template().render(
        policy=policy(css, js),
        css=Markup(css),
        js=Markup(js),
        c=contents,
        summary=summary,
        title=" · ".join(plain(name) for name in (summary["model"], summary["dataset"]) if name),
        tiles=_tiles(contents),
        bars=_bars(contents),
        plot=_plot(contents),
        singles=_single_heads(contents),
        kinds=_kinds(contents),
        head_map=_head_map(contents),
        robustness=robustness(contents),
        findings=findings(summary["evidence"]),
        causal=causal_map_view(contents),
        skews=skew_view(contents.path),
        skew_findings=skew_findings(summary),
        layers=sorted({head.layer for head in contents.heads}),
        classes=[name for name, count in contents.class_counts.items() if count],
        files=[name for name in _FILES if (contents.path / name).exists()],
    )


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = templates(_HERE)
    environment.filters |= {"percent": percent, "metric_name": metric_name, "plain": plain}
    environment.globals |= {
        "metric_value": metric_value,
        "metric_delta": metric_delta,
        "is_rank": is_rank,
        "p_value": p_value,
        "signed": signed,
        "shares": lambda value, delta=False: points(value) if delta else percent(value),
        "verdicts": _VERDICTS,
        "ORIGINAL": ORIGINAL,
    }
    return environment.get_template("page.html.jinja")


def _tiles(contents: Contents) -> list[dict[str, str]]:
    """The run's few main numbers."""
    counts = contents.class_counts
    tiles = [{"value": str(counts[name]), "label": f"{name} heads", "note": f"of {len(contents.heads)}"} for name in counts]
    metric = contents.primary
    if contents.original is None:
        return tiles
    original = metric_value(metric, contents.original.values.get(metric))
    over = f", mean of {len(contents.tasks)} tasks" if len(contents.tasks) > 1 else ""
    unit = "" if is_rank(metric) else "%"
    tiles.append({"value": original + unit, "label": f"{metric_name(metric)}, no head pruned{over}", "note": ""})
    named = {item.name: item for item in contents.conditions}
    for name, label in (("high_ccs", "without high heads"), ("low_ccs", "without low heads")):
        item = named.get(name)
        if item is not None and not item.empty:
            note = f"points ({_ends(item, metric)}), {item.num_pruned} pruned"
            tiles.append({"value": metric_delta(metric, item.deltas.get(metric)), "label": label, "note": note})
    for mean, label in ((contents.matched("high_ccs"), "without matched heads"), (contents.random, "without random heads")):
        if mean is not None:
            note = f"points ({_ends(mean, metric)}), mean of {_draws(contents, mean)} sets"
            tiles.append({"value": metric_delta(metric, mean.deltas.get(metric)), "label": label, "note": note})
    return tiles


def _ends(item: ConditionResult, metric: str) -> str:
    """The interval of a delta."""
    ends = item.delta_intervals.get(metric)
    return "no interval" if ends is None else " to ".join(metric_delta(metric, end) for end in ends)


def _draws(contents: Contents, mean: ConditionResult) -> int:
    """Of how many sets this is the mean."""
    tested = next((item.matched_sets for item in contents.tested if contents.matched(item.name) is mean), None)
    return tested or sum(item.strategy == mean.strategy for item in contents.conditions)


def _kinds(contents: Contents) -> list[tuple[str, list[str]]]:
    """Which interval the columns have: ``(kind, names of metrics)``."""
    found: dict[str, list[str]] = {}
    for metric in contents.metrics:
        how = next((item.how[metric] for item in contents.conditions if metric in item.how), None)
        if how:
            found.setdefault(how, []).append(metric_name(metric))
    return list(found.items())


def _bars(contents: Contents) -> list[dict[str, Any]]:
    """CCS@K as bars in a drawing of 360 x 180 units, 140 of which are the highest bar's."""
    if not contents.ccs_at_k:
        return []
    top = max(contents.ccs_at_k.values()) or 1.0
    bars = []
    for k, fraction in sorted(contents.ccs_at_k.items()):
        height = round(140 * fraction / top, 2)
        bars.append({"k": k, "text": percent(fraction), "x": 60 * k + 6, "y": 158 - height, "height": height})
    return bars


def _plot(contents: Contents) -> dict[str, Any] | None:
    """The conditions as rows of a table, each with its interval placed on a scale that all rows share; means before their draws."""
    if not contents.conditions:
        return None
    metric = contents.primary
    items = (*contents.conditions, *contents.means)
    ends = [end for item in items for end in (*item.intervals.get(metric, ()), item.values.get(metric)) if end is not None]
    first, last, ticks = _scale(min(ends, default=0.0), max(ends, default=1.0))

    def at(value: float | None) -> float | None:
        return None if value is None else round(14 + (_PLOT_WIDTH - 28) * (value - first) / (last - first), 2)

    def row(item: ConditionResult, sets: int | None = None) -> dict[str, Any]:
        low, high = item.intervals.get(metric) or (None, None)
        deltas = {name: _ends(item, name) if name in item.delta_intervals else "" for name in contents.metrics}
        return {"item": item, "sets": sets, "dot": at(item.values.get(metric)), "low": at(low), "high": at(high), "deltas": deltas}

    rows: list[dict[str, Any]] = []
    for item in contents.groups:
        if item.empty:  # a notice says so
            continue
        if contents.random and item.strategy == contents.random.strategy and not any(entry["item"] is contents.random for entry in rows):
            rows.append(row(contents.random, _draws(contents, contents.random)))
        rows.append(row(item))
        matched = contents.matched(item.name)
        if matched:
            rows.append(row(matched, _draws(contents, matched)))
    original = contents.original.values.get(metric) if contents.original else None
    return {
        "rows": rows,
        "single": {name: row(item) for name, item in contents.single_heads.items()},
        "original": at(original),
        "ticks": [{"x": at(tick), "text": metric_value(metric, tick).removesuffix(".0")} for tick in ticks],
        "width": _PLOT_WIDTH,
    }


def _scale(low: float, high: float) -> tuple[float, float, list[float]]:
    """Round ends around `low` and `high`, and three to six round numbers between them."""
    span = max(high - low, 0.01)
    power = 10.0 ** math.floor(math.log10(span))
    step = next(factor * power for factor in (0.2, 0.5, 1, 2, 5) if span / (factor * power) <= 5)
    first, last = math.floor(low / step + 1e-9), max(math.ceil(high / step - 1e-9), math.floor(low / step + 1e-9) + 1)
    return first * step, last * step, [number * step for number in range(first, last + 1)]


def _single_heads(contents: Contents) -> dict[str, dict[str, Any]]:
    """The loss from each head alone, with a shade 0..5 for its size among them."""
    metric, found = contents.primary, contents.single_heads
    deltas = {name: item.deltas.get(metric) for name, item in found.items()}
    largest = max((abs(delta) for delta in deltas.values() if delta is not None), default=0.0) or 1.0
    return {
        name: {
            "delta": delta,
            "text": metric_delta(metric, delta),
            "ends": _ends(found[name], metric),
            "shade": 0 if delta is None else math.ceil(5 * abs(delta) / largest - 1e-9),
            "way": "gain" if (delta or 0) > 0 else "loss",
        }
        for name, delta in deltas.items()
    }


def _head_map(contents: Contents) -> list[dict[str, Any]]:
    """The last layer first, and a place for each head index, empty where that head is not scored."""
    width = max((head.index for head in contents.heads), default=-1) + 1
    rows = []
    for layer in sorted({head.layer for head in contents.heads}, reverse=True):
        heads = {head.index: head for head in contents.heads if head.layer == layer}
        rows.append({"layer": layer, "cells": [heads.get(index) for index in range(width)]})
    return rows
