"""The paper's figures, drawn from the report's tables."""

from __future__ import annotations

from matplotlib.axes import Axes

from ccs_exp.report.drawing import INK, grid, panels, png, styled, title
from ccs_exp.report.reproduction.tables import Table
from ccs_exp.report.reproduction.typeset import condition_title
from ccs_exp.run_folder.wording import is_rank, metric_name, plain

_COLOURS = {"original": "#46566e", "high_ccs": "#0d468a", "low_ccs": "#8fb3dc", "random": "#c9a24b"}
_OTHERS = ("#0d468a", "#5990cb", "#8fb3dc", "#c9a24b", "#2e7d6b")


def bars(table: Table) -> bytes:
    """Bars for each model and condition, a panel for each data set, as PNG.

    Lines are 95% intervals, of several draws of their mean; a diamond is the paper's number, where it gives one of the same protocol.
    """
    datasets = table.groups
    with styled():
        figure, below = panels(3.4 + 0.9 * len(table.rows), 2.9 * len(datasets), len(datasets))
        for panel, (axes, (dataset, conditions)) in enumerate(zip(below, datasets, strict=True)):
            start = sum(len(names) for _, names in datasets[:panel])
            _panel(axes, table, dataset, conditions, start)
    return png(figure, dpi=110)


def _panel(axes: Axes, table: Table, dataset: str, conditions: list[str], start: int) -> None:
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
                if entry.interval:
                    axes.plot([at, at], [scale * end for end in entry.interval], color=INK, linewidth=0.9)
            if entry.paper is not None and not entry.other_protocol:
                (diamond,) = axes.plot(at, 100 * entry.paper, "D", color=INK, markersize=3.4, markerfacecolor="white")
                diamond.set_markeredgewidth(0.8)
    axes.set_xticks(range(len(table.rows)), [plain(title, 22) for _, title, _ in table.rows])
    axes.set_xlim(-0.6, len(table.rows) - 0.4)
    axes.set_ylim(bottom=0)
    (metric,) = metrics if len(metrics) == 1 else ("",)
    axes.set_ylabel(f"{metric_name(metric)}{'' if not metric or is_rank(metric) else ' (%)'}")
    grid(axes, "y")
    axes.tick_params(axis="x", labelsize=8)
    title(axes, plain(dataset, 60))
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8)
