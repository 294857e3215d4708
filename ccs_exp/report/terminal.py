"""A finished run in the terminal: CCS@K, accuracy and delta of every condition, warnings, and where the rest is."""

from __future__ import annotations

from rich.columns import Columns
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ccs_exp.heads import DESCRIPTIONS_PER_HEAD, ORIGINAL
from ccs_exp.report.contents import ConditionResult, Contents
from ccs_exp.report.robustness import robustness_lines
from ccs_exp.run_folder.wording import is_rank, metric_delta, metric_name, metric_value, p_value, percent, plain, points
from ccs_exp.scoring.ccs import Thresholds

_BAR_WIDTH = 30
_NARROW = 60  # columns, below which a table shows what matters most

_NEXT = {  # for a run that is no cell of a sweep
    True: ("a real model", "ccs-exp model=vitb32_openai ccs=published dataset=cifar10"),
    False: ("all six models", "ccs-exp -m 'model=glob(vit*)' ccs=published dataset=cifar10"),
}


def show(contents: Contents, console: Console | None = None, alone: bool = True) -> None:
    """Print `contents`. Names and warnings are text: no markup in them is obeyed. `alone`: it is no cell of a sweep."""
    console = console or Console()
    title = " · ".join(plain(name) for name in (contents.summary["model"], contents.summary["dataset"]) if name)
    console.print()
    console.print(Text(title, style="bold"), soft_wrap=True)
    counts = ", ".join(f"{count} {name}" for name, count in contents.class_counts.items())
    console.print(Text(f"{len(contents.heads)} scored heads: {counts}"))
    if contents.ccs_at_k:
        console.print()
        told = f"CCS@K: for how many heads K of their {DESCRIPTIONS_PER_HEAD} descriptions fit the head's label"
        console.print(Text(told, style="dim"))
        console.print(_at_k(contents, min(_BAR_WIDTH, console.width - _BAR_WIDTH)))
    for line in robustness_lines(contents):
        console.print(Text(line), soft_wrap=True)
    if contents.groups and contents.primary:
        console.print()
        console.print(_conditions(contents, contents.primary, wide=console.width >= _NARROW))
    place = _place(contents)
    if place:
        console.print(Text(place, style="dim"))
    if contents.single_heads and contents.primary:
        _print_single_heads(contents, contents.primary, console)
    for notice in contents.notices:
        console.print(Text.assemble(("Warning: ", "bold yellow"), plain(notice)))
    console.print()
    console.print(Text(f"Results: {plain(contents.path)}"), soft_wrap=True)
    if (contents.path / "report.html").exists():
        console.print(Text(f"Report:  {plain(contents.path / 'report.html')} (open it in a browser)"), soft_wrap=True)
    if alone:
        what, command = _NEXT[contents.summary["model"].startswith("tiny")]
        console.print(Text.assemble(f"Next:    {command}", (f"   # {what}", "dim")), soft_wrap=True)


def _at_k(contents: Contents, bar_width: int) -> Table:
    at_k, thresholds = contents.ccs_at_k or {}, (contents.summary.get("choices") or {}).get("thresholds")
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
    names = ("Heads pruned", f"{metric_name(metric)}{unit}", "Delta", "95% interval", "p (Holm)")
    for name in names[: None if wide else 3]:
        table.add_column(name, justify="right")
    for item in contents.groups:
        table.add_row(*(*_row(item, metric), p_value(contents.adjusted[item.name]))[: None if wide else 4])
    random = contents.summary["random"]
    if random and random.get("mean") is not None and len(random["seeds"]) > 1:
        mean, spread = (metric_value(metric, random[name]) for name in ("mean", "sd"))
        row = Text("random, mean", style="dim"), "", mean, points(contents.random_delta), f"sd {spread}"
        table.add_row(*row[: None if wide else 4])
    return table


def _place(contents: Contents) -> str | None:
    found = contents.high_among_random
    if found is None:
        return None
    few = f" (no less than {p_value(found.least)} with so few draws)" if found.draws < 19 else ""
    return f"Of {found.draws} random draws, {found.as_low} are as low as high_ccs or lower: p {p_value(found.p)}{few}."


def _row(item: ConditionResult, metric: str) -> tuple[Text | str, ...]:
    delta = item.deltas.get(metric)
    style = "" if is_rank(metric) or not delta else "red" if delta < 0 else "green"
    ends = item.intervals.get(metric)
    interval = "–".join(percent(end) for end in ends) if ends else ""
    shown = Text("" if item.name == ORIGINAL else metric_delta(metric, delta), style=style)
    value = metric_value(metric, item.values.get(metric))
    return Text(plain(item.name)), str(item.num_pruned), value, shown, interval


def _print_single_heads(contents: Contents, metric: str, console: Console) -> None:
    console.print(Text(f"{metric_name(metric)}, delta of each head alone:", style="dim"))
    deltas = {name: metric_delta(metric, item.deltas.get(metric)) for name, item in contents.single_heads.items()}
    cells = [Text(f"{plain(name)} {delta:>5}") for name, delta in deltas.items()]
    console.print(Columns(cells, padding=(0, 2), equal=True))
