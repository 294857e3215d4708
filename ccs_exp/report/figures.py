"""The run's figures as PNG files, drawn from its rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.transforms import offset_copy

from ccs_exp.files import write_whole
from ccs_exp.heads import ORIGINAL
from ccs_exp.report.contents import ConditionResult, Contents
from ccs_exp.report.drawing import CCS_COLOURS, GAIN, GRID, INK, LOSS, QUIET, grid, panels, png, row_names, styled, title
from ccs_exp.report.evidence import CausalMapView, causal_map_view
from ccs_exp.report.robustness import draws_of_heads, robustness
from ccs_exp.report.skew import SKEWS, AttributeSkews, skew_view
from ccs_exp.run_folder.folder import RunFolder
from ccs_exp.run_folder.wording import is_rank, metric_delta, metric_name, metric_value, percent, plain
from ccs_exp.statistics.intervals import Interval

_CORNERS = ((-0.47, -0.47), (0.47, -0.47), (0.47, 0.47), (-0.47, 0.47))  # of a cell, around its middle
_MOST_ROWS = 400  # a figure of more is higher than a PNG can be


def write_figures(contents: Contents) -> None:
    """Write all figures as PNG, those that the run has rows for."""
    write_figures_of_heads(contents)
    write_figures_of_conditions(contents)


def write_figures_of_heads(contents: Contents) -> None:
    """``causal_map, ccs_at_k, heads_map, null_ccs, relabel, skew``: those that need no interval."""
    rescored, causal, skews = robustness(contents), causal_map_view(contents), skew_view(contents.path)
    with styled():
        _write(contents, "causal_map", causal_map_figure(causal) if causal else None)
        _write(contents, "ccs_at_k", ccs_at_k_figure(contents) if contents.ccs_at_k else None)
        _write(contents, "heads_map", heads_map_figure(contents) if contents.heads else None)
        _write(contents, "null_ccs", null_figure(contents, rescored["at_k"]) if rescored and rescored["at_k"] else None)
        _write(contents, "relabel", relabel_figure(contents) if rescored and rescored["heads"] else None)
        _write(contents, "skew", skew_figure(skews) if skews else None)


def write_figures_of_conditions(contents: Contents) -> None:
    """``accuracy, delta``."""
    conditions = tuple(item for item in contents.conditions if not item.empty)[:_MOST_ROWS]
    with styled():
        _write(contents, "accuracy", accuracy_figure(contents, conditions) if conditions else None)
        _write(contents, "delta", delta_figure(contents, conditions) if len(conditions) > 1 else None)


def _write(contents: Contents, name: str, figure: Figure | None) -> None:
    if figure is not None:
        write_whole(RunFolder(contents.path).figures / f"{name}.png", png(figure))


def ccs_at_k_figure(contents: Contents) -> Figure:
    """CCS@K as bars."""
    figure, (axes,) = panels(5.4, 3.2)
    _bars(axes, {k: share for k, share in (contents.ccs_at_k or {}).items()}, 0.0, 0.78, CCS_COLOURS)
    _title(axes, contents, "Concept consistency")
    return figure


def null_figure(contents: Contents, at_k: Sequence[tuple[int, float | None, float]]) -> Figure:
    """CCS@K of the heads under their own labels, and under those of other heads."""
    figure, (axes,) = panels(5.4, 3.2)
    _bars(axes, {k: own or 0.0 for k, own, _ in at_k}, -0.2, 0.38, CCS_COLOURS[4], "under their own labels")
    _bars(axes, {k: chance for k, _, chance in at_k}, 0.2, 0.38, CCS_COLOURS[1], "under other heads' labels")
    axes.legend(frameon=False, fontsize=8)
    _title(axes, contents, "CCS and chance")
    return figure


def _bars(axes: Axes, shares: dict[int, float], shift: float, width: float, colour: str | Sequence[str], label: str = "") -> None:
    bars = axes.bar([k + shift for k in shares], [100 * share for share in shares.values()], width, color=colour, label=label)
    axes.bar_label(bars, [percent(share) for share in shares.values()], padding=2, fontsize=8)
    axes.set(xlabel="K: descriptions that fit the head's label", ylabel="CCS@K (% of judged heads)")
    axes.margins(y=0.12)


def heads_map_figure(contents: Contents) -> Figure:
    """Layer by head, coloured by CCS."""
    layers = sorted({head.layer for head in contents.heads})
    width = max(head.index for head in contents.heads) + 1
    figure, (axes,) = panels(max(4.6, 0.46 * width + 1.2), 0.46 * len(layers) + 1.3)
    for head in contents.heads:
        step, y = head.step, layers.index(head.layer)
        face, hatch = ("white", "////") if step is None else (CCS_COLOURS[step], None)
        axes.add_patch(Rectangle((head.index - 0.47, y - 0.47), 0.94, 0.94, facecolor=face, edgecolor=GRID, hatch=hatch))
        text = str(head.ccs) if head.ccs is not None else (head.ccs_class or "?")[0]
        colour = "white" if (step or 0) >= 3 else INK
        axes.text(head.index, y, text, ha="center", va="center", fontsize=9, color=colour, in_layout=False)  # it fits its cell
    axes.set(xlim=(-0.6, width - 0.4), ylim=(-0.6, len(layers) - 0.4), xlabel="head", ylabel="layer")
    axes.set_xticks(range(width))
    axes.set_yticks(range(len(layers)), [str(layer) for layer in layers])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    _title(axes, contents, "CCS of each head")
    return figure


def accuracy_figure(contents: Contents, rows: Sequence[ConditionResult]) -> Figure:
    """The primary metric of each condition, with its 95% interval."""
    metric, scale = contents.primary, _scale(contents.primary)
    figure, axes = _rows_figure(rows)
    values = [(y, value) for y, row in enumerate(rows) if (value := row.values.get(metric)) is not None]
    _spans(axes, [row.intervals.get(metric) for row in rows], scale, CCS_COLOURS[3], 2)
    axes.plot([scale * value for _, value in values], [y for y, _ in values], "o", color=CCS_COLOURS[5], markersize=6)
    above = offset_copy(axes.transData, figure, y=6, units="points")
    for y, value in values:
        axes.text(scale * value, y, metric_value(metric, value), ha="center", fontsize=8, transform=above, in_layout=False)
    original = contents.original.values.get(metric) if contents.original else None
    if original is not None:
        axes.axvline(scale * original, color=QUIET, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
    axes.set_xlabel(f"{metric_name(metric)}{_unit(metric, ' (%)')}{_told([row.how.get(metric) for row in rows])}")
    _title(axes, contents, f"{'Accuracy' if metric == 'top1' else metric_name(metric)} of each condition")
    return figure


def delta_figure(contents: Contents, rows: Sequence[ConditionResult]) -> Figure:
    """The primary metric's difference to the original's."""
    metric, scale = contents.primary, _scale(contents.primary)
    rows = [row for row in rows if row.name != ORIGINAL]
    figure, axes = _rows_figure(rows)
    deltas = [scale * (row.deltas.get(metric) or 0.0) for row in rows]
    axes.barh(range(len(rows)), deltas, 0.62, color=[LOSS if delta < 0 else GAIN for delta in deltas])
    left, right = (offset_copy(axes.transData, figure, x=points, units="points") for points in (-6, 6))
    for y, (row, delta) in enumerate(zip(rows, deltas, strict=True)):
        ends = [delta, *(scale * end for end in row.delta_intervals.get(metric, ()))]
        at, beside, side = (min(ends), left, "right") if delta < 0 else (max(ends), right, "left")
        text = metric_delta(metric, row.deltas.get(metric))
        axes.text(at, y, text, ha=side, va="center", fontsize=8, transform=beside, in_layout=False)  # margins have room for it
    axes.axvline(0, color=QUIET, linewidth=0.8)
    _spans(axes, [row.delta_intervals.get(metric) for row in rows], scale, INK, 1)
    axes.margins(x=0.14)
    told = _told([row.how.get(metric) for row in rows if metric in row.delta_intervals])
    axes.set_xlabel(f"{metric_name(metric)}, difference to the original{_unit(metric, ' (percentage points)')}{told}")
    _title(axes, contents, "What is lost")
    return figure


def relabel_figure(contents: Contents) -> Figure:
    """CCS of each head: the run's as a bar, every draw's as a circle, larger where draws agree."""
    heads = sorted((-(head.ccs or 0), head.layer, head.index, head.name) for head in contents.heads if head.ccs is not None)
    draws = draws_of_heads(contents)
    figure, (axes,) = panels(max(5.4, 0.16 * len(heads) + 1.2), 3.4)
    for x, (falling, _, _, name) in enumerate(heads):
        for ccs, count in Counter(item.ccs for item in draws.get(name, ()) if item.ccs is not None).items():
            axes.scatter(x, ccs, s=14 + 70 * count / len(draws[name]), color=CCS_COLOURS[3], alpha=0.6, linewidths=0)
        axes.plot([x - 0.4, x + 0.4], [-falling, -falling], color=CCS_COLOURS[5], linewidth=2)
    axes.set(ylim=(-0.5, 5.5), xlim=(-1, len(heads)), ylabel="CCS", xlabel="heads: bar, the run's score; circles, its draws")
    axes.set_yticks(range(6))
    axes.set_xticks(range(len(heads)), [name for *_, name in heads], rotation=90, fontsize=6)
    _title(axes, contents, "Labelled again")
    return figure


def causal_map_figure(view: CausalMapView) -> Figure:
    """Heads by layer, tasks as columns; a frame marks the tasks that test a head's label."""
    figure, (axes,) = panels(1.0 * len(view.tasks) + 2.6, 0.26 * len(view.rows) + 1.3)
    cells = [(x, y, *cell) for y, row in enumerate(view.rows) for x, cell in enumerate(row.cells)]
    colours = ["white" if value is None else CCS_COLOURS[shade] for _, _, value, shade, _ in cells]
    edges = [INK if named else colour for (*_, named), colour in zip(cells, colours, strict=True)]
    corners = [[(x + right, y + up) for right, up in _CORNERS] for x, y, *_ in cells]
    axes.add_collection(PolyCollection(corners, facecolors=colours, edgecolors=edges, linewidths=1.2))  # one artist: each has its cost
    for x, y, value, shade, _ in cells:
        if value is not None:
            colour = "white" if shade > 2 else INK
            axes.text(x, y, f"{value:.2f}", ha="center", va="center", fontsize=7, color=colour, in_layout=False)  # it fits its cell
    axes.set_xticks(range(len(view.tasks)), [plain(task.rpartition("/")[2], 20) for task in view.tasks])
    row_names(axes, [f"{row.head}  {plain(row.label or '–', 16)}" for row in view.rows], fontsize=7)
    axes.set(xlim=(-0.6, len(view.tasks) - 0.4), ylim=(len(view.rows) - 0.5, -0.5))
    axes.set_xlabel("cost of silencing the head alone, in standard deviations of the task's margins; framed: what its label names")
    axes.tick_params(length=0)
    return figure


def skew_figure(view: tuple[AttributeSkews, ...]) -> Figure:
    """A panel an attribute: MinSkew and MaxSkew of the original and of each condition, joined."""
    height = max(len(item.rows) for item in view)
    figure, panels_of = panels(6.4, (0.26 * height + 1.1) * len(view), len(view))
    for axes, item in zip(panels_of, view, strict=True):
        for y, row in enumerate(item.rows):
            for measure in SKEWS:
                original, value = item.rows[0].cells[measure]["value"], row.cells[measure]["value"]
                axes.plot([original, value], [y, y], color=CCS_COLOURS[2], linewidth=2, zorder=1)
                axes.scatter([original], [y], s=26, facecolor="white", edgecolor=QUIET, zorder=2)
                axes.scatter([value], [y], s=30, color=CCS_COLOURS[5], zorder=3)
        for level in (item.levels[measure] for measure in SKEWS):
            if level is not None:
                axes.axvline(level, color=QUIET, linewidth=0.8, linestyle=":")
        axes.set_yticks(range(len(item.rows)), [plain(row.condition, 24) for row in item.rows])
        axes.set_ylim(len(item.rows) - 0.5, -0.5)
        axes.set_xlabel("MinSkew (left) and MaxSkew: open, the original; dotted, rankings in random order")
        grid(axes, "x")
        title(axes, item.attribute)
    return figure


def _rows_figure(rows: Sequence[ConditionResult]) -> tuple[Figure, Axes]:
    figure, (axes,) = panels(6.4, 1.4 + 0.34 * len(rows))
    row_names(axes, [plain(f"{row.name} ({row.num_pruned})", 40) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.7)
    grid(axes, "x")
    axes.spines["left"].set_visible(False)
    return figure, axes


def _spans(axes: Axes, intervals: Sequence[Interval | None], scale: int, colour: str, width: float) -> None:
    """The interval of each row, where it has one."""
    found = {y: ends for y, ends in enumerate(intervals) if ends}
    lows, highs = [scale * ends.low for ends in found.values()], [scale * ends.high for ends in found.values()]
    axes.hlines(list(found), lows, highs, color=colour, linewidth=width)


def _scale(metric: str) -> int:
    return 1 if is_rank(metric) else 100


def _unit(metric: str, unit: str) -> str:
    return "" if is_rank(metric) else unit


def _told(kinds: Sequence[str | None]) -> str:
    """Which intervals a figure has."""
    known = dict.fromkeys(kind for kind in kinds if kind)
    return f"\n95% interval: {', '.join(known)}" if known else ""


def _title(axes: Axes, contents: Contents, what: str) -> None:
    names = [plain(name) for name in (contents.summary["model"], contents.summary["dataset"]) if name]
    title(axes, f"{what} · {plain(' · '.join(names), 48)}")
