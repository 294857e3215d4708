"""Findings as rows, as a table in the terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ccs_exp.agreement.findings import ALL, Finding, paper_agreement
from ccs_exp.agreement.sheet import write
from ccs_exp.files import csv_bytes
from ccs_exp.report.wording import percent, plain
from ccs_exp.scoring.agreement import Estimate

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
    """Names come from files: they are shown as text, and no markup in them is obeyed."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for index, name in enumerate(_HEADER):
        table.add_column(name, justify="left" if index < 2 else "right", overflow="fold")
    for cells in _lines(findings):
        table.add_row(*(Text(cell) for cell in cells))
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
        of = finding.model if finding.model == ALL or not finding.run else f"{finding.model} ({Path(finding.run).name})"
        lines.append(
            (
                *(plain(f"{finding.first} – {finding.second}"), plain(of), str(found.count), str(finding.left_out)),
                f"{percent(found.yes_first)} / {percent(found.yes_second)}",
                *(_shown(found.raw, 100, 1), _shown(found.kappa), _shown(found.spearman), _shown(found.kendall)),
            )
        )
        if finding.paper:
            lines.append(("", "paper, Table 2", *[""] * 4, *(f"{finding.paper[name]:.3f}" for name in _PAPER)))
    return lines


def _shown(estimate: Estimate, scale: float = 1, decimals: int = 3) -> str:
    if estimate.value is None:
        return "–"
    value, ends = f"{scale * estimate.value:.{decimals}f}", (estimate.low, estimate.high)
    return value if None in ends else f"{value} [{', '.join(f'{scale * end:.{decimals}f}' for end in ends)}]"


def _notes(findings: Sequence[Finding]) -> list[str]:
    notes = [
        "In brackets: 95% bootstrap intervals, heads drawn again. For yes/no answers Spearman's rho and Kendall's tau-b are one number."
    ]
    if any(finding.paper for finding in findings):
        most = ", ".join(paper_agreement())
        notes.append(f"The paper rated 50 descriptions of each of {most}, by one of its authors; it gives no intervals.")
    for finding in findings:
        notes += [plain(f"{finding.first} – {finding.second}, {finding.model}: {reason}.") for reason in _reasons(finding)]
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
