"""What people read of a finding, and the findings as rows and in the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ccs_exp.files import csv_bytes
from ccs_exp.report.reproduction.claims.models import mean_costs
from ccs_exp.report.reproduction.claims.sources import Source
from ccs_exp.report.reproduction.claims.statements import CLAIMS, Claim
from ccs_exp.report.reproduction.claims.verdict import Comparison, Finding, Verdict
from ccs_exp.run_folder.wording import plain

Findings = Mapping[str, Finding]
Answer = tuple[Source, Findings]

COLUMNS = (
    *("claim", "section", "source", "verdict", "comparison", "value", "error", "low", "high"),
    *("p_for", "p_against", "p_for_holm", "p_against_holm"),
)
EXPLAINED = (
    "A claim holds where every comparison of its family is surely for it (p < 0.05 after Holm's correction over the family), does not "
    "hold where one is surely against it, and cannot be told otherwise. The mean is a random-effects one over models of such means within "
    "each, with its 95% interval."
)
_WIDTH, _NAMED = 150, 6
_STYLES = {Verdict.HOLDS: "green", Verdict.FAILS: "red", Verdict.UNKNOWN: "yellow"}


def number(value: float, unit: str) -> str:
    """A value in points (a hundredth of accuracy), or in log odds as it is.

    >>> number(0.0353, "points"), number(0.27, "log odds")
    ('+3.53', '+0.27')
    """
    return f"{value if unit == 'log odds' else 100 * value:+.2f}".replace("-", "−")


def counted(finding: Finding) -> str:
    """How the family's comparisons stand."""
    count, against = len(finding.comparisons), len(finding.against)
    if not count:
        return "no number"
    text = f"{count - against} of {count} for it, {sum(item.sure for item in finding.comparisons)} of them surely"
    surely = sum(item.contradicts for item in finding.comparisons)
    return f"{text}; {against} not, {surely} surely against it" if against else text


def overall(finding: Finding, unit: str) -> str:
    if finding.overall is None:
        return ""
    low, high = (number(end, unit) for end in finding.overall.interval)
    return f"{number(finding.overall.value, unit)} {unit} ({low} to {high})"


def contrary(finding: Finding, unit: str) -> list[str]:
    """The comparisons that speak against the claim, the surest first."""
    ordered = sorted(finding.against, key=lambda item: (item.adjusted_against, item.estimate.value))
    return [f"{plain(item.name)} {number(item.estimate.value, unit)}" for item in ordered]


def means(source: Source) -> str:
    """What high heads cost each model, mean over its data sets."""
    return "; ".join(f"{plain(model)} {100 * value:.2f}" for model, value in mean_costs(source).items()) or "no number"


def claims_csv(answers: Iterable[Answer]) -> bytes:
    """One row for each comparison of each claim and source; a family without any has one row without a number. Fractions, log odds."""
    return csv_bytes([row for source, found in answers for claim in CLAIMS for row in _rows(claim, source, found[claim.name])], COLUMNS)


def _rows(claim: Claim, source: Source, found: Finding) -> Iterator[dict[str, Any]]:
    common = {"claim": claim.name, "section": claim.section, "source": source.name, "verdict": str(found.verdict)}
    for item in found.comparisons or (None,):
        yield dict.fromkeys(COLUMNS) | common | (_numbers(item) if item else {})


def _numbers(item: Comparison) -> dict[str, Any]:
    estimate = item.estimate
    ends = {"low": estimate.interval.low, "high": estimate.interval.high} if estimate.interval else {}
    tests = {"p_for": estimate.p_for, "p_against": estimate.p_against}
    corrected = {"p_for_holm": item.adjusted_for, "p_against_holm": item.adjusted_against}
    return {"comparison": plain(item.name), "value": estimate.value, "error": estimate.error} | ends | tests | corrected


def show_claims(answers: Sequence[Answer], console: Console | None = None) -> None:
    """Print each claim with its test and what each source says of it."""
    console = console or Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH, file=console.file)  # a file has no width of its own
    for claim in CLAIMS:
        console.print(Text(f"{claim.text} (section {claim.section})", style="bold"))
        console.print(Text(f"  {claim.test}", style="dim"))
        table = Table(box=None, padding=(0, 2, 0, 2), show_header=False)
        table.add_column(overflow="fold", max_width=40)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for source, found in answers:
            finding = found[claim.name]
            said = [counted(finding), overall(finding, claim.unit), "; ".join(contrary(finding, claim.unit)[:_NAMED])]
            table.add_row(plain(source.name), Text(finding.verdict, style=_STYLES[finding.verdict]), "\n".join(filter(None, said)))
        console.print(table)
    for source, _ in answers:
        console.print(Text(f"Mean cost of high heads, {plain(source.name)}: {means(source)}."))
    for source, _ in answers:
        console.print(Text(f"{plain(source.name)}: {source.how}.", style="dim"))
    console.print(Text(EXPLAINED, style="dim"))
