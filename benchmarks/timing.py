"""Two ways to the same result, timed in turn in one process."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Result:
    """One line of the table: seconds are medians, `ratio` is the median of the ratios pair by pair."""

    name: str
    against: str
    ours: float
    reference: float
    ratio: float
    agreement: str
    target: float | None = None
    limit: float | None = None  # by counting operations
    at_most: bool = False  # the target is on ours / reference


def compare(
    name: str,
    against: str,
    ours: Callable[[], Any],
    reference: Callable[[], Any],
    agree: Callable[[Any, Any], str],
    *,
    repeats: int = 5,
    **expected: Any,
) -> Result:
    """Run both once untimed and hold their results together, then `repeats` times in turn. `agree` raises where they differ."""
    agreement = agree(ours(), reference())
    pairs = []
    for number in range(repeats):  # each goes first in turn
        first, second = (ours, reference) if number % 2 == 0 else (reference, ours)
        times = seconds(first), seconds(second)
        pairs.append(times if first is ours else times[::-1])
    mine, theirs = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(b / a for a, b in pairs)
    return Result(name, against, mine, theirs, 1 / ratio if expected.get("at_most") else ratio, agreement, **expected)


def seconds(function: Callable[[], Any]) -> float:
    """Of one call, from an idle device to an idle device."""
    _wait()
    started = time.perf_counter()
    function()
    _wait()
    return time.perf_counter() - started


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def close(tolerance: float) -> Callable[[torch.Tensor, torch.Tensor], str]:
    def agree(a: torch.Tensor, b: torch.Tensor) -> str:
        largest = float((a.float() - b.float()).abs().max())
        if not largest <= tolerance:
            raise SystemExit(f"the two sides differ by {largest:.1e}, allowed is {tolerance:.0e}")
        return f"differ by {largest:.0e}"

    return agree


def show(results: Iterator[Result], title: str) -> bool:
    """Print the results as they come and the table at the end; whether all targets are reached."""
    console = Console(width=150)
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    for name in ("benchmark", "against"):
        table.add_column(name, overflow="fold")
    for name in ("ours", "reference", "ratio", "target", "limit", "of limit"):
        table.add_column(name, justify="right")
    table.add_column("agreement")
    reached = True
    for result in results:
        fine = result.target is None or (result.ratio <= result.target if result.at_most else result.ratio >= result.target)
        reached &= fine
        sign = "≤" if result.at_most else "≥"
        row = (
            *(result.name, result.against, _time(result.ours), _time(result.reference), f"{result.ratio:.2f}x"),
            "" if result.target is None else f"{sign} {result.target:g}x{'' if fine else ' MISSED'}",
            "" if result.limit is None else f"{result.limit:.2f}x",
            "" if result.limit is None else f"{result.ratio / result.limit:.0%}",
            result.agreement,
        )
        console.print(" · ".join(filter(None, row)), style="dim", soft_wrap=True)
        table.add_row(*row)
    console.print(table)
    return reached


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.1f} ms"
