"""How far the requests are, and what they have cost so far."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ccs_exp.journal import screen
from ccs_exp.llm.ledger import Ledger, dollars

Advance = Callable[[], None]  # called once for each request that is done with


@contextmanager
def progress(what: str, total: int, ledger: Ledger) -> Iterator[Advance]:
    """A progress bar, on a terminal only."""
    with screen.progress("requests", shown=sys.stderr.isatty()) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.update(task, advance=1, description=f"{what}, {dollars(ledger.spent)}")
