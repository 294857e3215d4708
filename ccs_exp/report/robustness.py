"""How firm the scores are: what the page, the terminal and the figures show of ``robustness.csv``."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from typing import Any

from matplotlib.figure import Figure

from ccs_exp.files import write_whole
from ccs_exp.report.contents import Contents
from ccs_exp.report.figures import CCS_COLOURS, _figure, _png, _styled, _title
from ccs_exp.run_folder.folder import RunFolder
from ccs_exp.run_folder.wording import percent
from ccs_exp.scoring.robustness import Rescored


def robustness(contents: Contents) -> dict[str, Any] | None:
    """What the page shows: the summary's numbers, CCS@K beside chance, chance by concept, and each head's draws."""
    if not contents.rescored:
        return None
    summary = contents.summary["robustness"] or {}
    null = summary.get("shuffled_labels")
    return {
        "relabel": summary.get("relabel"),
        "null": null,
        "at_k": [(k, (contents.ccs_at_k or {}).get(k), null["ccs_at_k"][str(k)]) for k in range(6)] if null else [],
        "concepts": _concepts(contents),
        "heads": _heads(contents),
    }


def robustness_lines(contents: Contents) -> list[str]:
    """The same in a line each, for the terminal."""
    lines, shown = [], robustness(contents)
    if shown and shown["null"]:
        null = shown["null"]
        ends = f" ({'–'.join(percent(end) for end in null['high_interval'])})" if null["high_interval"] else ""
        lines.append(
            f"Under other heads' labels {percent(null['high'])}%{ends} are high, under their own {percent(null['observed_high'])}%; "
            f"mean CCS {null['mean']:.2f} and {_decimal(null['observed_mean'])}"
        )
    if shown and shown["relabel"]:
        told = shown["relabel"]
        lines.append(
            f"Labelled {told['draws']} more times: {percent(told['same_class'])}% keep their class and "
            f"{percent(told['same_ccs'])}% their CCS; {percent(told['changing_class'])}% of heads change class at least once"
        )
    return lines


def write_robustness_figures(contents: Contents) -> None:
    """Write ``null_ccs`` and ``relabel`` as PNG, those that the run has rows for."""
    shown = robustness(contents)
    drawings = {
        "null_ccs": null_figure(contents, shown["at_k"]) if shown and shown["at_k"] else None,
        "relabel": relabel_figure(contents) if shown and shown["heads"] else None,
    }
    for name, figure in drawings.items():
        if figure is not None:
            write_whole(RunFolder(contents.path).figures / f"{name}.png", _png(figure))


def null_figure(contents: Contents, at_k: list[tuple[int, float | None, float]]) -> Figure:
    """CCS@K of the heads under their own labels, and under those of other heads."""
    with _styled():
        figure, axes = _figure(5.4, 3.2)
        shown = [("under their own labels", -0.2, [own or 0.0 for _, own, _ in at_k], CCS_COLOURS[4])]
        shown += [("under other heads' labels", 0.2, [chance for _, _, chance in at_k], CCS_COLOURS[1])]
        for name, shift, values, colour in shown:
            bars = axes.bar([k + shift for k in range(6)], [100 * value for value in values], 0.38, color=colour, label=name)
            axes.bar_label(bars, [percent(value) for value in values], padding=2, fontsize=7)
        axes.set(xlabel="K: descriptions that fit the label", ylabel="CCS@K (% of judged heads)")
        axes.margins(y=0.12)
        axes.legend(frameon=False, fontsize=8)
        _title(axes, contents, "CCS and chance")
    return figure


def relabel_figure(contents: Contents) -> Figure:
    """CCS of each head: the run's as a bar, every draw's as a circle, larger where draws agree."""
    heads = [head for head in contents.heads if head.ccs is not None]
    heads.sort(key=lambda head: (-head.ccs, head.layer, head.index))
    draws = _draws(contents)
    with _styled():
        figure, axes = _figure(max(5.4, 0.16 * len(heads) + 1.2), 3.4)
        for x, head in enumerate(heads):
            for ccs, count in Counter(item.ccs for item in draws.get(head.name, ()) if item.ccs is not None).items():
                axes.scatter(x, ccs, s=14 + 70 * count / len(draws[head.name]), color=CCS_COLOURS[3], alpha=0.6, linewidths=0)
            axes.plot([x - 0.4, x + 0.4], [head.ccs, head.ccs], color=CCS_COLOURS[5], linewidth=2)
        axes.set(ylim=(-0.5, 5.5), xlim=(-1, len(heads)), ylabel="CCS", xlabel="heads: bar, the run's score; circles, its draws")
        axes.set_yticks(range(6))
        axes.set_xticks(range(len(heads)), [head.name for head in heads], rotation=90, fontsize=6)
        _title(axes, contents, "Labelled again")
    return figure


def _draws(contents: Contents) -> dict[str, list[Rescored]]:
    draws = defaultdict(list)
    for item in contents.rescored:
        if item.kind == "relabel":
            draws[str(item.head)].append(item)
    return draws


def _heads(contents: Contents) -> list[dict[str, Any]]:
    """Every head's labels and CCS over its draws, in the order of the draws."""
    draws = _draws(contents)
    return [
        {
            "head": head,
            "ccs": [item.ccs for item in draws[head.name]],
            "labels": Counter(item.label or "no label" for item in draws[head.name]).most_common(),
        }
        for head in contents.heads
        if head.name in draws
    ]


def _concepts(contents: Contents) -> list[dict[str, Any]]:
    """For each label: the CCS of the heads that bear it, and of the others judged under it."""
    own, chance = defaultdict(list), defaultdict(list)
    for head in contents.heads:
        if head.label and head.ccs is not None:
            own[head.label].append(head.ccs)
    for item in contents.rescored:
        if item.kind == "shuffled_labels" and item.label and item.ccs is not None:
            chance[item.label].append(item)
    return [
        {
            "label": label,
            "heads": len(own.get(label, ())),
            "own": statistics.fmean(own[label]) if label in own else None,
            "judged": len(items),
            "mean": statistics.fmean(item.ccs for item in items),
            "high": sum(item.ccs_class == "high" for item in items) / len(items),
        }
        for label, items in sorted(chance.items(), key=lambda entry: entry[0].casefold())
    ]


def _decimal(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
