"""A finished run in the terminal: CCS@K, accuracy and delta of every condition, warnings, and where the rest is."""

from __future__ import annotations

from rich.columns import Columns
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ccs_exp.heads import DESCRIPTIONS_PER_HEAD, ORIGINAL
from ccs_exp.report.contents import ConditionResult, Contents
from ccs_exp.report.evidence import findings
from ccs_exp.report.next_step import next_step
from ccs_exp.report.robustness import robustness_lines
from ccs_exp.report.skew import skew_findings
from ccs_exp.run_folder.wording import is_rank, metric_delta, metric_name, metric_value, p_value, percent, plain
from ccs_exp.scoring.ccs import Thresholds

_BAR_WIDTH = 30
_NARROW = 60  # columns, below which intervals are left to the report


def show(contents: Contents, console: Console | None = None, alone: bool = True) -> None:
    """Print `contents`. Names and warnings are text: no markup in them is obeyed. `alone`: it is no cell of a sweep."""
    console = console or Console()
    title = " · ".join(plain(name) for name in (contents.summary["model"], contents.summary["dataset"]) if name)
    console.print()
    console.print(Text(title, style="bold"), soft_wrap=True)
    counts = ", ".join(f"{count} {name}" for name, count in contents.class_counts.items())
    console.print(Text(f"{len(contents.heads)} scored heads: {counts}"))
    if contents.ccs_at_k:
        told = f"CCS@K: for how many heads K of their {DESCRIPTIONS_PER_HEAD} descriptions fit the head's label"
        console.print(Text(f"\n{told}", style="dim"))
        console.print(_at_k(contents, contents.ccs_at_k, min(_BAR_WIDTH, console.width - _BAR_WIDTH)))
    if contents.over_all_heads:
        console.print(Text(contents.over_all_heads, style="dim"))
    for line in robustness_lines(contents):
        console.print(Text(line), soft_wrap=True)
    if contents.groups and contents.primary:
        console.print()
        console.print(_conditions(contents, contents.primary, wide=console.width >= _NARROW))
    for item in contents.tested:
        text = f"{item.name} beside {item.matched_sets} sets that match it layer by layer: p {p_value(item.p_matched)}, two-sided."
        console.print(Text(plain(text), style="dim"))
    if contents.single_heads and contents.primary:
        _print_single_heads(contents, contents.primary, console)
    for finding in (*findings(contents.summary["evidence"]), *skew_findings(contents.summary)):
        console.print(Text(finding))
    for notice in contents.notices:
        console.print(Text.assemble(("Warning: ", "bold yellow"), plain(notice)))
    console.print()
    console.print(Text(f"Results: {plain(contents.path)}"), soft_wrap=True)
    if (contents.path / "report.html").exists():
        console.print(Text(f"Report:  {plain(contents.path / 'report.html')} (open it in a browser)"), soft_wrap=True)
    if contents.summary["atlas"]:
        console.print(Text(f"Atlas:   {plain(contents.path / 'atlas' / 'index.html')} (what each head sees)"), soft_wrap=True)
    if alone and (following := next_step(contents)):
        command, what = following
        console.print(Text.assemble(f"Next:    {plain(command)}", (f"   # {what}", "dim")), soft_wrap=True)


def _at_k(contents: Contents, at_k: dict[int, float], bar_width: int) -> Table:
    thresholds = (contents.summary.get("choices") or {}).get("thresholds")
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim")
    table.add_column()
    most = max(at_k.values()) or 1.0
    for k, fraction in sorted(at_k.items()):
        bar = "█" * round(bar_width * fraction / most) or ("▏" if fraction else "")
        name = Thresholds(*thresholds).classify(k) if thresholds else contents.class_of_k.get(k, "")
        table.add_row(f"CCS@{k}", f"{percent(fraction)}%", name, Text(bar, style="blue"))
    return table


def _conditions(contents: Contents, metric: str, wide: bool) -> Table:
    unit = "" if is_rank(metric) else " (%)"
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("Condition", overflow="fold")
    intervals = ("95% interval",) if wide else ()
    for name in ("Heads pruned", f"{metric_name(metric)}{unit}", *intervals, "Delta", *intervals):
        table.add_column(name, justify="right")
    for item in contents.groups:
        if item.empty:  # a notice says so
            continue
        table.add_row(Text(plain(item.name)), *_row(item, metric, wide))
    for item in contents.means:
        table.add_row(Text(plain(item.name.replace("/mean", ", mean")), style="dim"), *_row(item, metric, wide))
    return table


def _row(item: ConditionResult, metric: str, wide: bool) -> tuple[Text | str, ...]:
    delta = item.deltas.get(metric)
    style = "" if is_rank(metric) or not delta else "red" if delta < 0 else "green"
    ends = "–".join(metric_value(metric, end) for end in item.intervals.get(metric, ()))
    of_delta = " to ".join(metric_delta(metric, end) for end in item.delta_intervals.get(metric, ()))
    shown = Text("" if item.name == ORIGINAL else metric_delta(metric, delta), style=style)
    value = metric_value(metric, item.values.get(metric))
    return (str(item.num_pruned), value, ends, shown, of_delta) if wide else (str(item.num_pruned), value, shown)


def _print_single_heads(contents: Contents, metric: str, console: Console) -> None:
    console.print(Text(f"{metric_name(metric)}, delta of each head alone:", style="dim"))
    deltas = {name: metric_delta(metric, item.deltas.get(metric)) for name, item in contents.single_heads.items()}
    cells = [Text(f"{plain(name)} {delta:>5}") for name, delta in deltas.items()]
    console.print(Columns(cells, padding=(0, 2), equal=True))
