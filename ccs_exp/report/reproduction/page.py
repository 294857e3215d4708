"""``reproduction.html``: one file that needs nothing else and runs no script; whatever a run says is shown as text."""

from __future__ import annotations

import base64
from collections import Counter, defaultdict
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Template
from markupsafe import Markup

from ccs_exp.report.reproduction import heads
from ccs_exp.report.reproduction.arrange import Reproduction
from ccs_exp.report.reproduction.cells import Cell
from ccs_exp.report.reproduction.claims import words
from ccs_exp.report.reproduction.claims.statements import CLAIMS
from ccs_exp.report.reproduction.figures import bars
from ccs_exp.report.reproduction.layers import heat
from ccs_exp.report.reproduction.tables import SIGNIFICANT, TITLES, Entry, Table
from ccs_exp.report.reproduction.typeset import condition_title, ends_text, value_text
from ccs_exp.run_folder.web_page import policy, templates
from ccs_exp.run_folder.wording import is_rank, metric_name, p_value, plain

_HERE = Path(__file__).parent
_NEAR, _FAR = 0.005, 0.02  # differences up to the first are no colour, beyond the second the strong one


def render(found: Reproduction) -> str:
    """The page as text."""
    css = "\n".join(path.read_text(encoding="utf-8") for path in (_HERE.parent / "page.css", _HERE / "page.css"))
    return _template().render(
        policy=policy(css, more={"img-src": "data:"}),
        css=Markup(css),
        r=found,
        coverage=_coverage(found),
        paper_first=any(table.filled for _, tables in found.views for table in tables),
        tested=any(table.tested for table in found.tables),
        warnings=_warnings(found),
        paper_examples=heads.paper_examples(found.paper),
        labels=heads.labels(found.book),
        extras=other_conditions(found),
        heats={scores: _encoded(heat(models)) for scores, models in found.layers.items()},
        pictures={
            (table.name, table.edition): _picture(table)
            for table in found.tables
            if table.name.startswith("figure") and table.filled
        },
    )


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = templates(_HERE)
    environment.filters |= {"plain": plain, "condition_title": condition_title, "p": p_value, "metric_name": metric_name}
    environment.filters |= {"shade": shade, "moment": _moment, "beside_matched": _beside_matched, "by_class": _by_class}
    environment.globals |= {"value_text": value_text, "ends_text": ends_text, "is_rank": is_rank, "tip": _tip, "SIGNIFICANT": SIGNIFICANT}
    environment.filters |= {"counted": words.counted, "overall": words.overall, "contrary": words.contrary, "means": words.means}
    environment.globals |= {"CLAIMS": CLAIMS, "EXPLAINED": words.EXPLAINED}
    return environment.get_template("page.html.jinja")


def shade(difference: float | None, near: float = _NEAR, far: float = _FAR) -> str:
    """The class that colours a difference of fractions.

    >>> shade(0.001), shade(-0.01), shade(0.3), shade(None)
    ('near', 'down-1', 'up-2', '')
    """
    if difference is None:
        return ""
    size = abs(difference) - 1e-9
    return "near" if size <= near else f"{'up' if difference > 0 else 'down'}-{1 if size <= far else 2}"


def _tip(entry: Entry) -> str:
    """What a cell says when pointed at."""
    parts, result = [metric_name(entry.metric)], entry.condition_result
    over = f" of the mean of {entry.draws} draws" if entry.draws else ""
    if entry.interval:
        how = f" ({result.how[entry.metric]})" if result and entry.metric in result.how else ""
        parts.append(f"95% interval{over} {ends_text(entry.metric, entry.interval, signed=False)}{how}")
    if entry.num_pruned:
        parts.append(f"{entry.num_pruned} heads pruned")
    if entry.delta_interval:
        parts.append(f"95% interval of the difference to the original{over} {ends_text(entry.metric, entry.delta_interval)}")
    if result and result.lost is not None:
        parts.append(f"{result.lost} samples lost, {result.gained} gained")
    if result and result.p_matched is not None:
        parts.append(f"beside {result.matched_sets} sets that match it layer by layer p {p_value(result.p_matched)}, two-sided")
        parts.append(f"{p_value(entry.adjusted)} after Holm's correction over this table")
    if entry.other_protocol:
        parts.append(f"the paper's number is of another protocol ({entry.other_protocol}) and does not compare with it")
    if entry.difference is not None:
        against = "open_clip's" if entry.condition == "original" and entry.target == entry.reference else "the paper's"
        what = "accuracy" if entry.condition == "original" else "delta"
        parts.append(f"{value_text('', entry.difference, True)} points from {against} {what}")
    parts += [str(run.path) for run in entry.runs]
    return plain("; ".join(parts))


def _coverage(found: Reproduction) -> list[dict[str, Any]]:
    """How many cells of each table and figure have a number of ours, at best over its editions."""
    scored = [sum(row.run is not None and row.known is not None for row in rows) for rows in found.at_k.values()]
    rows = [{"anchor": "table3", "title": "Table 3", "filled": 6 * max(scored), "of": 6 * len(found.paper.models)}]
    for view, tables in found.views:
        best = max(tables, key=lambda table: table.filled)
        rows.append({"anchor": view.name, "title": view.title, "filled": best.filled, "of": len(best.entries)})
    return rows


def _warnings(found: Reproduction) -> list[tuple[str, int]]:
    """What runs warn of, and how many do; then what only their comparison shows."""
    said = Counter(plain(warning, 300) for run in found.collection.runs for warning in run.summary["warnings"])
    limited = sum(run.limited for run in found.collection.runs)
    if limited:
        said["Only the first samples of a data set were evaluated (dataset.limit); such cells are marked ‡."] = limited
    for models, count in _alike(found):
        said[f"{', '.join(models)} have the same high heads and the same numbers: they are one model, not {len(models)}."] = count
    return list(said.items())


def _alike(found: Reproduction) -> list[tuple[list[str], int]]:
    """Models that coincide: the same high heads and the same values on the same data sets; with the number of their runs."""
    by_content: dict[Any, dict[str, int]] = defaultdict(dict)
    for run in found.collection.runs:
        high = tuple(head.name for head in run.contents.heads if head.ccs_class == "high")
        values = tuple((item.name, tuple(item.values.items())) for item in run.conditions)
        if high and values:
            counted = by_content[high, values, run.dataset, run.edition]
            counted[run.model] = counted.get(run.model, 0) + 1
    groups: dict[tuple[str, ...], int] = {}
    for counted in by_content.values():
        if len(counted) > 1:
            models = tuple(sorted(map(plain, counted)))
            groups[models] = groups.get(models, 0) + sum(counted.values())
    return [(list(models), count) for models, count in groups.items()]


def other_conditions(found: Reproduction) -> list[dict[str, Any]]:
    """Conditions that no table has, for each edition, model and data set."""
    views, extras = found.paper.views.values(), []
    for edition in found.book.editions:
        for dataset, models in found.book.datasets(edition).items():
            in_paper = {c for view in views if view.equal == edition.equal and dataset in view.datasets for c in view.conditions}
            for model in models:
                known = in_paper if in_paper and model in found.paper.models else set(TITLES)
                cells = found.book.others(edition, model, dataset, known)
                singles = found.book.single_heads(edition, model, dataset)
                if cells or singles:
                    worst = min(singles, key=_delta, default=None)
                    extra = {"edition": edition, "model": model, "dataset": dataset}
                    extras.append(extra | {"cells": cells, "singles": singles, "worst": worst})
    return extras


def _delta(cell: Cell) -> float:
    return 0.0 if cell.delta is None else cell.delta


def _picture(table: Table) -> str:
    return _encoded(bars(table))


def _encoded(image: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(image).decode()


def _beside_matched(table: Table) -> list[dict[str, Any]]:
    """Each cell that has a matched null, with its row's title and its data set's."""
    return [
        {"title": title, "dataset": table.dataset_titles.get(entry.dataset, entry.dataset), "entry": entry}
        for _, title, entries in table.rows
        for entry in entries
        if entry.p_matched is not None and entry.matched is not None
    ]


def _by_class(examples: list[heads.Example]) -> list[tuple[str, str, list[heads.Example]]]:
    """Table 1's columns, also those without a head."""
    columns: dict[tuple[str, str], list[heads.Example]] = {column: [] for column in heads.COLUMNS.values()}
    for example in examples:
        columns.setdefault((example.title, example.rule), []).append(example)
    return [(title, rule, found) for (title, rule), found in columns.items()]


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
