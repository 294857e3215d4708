"""How firm the scores are: what the page, the terminal and the figures show of ``robustness.csv``, as numbers."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from typing import Any

from ccs_exp.report.contents import Contents
from ccs_exp.run_folder.robustness_file import Rescored
from ccs_exp.run_folder.wording import percent


def robustness(contents: Contents) -> dict[str, Any] | None:
    """What the page shows: the summary's numbers, CCS@K beside chance, chance by concept, and each head's draws."""
    if not contents.rescored:
        return None
    summary = contents.summary["robustness"]
    null = summary and summary["shuffled_labels"]
    return {
        "relabel": summary and summary["relabel"],
        "null": null,
        "at_k": [(k, (contents.ccs_at_k or {}).get(k), null["ccs_at_k"].get(str(k), 0.0)) for k in range(6)] if null else [],
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


def draws_of_heads(contents: Contents) -> dict[str, list[Rescored]]:
    """The rows of labels named anew, by head."""
    draws = defaultdict(list)
    for item in contents.rescored:
        if item.kind == "relabel":
            draws[item.head].append(item)
    return draws


def _heads(contents: Contents) -> list[dict[str, Any]]:
    """Every head's labels and CCS over its draws, in the order of the draws."""
    draws = draws_of_heads(contents)
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
            chance[item.label].append((item.ccs, item.ccs_class == "high"))
    return [
        {
            "label": label,
            "heads": len(own.get(label, ())),
            "own": statistics.fmean(own[label]) if label in own else None,
            "judged": len(judged),
            "mean": statistics.fmean(ccs for ccs, _ in judged),
            "high": statistics.fmean(high for _, high in judged),
        }
        for label, judged in sorted(chance.items(), key=lambda entry: entry[0].casefold())
    ]


def _decimal(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
