"""Two ways to the same result, timed in turn in one process; a row for each."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

COLUMNS = ("benchmark", "against", "ours", "reference", "ratio", "lowest to highest", "target", "limit", "of limit", "agreement")
LONG = 10.0  # seconds of a pair


@dataclass(frozen=True)
class Result:
    """One row: seconds are medians, `ratio` is the median of the ratios pair by pair.

    Attributes:
        ratio: reference / ours; ours / reference where the target is the most that may be.
        spread: the lowest and the highest of the ratios, in shares of `ratio`.
        limit: the ratio that operations, counted, allow at best.
    """

    name: str
    against: str
    ours: float
    reference: float
    ratio: float
    agreement: str
    spread: tuple[float, float] = (1.0, 1.0)
    target: float | None = None
    limit: float | None = None
    at_most: bool = False

    @property
    def reached(self) -> bool:
        return self.target is None or (self.ratio <= self.target if self.at_most else self.ratio >= self.target)

    def cells(self) -> tuple[str, ...]:
        """In the order of `COLUMNS`."""
        low, high = (self.ratio * share for share in self.spread)
        sign = "≤" if self.at_most else "≥"
        return (
            *(self.name, self.against, shown(self.ours), shown(self.reference), f"{self.ratio:.2f}x"),
            f"{low:.2f} to {high:.2f}",
            "" if self.target is None else f"{sign} {self.target:g}x{'' if self.reached else ' MISSED'}",
            "" if self.limit is None else f"{self.limit:.2f}x",
            "" if self.limit is None else f"{self.ratio / self.limit:.0%}",
            self.agreement,
        )


def compare(
    name: str,
    against: str,
    ours: Callable[[], Any],
    reference: Callable[[], Any],
    agree: Callable[[Any, Any], str],
    *,
    repeats: int = 5,
    times: float = 1,
    **expected: Any,
) -> Result:
    """Run both once and hold their results together, then in turn, until `repeats` pairs are timed. `agree` raises where they differ.

    The first pair is timed with the others where it takes `LONG`: what only a first run does is little of that.
    `times`: so many of what `reference` does are the work; it is done once, because they are all alike.
    """
    (mine, one), (theirs, other) = timed(ours), timed(reference)
    agreement = agree(mine, theirs)
    pairs = [(one, times * other)] if one + other >= LONG else []
    for number in range(len(pairs), repeats):  # each goes first in turn
        first, second = (ours, reference) if number % 2 == 0 else (reference, ours)
        one, other = seconds(first), seconds(second)
        a, b = (one, other) if first is ours else (other, one)
        pairs.append((a, times * b))
    of_ours, of_reference = (statistics.median(of_side) for of_side in zip(*pairs, strict=True))
    ratios = [a / b if expected.get("at_most") else b / a for a, b in pairs]
    ratio = statistics.median(ratios)
    return Result(name, against, of_ours, of_reference, ratio, agreement, (min(ratios) / ratio, max(ratios) / ratio), **expected)


def seconds(function: Callable[[], Any]) -> float:
    """Of one call, from an idle device to an idle device."""
    return timed(function)[1]


def timed(function: Callable[[], Any]) -> tuple[Any, float]:
    """What one call gives, and its seconds, from an idle device to an idle device."""
    _wait()
    started = time.perf_counter()
    result = function()
    _wait()
    return result, time.perf_counter() - started


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


def show(results: Iterable[Result], title: str) -> bool:
    """Print the results as they come and the table at the end; whether all targets are reached."""
    console = Console(width=170)
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    for name in COLUMNS:
        table.add_column(name, justify="left" if name in ("benchmark", "against", "agreement") else "right", overflow="fold")
    reached = True
    for result in results:
        reached &= result.reached
        console.print(" · ".join(filter(None, result.cells())), style="dim", soft_wrap=True)
        table.add_row(*result.cells())
    console.print(table)
    return reached


def shown(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.1f} ms"
