"""The paper's figures, drawn from the report's tables."""

from __future__ import annotations

import io
import warnings

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ccs_exp.report.reproduction.tables import Table
from ccs_exp.report.reproduction.typeset import condition_title
from ccs_exp.run_folder.wording import is_rank, metric_name, plain

_COLOURS = {"original": "#46566e", "high_ccs": "#0d468a", "low_ccs": "#8fb3dc", "random": "#c9a24b"}
_OTHERS = ("#0d468a", "#5990cb", "#8fb3dc", "#c9a24b", "#2e7d6b")
_INK, _QUIET, _GRID = "#1c2430", "#69748a", "#e3e8ef"
_STYLE = {
    "font.size": 9,
    "axes.edgecolor": _QUIET,
    "axes.labelcolor": _INK,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _QUIET,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
}


def bars(table: Table) -> bytes:
    """Bars for each model and condition, a panel for each data set, as PNG.

    Lines are the standard deviation over draws, or the 95% interval; a diamond is the paper's number, where it gives one.
    """
    datasets = table.groups
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # names may be in any script
        figure = Figure(figsize=(3.4 + 0.9 * len(table.rows), 2.9 * len(datasets)), layout="constrained")
        FigureCanvasAgg(figure)
        for panel, (axes, (dataset, conditions)) in enumerate(
            zip(figure.subplots(len(datasets), 1, squeeze=False)[:, 0], datasets, strict=True)
        ):
            start = sum(len(names) for _, names in datasets[:panel])
            _panel(axes, table, dataset, conditions, start)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def _panel(axes, table: Table, dataset: str, conditions: list[str], start: int) -> None:
    width, metrics = 0.84 / len(conditions), set()
    for offset, condition in enumerate(conditions):
        colour = _COLOURS.get(condition) or _OTHERS[(offset - 1) % len(_OTHERS)]
        shown = False
        for x, (_, _, entries) in enumerate(table.rows):
            entry = entries[start + offset]
            at = x + (offset - (len(conditions) - 1) / 2) * width
            if entry.ours is not None:
                metrics.add(entry.metric)
                scale = 1 if is_rank(entry.metric) else 100
                label = None if shown else condition_title(condition)
                axes.bar(at, scale * entry.ours, 0.92 * width, color=colour, label=label)
                shown = True
                ends = entry.interval or (entry.sd is not None and (entry.ours - entry.sd, entry.ours + entry.sd))
                if ends:
                    axes.plot([at, at], [scale * end for end in ends], color=_INK, linewidth=0.9)
            if entry.paper is not None:
                axes.plot(
                    at, 100 * entry.paper, "D", markersize=3.4, markerfacecolor="white", markeredgecolor=_INK, markeredgewidth=0.8
                )
    axes.set_xticks(range(len(table.rows)), [plain(title, 22) for _, title, _ in table.rows])
    axes.set_xlim(-0.6, len(table.rows) - 0.4)
    axes.set_ylim(bottom=0)
    (metric,) = metrics if len(metrics) == 1 else ("",)
    axes.set_ylabel(f"{metric_name(metric)}{'' if not metric or is_rank(metric) else ' (%)'}")
    axes.grid(axis="y", color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(axis="x", length=0, labelsize=8)
    axes.set_title(plain(dataset, 60), loc="left", fontsize=10, fontweight="bold")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8)
