"""What a job's requests have cost so far, the limit that they may not exceed, and the bar that says so."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ccs_exp.errors import CcsError
from ccs_exp.journal import screen

Advance = Callable[[], None]  # called once for each request that is done with


class BudgetReached(CcsError):
    """The next request could cost more than is left."""


class Ledger:
    """Dollars spent, and reserved for requests under way. `limit` None: no limit.

    A request reserves the most that it can cost before it is sent, so the limit holds whatever the replies turn out to cost.
    """

    def __init__(self, limit: float | None = None):
        self.limit = limit
        self.spent = 0.0
        self.reserved = 0.0

    def fits(self, amount: float) -> bool:
        return self.limit is None or self.spent + self.reserved + amount <= self.limit + 1e-12

    async def reserve(self, amount: float) -> None:
        """Wait until `amount` fits beside what is under way. Raises `BudgetReached` if it never will."""
        while not self.fits(amount):
            if not self.reserved > 1e-12:
                raise self.reached(amount)
            await asyncio.sleep(0.02)
        self.reserved += amount

    def release(self, amount: float) -> None:
        """The request is over; what it did cost is in `spent` by now."""
        self.reserved = max(0.0, self.reserved - amount)

    def reached(self, amount: float) -> BudgetReached:
        return BudgetReached(
            f"max_cost_usd={self.limit:g} would be exceeded: {dollars(self.spent)} are spent, and the next request may cost up to "
            f"{dollars(amount)}. Every reply that came is kept. Run again with a higher judge.max_cost_usd: only what is missing is "
            "asked."
        )


def dollars(amount: float) -> str:
    """As people read it: cents, or more places for less."""
    return f"${amount:.2f}" if amount >= 1 or amount == 0 else f"${amount:.4f}"


@contextmanager
def progress(what: str, total: int, ledger: Ledger) -> Iterator[Advance]:
    """A progress bar, on a terminal only."""
    with screen.progress("requests", shown=sys.stderr.isatty()) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.update(task, advance=1, description=f"{what}, {dollars(ledger.spent)}")
