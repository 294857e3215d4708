"""Findings as rows, as a table in the terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ccs_exp.agreement.findings import Finding, paper_agreement
from ccs_exp.agreement.sheet import write
from ccs_exp.files import csv_bytes
from ccs_exp.run_folder.wording import percent, plain
from ccs_exp.statistics.agreement import Estimate

_STATISTICS = ("raw", "kappa", "spearman", "kendall")
_PAPER = ("kappa", "spearman", "kendall")
COLUMNS = (
    *("first", "second", "model", "run", "count", "left_out", "yes_first", "yes_second"),
    *(f"{name}{end}" for name in _STATISTICS for end in ("", "_low", "_high")),
    *(f"paper_{name}" for name in _PAPER),
    "note",
)
_HEADER = ("Raters", "Of", "n", "Left out", "Yes, %", "Alike, %", "Kappa", "Rho", "Tau")


def write_findings(findings: Sequence[Finding], folder: Path) -> tuple[Path, Path]:
    """Write ``agreement.csv`` and ``agreement.md`` and return their paths."""
    table, text = folder / "agreement.csv", folder / "agreement.md"
    write(table, csv_bytes((_row(finding) for finding in findings), COLUMNS))
    write(text, markdown(findings).encode("utf-8", "backslashreplace"))
    return table, text


def print_findings(findings: Sequence[Finding], console: Console) -> None:
    """A table of 80 columns. Names come from files: they are shown as text, and no markup in them is obeyed."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("Raters", overflow="fold")
    for name in ("n (left out)", "Yes, %", "Alike, %", "Kappa", "Rho = tau"):
        table.add_column(name, justify="right")
    for finding in findings:
        found, paper = finding.agreement, finding.paper
        cells = [f"{finding.first} – {finding.second}\n{plain(_of(finding))}", f"{found.count} ({finding.left_out})"]
        cells += [f"{percent(found.yes_first, 0)} / {percent(found.yes_second, 0)}", shown(found.raw, "\n", 100, 0)]
        cells += [shown(estimate, "\n", decimals=2) for estimate in (found.kappa, found.spearman)]
        table.add_row(*map(Text, cells))
        if paper:
            table.add_row(Text("paper, Table 2", style="dim"), "", "", "", f"{paper['kappa']:.3f}", f"{paper['spearman']:.3f}")
    console.print(table)
    for note in _notes(findings):
        console.print(Text(note, style="dim"), soft_wrap=True)


def markdown(findings: Sequence[Finding]) -> str:
    """The table as Markdown, whatever stands in the names."""
    lines = [f"| {' | '.join(_HEADER)} |", f"|{' --- |' * 2}{' ---: |' * (len(_HEADER) - 2)}"]
    lines += [f"| {' | '.join(map(_escaped, cells))} |" for cells in _lines(findings)]
    return "\n".join(["# Agreement", "", *lines, "", *(f"{_escaped(note)}\n" for note in _notes(findings))])


def _row(finding: Finding) -> dict[str, object]:
    found, paper = finding.agreement, finding.paper or {}
    row: dict[str, object] = {
        "first": finding.first,
        "second": finding.second,
        "model": finding.model,
        "run": finding.run or None,
    }
    row |= {"count": found.count, "left_out": finding.left_out, "yes_first": found.yes_first, "yes_second": found.yes_second}
    for name in _STATISTICS:
        estimate: Estimate = getattr(found, name)
        row |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    return row | {f"paper_{name}": paper.get(name) for name in _PAPER} | {"note": "; ".join(_reasons(finding)) or None}


def _lines(findings: Sequence[Finding]) -> list[tuple[str, ...]]:
    lines = []
    for finding in findings:
        found = finding.agreement
        lines.append(
            (
                *(plain(f"{finding.first} – {finding.second}"), plain(_of(finding)), str(found.count), str(finding.left_out)),
                f"{percent(found.yes_first)} / {percent(found.yes_second)}",
                shown(found.raw, scale=100, decimals=1),
                *(shown(estimate) for estimate in (found.kappa, found.spearman, found.kendall)),
            )
        )
        if finding.paper:
            lines.append(("", "paper, Table 2", *[""] * 4, *(f"{finding.paper[name]:.3f}" for name in _PAPER)))
    return lines


def _of(finding: Finding) -> str:
    return f"{finding.model} ({Path(finding.run).name})" if finding.run else finding.model


def shown(estimate: Estimate, gap: str = " ", scale: float = 1, decimals: int = 3) -> str:
    """The value and, in brackets after `gap`, its interval, where there are."""
    if estimate.value is None:
        return "–"
    value = f"{scale * estimate.value:.{decimals}f}"
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value}{gap}[{scale * estimate.low:.{decimals}f}, {scale * estimate.high:.{decimals}f}]"


def _notes(findings: Sequence[Finding]) -> list[str]:
    notes = [
        "In brackets: 95% bootstrap intervals, heads drawn again. For yes/no answers Spearman's rho and Kendall's tau-b are one number."
    ]
    if any(finding.paper for finding in findings):
        most = ", ".join(paper_agreement())
        notes.append(f"The paper rated 50 descriptions of each of {most}, by one of its authors; it gives no intervals.")
    for finding in findings:
        notes += [plain(f"{finding.first} – {finding.second}, {_of(finding)}: {reason}.") for reason in _reasons(finding)]
    return notes


def _reasons(finding: Finding) -> list[str]:
    found = finding.agreement
    named = [(name, getattr(found, name)) for name in _STATISTICS]
    by_reason: dict[str, list[str]] = {}
    for name, estimate in named:
        if estimate.reason:
            by_reason.setdefault(estimate.reason, []).append(name)
    return [f"{', '.join(names)}: {reason}" for reason, names in by_reason.items()]


def _escaped(text: str) -> str:
    return "".join(f"\\{sign}" if sign in r"\`*_{}[]<>#|!~&" else sign for sign in plain(text))
