"""The run's figures as PNG files, drawn from its rows."""

from __future__ import annotations

import io
import warnings

import matplotlib
import matplotlib.axes
import matplotlib.patches
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ccs_exp.files import write_whole
from ccs_exp.heads import ORIGINAL
from ccs_exp.report.contents import ConditionResult, Contents, HeadResult
from ccs_exp.run_folder.folder import RunFolder
from ccs_exp.run_folder.wording import metric_delta, metric_name, metric_value, percent, plain

CCS_COLOURS = ("#dde5ef", "#bcd0e8", "#8fb3dc", "#5990cb", "#2e6db4", "#0d468a")
_INK, _QUIET, _GRID, _LOSS, _GAIN = "#1c2430", "#69748a", "#e3e8ef", "#b4532a", "#2e7d6b"
_CLASS_STEP = {"high": 5, "moderate": 3, "low": 1}
_STYLE = {
    "font.size": 10,
    "axes.edgecolor": _QUIET,
    "axes.labelcolor": _INK,
    "text.color": _INK,
    "xtick.color": _QUIET,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
}


def write_figures(contents: Contents) -> None:
    """Write ``ccs_at_k, heads_map, accuracy, delta`` as PNG, those that the run has rows for."""
    drawings = {
        "ccs_at_k": ccs_at_k_figure(contents) if contents.ccs_at_k else None,
        "heads_map": heads_map_figure(contents) if contents.heads else None,
        "accuracy": accuracy_figure(contents) if contents.conditions else None,
        "delta": delta_figure(contents) if len(contents.conditions) > 1 else None,
    }
    for name, figure in drawings.items():
        if figure is not None:
            write_whole(RunFolder(contents.path).figures / f"{name}.png", _png(figure))


def head_step(head: HeadResult) -> int | None:
    """Which of the six colours a head has: its CCS, or where only its class is known, one that stands for the class."""
    return head.ccs if head.ccs is not None else _CLASS_STEP.get(head.ccs_class)


def ccs_at_k_figure(contents: Contents) -> Figure:
    """CCS@K as bars."""
    with _styled():
        figure, axes = _figure(5.4, 3.2)
        bars = axes.bar(list(contents.ccs_at_k), [100 * value for value in contents.ccs_at_k.values()], 0.78, color=CCS_COLOURS)
        axes.bar_label(bars, [percent(value) for value in contents.ccs_at_k.values()], padding=2, color=_INK, fontsize=9)
        axes.set(xlabel="K: descriptions that fit the head's label", ylabel="CCS@K (% of judged heads)")
        axes.margins(y=0.12)
        _title(axes, contents, "Concept consistency")
    return figure


def heads_map_figure(contents: Contents) -> Figure:
    """Layer by head, coloured by CCS."""
    layers = sorted({head.layer for head in contents.heads})
    width = max(head.index for head in contents.heads) + 1
    with _styled():
        figure, axes = _figure(max(4.6, 0.46 * width + 1.2), 0.46 * len(layers) + 1.3)
        for head in contents.heads:
            step, y = head_step(head), layers.index(head.layer)
            face = "white" if step is None else CCS_COLOURS[step]
            hatch = "////" if step is None else None
            corner = (head.index - 0.47, y - 0.47)
            axes.add_patch(matplotlib.patches.Rectangle(corner, 0.94, 0.94, facecolor=face, edgecolor=_GRID, hatch=hatch))
            text = str(head.ccs) if head.ccs is not None else (head.ccs_class or "?")[0]
            axes.text(head.index, y, text, ha="center", va="center", fontsize=9, color="white" if (step or 0) >= 3 else _INK)
        axes.set(xlim=(-0.6, width - 0.4), ylim=(-0.6, len(layers) - 0.4), xlabel="head", ylabel="layer")
        axes.set_xticks(range(width))
        axes.set_yticks(range(len(layers)), [str(layer) for layer in layers])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        _title(axes, contents, "CCS of each head")
    return figure


def accuracy_figure(contents: Contents) -> Figure:
    """The primary metric of each condition, with its 95% Wilson interval."""
    metric, rows = contents.primary, contents.conditions
    scale = 1 if metric.endswith("rank") else 100
    with _styled():
        figure, axes = _rows_figure(rows)
        for y, row in enumerate(rows):
            value = row.values.get(metric)
            if value is None:
                continue
            if metric in row.intervals:
                ends = [scale * end for end in row.intervals[metric]]
                axes.plot(ends, [y, y], color=CCS_COLOURS[3], linewidth=2, solid_capstyle="butt")
            axes.plot(scale * value, y, "o", color=CCS_COLOURS[5], markersize=6)
            text = metric_value(metric, value)
            axes.annotate(text, (scale * value, y), (0, 6), textcoords="offset points", ha="center", fontsize=8)
        original = next((row.values.get(metric) for row in rows if row.name == ORIGINAL), None)
        if original is not None:
            axes.axvline(scale * original, color=_QUIET, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
        interval = ", 95% Wilson interval" if any(metric in row.intervals for row in rows) else ""
        axes.set_xlabel(f"{metric_name(metric)}{'' if scale == 1 else ' (%)'}{interval}")
        _title(axes, contents, f"{'Accuracy' if metric == 'top1' else metric_name(metric)} of each condition")
    return figure


def delta_figure(contents: Contents) -> Figure:
    """The primary metric's difference to the original's."""
    metric = contents.primary
    rows = tuple(row for row in contents.conditions if row.name != ORIGINAL)
    scale = 1 if metric.endswith("rank") else 100
    with _styled():
        figure, axes = _rows_figure(rows)
        deltas = [scale * (row.deltas.get(metric) or 0.0) for row in rows]
        bars = axes.barh(range(len(rows)), deltas, 0.62, color=[_LOSS if delta < 0 else _GAIN for delta in deltas])
        axes.bar_label(bars, [metric_delta(metric, row.deltas.get(metric)) for row in rows], padding=6, fontsize=8, color=_INK)
        axes.axvline(0, color=_QUIET, linewidth=0.8)
        ends = {y: row.paired.interval for y, row in enumerate(rows) if row.paired and row.paired.interval and scale == 100}
        for y, interval in ends.items():
            axes.plot([scale * end for end in interval], [y, y], color=_INK, linewidth=1)
        axes.margins(x=0.14)
        unit = "" if scale == 1 else f" (percentage points{', 95% interval' if ends else ''})"
        axes.set_xlabel(f"{metric_name(metric)}, difference to the original{unit}")
        _title(axes, contents, "What is lost")
    return figure


def _rows_figure(rows: tuple[ConditionResult, ...]) -> tuple[Figure, matplotlib.axes.Axes]:
    figure, axes = _figure(6.4, 1.4 + 0.34 * len(rows))
    axes.set_yticks(range(len(rows)), [plain(f"{row.name} ({row.num_pruned})", 40) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.7)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    return figure, axes


def _figure(width: float, height: float) -> tuple[Figure, matplotlib.axes.Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots()


def _styled():
    return matplotlib.rc_context(_STYLE)


def _title(axes: matplotlib.axes.Axes, contents: Contents, what: str) -> None:
    names = [name for name in (contents.summary["model"], contents.summary["dataset"]) if name]
    axes.set_title(f"{what} · {plain(' · '.join(map(str, names)), 48)}", loc="left", fontsize=10, fontweight="bold", pad=10)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    with _styled(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # names may be in any script
        figure.savefig(buffer, format="png", dpi=130, metadata={"Software": None})
    return buffer.getvalue()
