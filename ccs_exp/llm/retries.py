"""The one layer of retries, as the client's own are off: how often something is tried, and how long to wait in between."""

from __future__ import annotations

import random
from collections.abc import Callable

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt

from ccs_exp.llm.failures import LONGEST_WAIT, Outage, Rejected

FIRST_WAIT = 0.5  # seconds; doubled at each attempt


def wait_after(state: RetryCallState) -> float:
    """Seconds: what the server asks for, else twice as long as before, with jitter so that requests do not return together."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, Outage) and error.retry_after is not None:
        return error.retry_after + random.uniform(0, FIRST_WAIT / 2)
    if isinstance(error, Rejected):
        return random.uniform(0, FIRST_WAIT)
    return min(LONGEST_WAIT, FIRST_WAIT * 2 ** (state.attempt_number - 1)) * random.uniform(0.75, 1.25)


def retrying(
    attempts: int,
    kinds: type[Exception] | tuple[type[Exception], ...],
    wait: Callable[[RetryCallState], float] = wait_after,
    ending: Callable[[], bool] = lambda: False,
) -> AsyncRetrying:
    """Tries again after errors of these kinds, `attempts` times in all, or until the run is `ending`; the last error is raised."""
    enough = stop_after_attempt(attempts)
    return AsyncRetrying(
        stop=lambda state: enough(state) or ending(), wait=wait, retry=retry_if_exception_type(kinds), reraise=True
    )
