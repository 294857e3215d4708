"""A finished run in the terminal: CCS@K, accuracy and delta of every condition, warnings, and where the rest is."""

from __future__ import annotations

from rich.columns import Columns
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ccs_exp.heads import ORIGINAL
from ccs_exp.report.contents import ConditionResult, Contents
from ccs_exp.report.robustness import robustness_lines
from ccs_exp.run_folder.wording import is_rank, metric_delta, metric_name, metric_value, p_value, percent, plain

_BAR_WIDTH = 30


def show(contents: Contents, console: Console | None = None) -> None:
    """Print `contents`. Names and warnings are text: no markup in them is obeyed."""
    console = console or Console()
    title = " · ".join(plain(name) for name in (contents.summary["model"], contents.summary["dataset"]) if name)
    console.print()
    console.print(Text(title, style="bold"), soft_wrap=True)
    counts = ", ".join(f"{count} {name}" for name, count in contents.class_counts.items())
    console.print(Text(f"{len(contents.heads)} scored heads: {counts}"))
    if contents.ccs_at_k:
        console.print(_at_k(contents.ccs_at_k))
    for line in robustness_lines(contents):
        console.print(Text(line), soft_wrap=True)
    if contents.groups:
        console.print(_conditions(contents))
    for item in contents.tested:
        text = f"{item.name} beside {item.matched_sets} sets that match it layer by layer: p {p_value(item.p_matched)}, two-sided."
        console.print(Text(plain(text), style="dim"))
    if contents.single_heads:
        _print_single_heads(contents, console)
    for notice in contents.notices:
        console.print(Text.assemble(("Warning: ", "bold yellow"), plain(notice)))
    console.print()
    console.print(Text(f"Results: {plain(contents.path)}"), soft_wrap=True)
    if (contents.path / "report.html").exists():
        console.print(Text(f"Report:  {plain(contents.path / 'report.html')}"), soft_wrap=True)


def _at_k(at_k: dict[int, float]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    most = max(at_k.values()) or 1.0
    for k, fraction in sorted(at_k.items()):
        length = round(_BAR_WIDTH * fraction / most)
        table.add_row(f"CCS@{k}", f"{percent(fraction)}%", Text("█" * length or ("▏" if fraction else ""), style="blue"))
    return table


def _conditions(contents: Contents) -> Table:
    metric = contents.primary
    unit = "" if is_rank(metric) else " (%)"
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("Condition", overflow="fold")
    for name in ("Heads pruned", f"{metric_name(metric)}{unit}", "95% interval", "Delta", "95% interval"):
        table.add_column(name, justify="right")
    for item in contents.groups:
        table.add_row(Text(plain(item.name)), *_row(item, metric))
    for item in contents.means:
        table.add_row(Text(plain(item.name.replace("/mean", ", mean")), style="dim"), *_row(item, metric))
    return table


def _row(item: ConditionResult, metric: str) -> tuple[Text | str, ...]:
    delta = item.deltas.get(metric)
    style = "" if is_rank(metric) or not delta else "red" if delta < 0 else "green"
    ends = "–".join(metric_value(metric, end) for end in item.intervals.get(metric, ()))
    of_delta = " to ".join(metric_delta(metric, end) for end in item.delta_intervals.get(metric, ()))
    shown = Text("" if item.name == ORIGINAL else metric_delta(metric, delta), style=style)
    return str(item.num_pruned), metric_value(metric, item.values.get(metric)), ends, shown, of_delta


def _print_single_heads(contents: Contents, console: Console) -> None:
    metric = contents.primary
    console.print(Text(f"{metric_name(metric)}, delta of each head alone:", style="dim"))
    deltas = {name: metric_delta(metric, item.deltas.get(metric)) for name, item in contents.single_heads.items()}
    cells = [Text(f"{plain(name)} {delta:>5}") for name, delta in deltas.items()]
    console.print(Columns(cells, padding=(0, 2), equal=True))
