"""``report.html``: one file that needs nothing else, and shows whatever a label or description says as text."""

from __future__ import annotations

import base64
import hashlib
import math
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from ccs_exp.files import write_whole
from ccs_exp.heads import ORIGINAL
from ccs_exp.report.contents import ConditionResult, Contents
from ccs_exp.report.figures import head_step
from ccs_exp.report.robustness import robustness
from ccs_exp.run_folder.wording import is_rank, metric_delta, metric_name, metric_value, p_value, percent, plain, points

_HERE = Path(__file__).parent
_PLOT_WIDTH = 220  # of the intervals drawn in the table of conditions
_VERDICTS = {"aligned": ("✓", "aligned"), "not_aligned": ("✕", "not aligned"), "unjudged": ("?", "unjudged")}
_FILES = ("summary.json", "heads.csv", "ccs_at_k.csv", "accuracy.csv", "predictions.parquet", "robustness.csv", "figures")


def write_page(contents: Contents) -> None:
    """Write ``report.html`` into the run's folder."""
    write_whole(contents.path / "report.html", render(contents).encode("utf-8"))


def render(contents: Contents) -> str:
    """The page as text. Its policy lets the browser run only the page's own script and load nothing."""
    # the policy names hashes of these two: hence exactly the text between the tags
    css, js = ((_HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    policy = f"default-src 'none'; style-src '{_hash(css)}'; script-src '{_hash(js)}'; base-uri 'none'; form-action 'none'"
    summary = contents.summary
    return _template().render(
        policy=policy,
        css=Markup(css),
        js=Markup(js),
        c=contents,
        summary=summary,
        title=" · ".join(plain(name) for name in (summary["model"], summary["dataset"]) if name),
        tiles=_tiles(contents),
        bars=_bars(contents),
        plot=_plot(contents),
        singles=_single_heads(contents),
        place=contents.high_among_random,
        head_map=_head_map(contents),
        robustness=robustness(contents),
        layers=sorted({head.layer for head in contents.heads}),
        classes=[name for name, count in contents.class_counts.items() if count],
        files=[name for name in _FILES if (contents.path / name).exists()],
    )


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"percent": percent, "points": points, "metric_name": metric_name, "plain": plain, "step": head_step}
    environment.globals |= {
        "metric_value": metric_value,
        "metric_delta": metric_delta,
        "is_rank": is_rank,
        "p_value": p_value,
        "verdicts": _VERDICTS,
        "ORIGINAL": ORIGINAL,
    }
    return environment.get_template("page.html.jinja")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode()


def _tiles(contents: Contents) -> list[dict[str, str]]:
    """The run's few main numbers."""
    counts = contents.class_counts
    tiles = [{"value": str(counts[name]), "label": f"{name} heads", "note": f"of {len(contents.heads)}"} for name in counts]
    named = {item.name: item for item in contents.conditions}
    if ORIGINAL not in named:
        return tiles
    metric = contents.primary
    original = metric_value(metric, named[ORIGINAL].values.get(metric))
    unit = "" if is_rank(metric) else "%"
    tiles.append({"value": original + unit, "label": f"{metric_name(metric)}, no head pruned", "note": ""})
    for name, label in (("high_ccs", "without high heads"), ("low_ccs", "without low heads")):
        if name in named:
            item = named[name]
            note = f"points, {item.num_pruned} pruned"
            tiles.append({"value": metric_delta(metric, item.deltas.get(metric)), "label": label, "note": note})
    if contents.random_delta is not None:
        random = contents.summary["random"]
        spread = "" if random.get("sd") is None else f", sd {percent(random['sd'])}"
        note = f"points{spread}, {len(random['seeds'])} draws"
        tiles.append({"value": points(contents.random_delta), "label": "without random heads", "note": note})
    return tiles


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
    """The conditions as rows of a table, each with its interval placed on a scale that all rows share."""
    if not contents.conditions:
        return None
    metric = contents.primary
    random = contents.summary["random"] or {}
    mean, sd = random.get("mean"), random.get("sd") or 0.0
    ends = [
        end
        for item in contents.conditions
        for end in (*item.intervals.get(metric, ()), item.values.get(metric))
        if end is not None
    ]
    if mean is not None:
        ends += [mean - sd, mean + sd]
    first, last, ticks = _scale(min(ends, default=0.0), max(ends, default=1.0))

    def at(value: float | None) -> float | None:
        return None if value is None else round(14 + (_PLOT_WIDTH - 28) * (value - first) / (last - first), 2)

    def row(item: ConditionResult) -> dict[str, Any]:
        interval = item.intervals.get(metric)
        low, high = interval or (None, None)
        ends = {"low": at(low), "high": at(high), "ends": interval}
        return {"mean": False, "item": item, "dot": at(item.values.get(metric))} | ends

    rows: list[dict[str, Any]] = []
    for item in contents.groups:
        if item.name.startswith("random/") and mean is not None and not any(entry["mean"] for entry in rows):
            ends = {"low": at(mean - sd), "high": at(mean + sd), "ends": None}
            rows.append({"mean": True, "item": item, "dot": at(mean)} | ends)
        rows.append(row(item))
    original = next((item.values.get(metric) for item in contents.conditions if item.name == ORIGINAL), None)
    single = {name: row(item) for name, item in contents.single_heads.items()}
    tick_rows = [{"x": at(tick), "text": metric_value(metric, tick).removesuffix(".0")} for tick in ticks]
    return {"rows": rows, "single": single, "original": at(original), "ticks": tick_rows, "width": _PLOT_WIDTH}


def _scale(low: float, high: float) -> tuple[float, float, list[float]]:
    """Round ends around `low` and `high`, and three to six round numbers between them."""
    span = max(high - low, 0.01)
    power = 10.0 ** math.floor(math.log10(span))
    step = next(factor * power for factor in (0.2, 0.5, 1, 2, 5) if span / (factor * power) <= 5)
    first, last = math.floor(low / step + 1e-9), max(math.ceil(high / step - 1e-9), math.floor(low / step + 1e-9) + 1)
    return first * step, last * step, [number * step for number in range(first, last + 1)]


def _single_heads(contents: Contents) -> dict[str, dict[str, Any]]:
    """The loss from each head alone, with a shade 0..5 for its size among them."""
    deltas = {name: item.deltas.get(contents.primary) for name, item in contents.single_heads.items()}
    largest = max((abs(delta) for delta in deltas.values() if delta is not None), default=0.0) or 1.0
    return {
        name: {
            "delta": delta,
            "text": metric_delta(contents.primary, delta),
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
