"""What can go wrong between here and a service: what to try again, what is an answer of a kind, and what ends a run."""

from __future__ import annotations

import email.utils
import math
import os
import random
import time
from collections.abc import Mapping

import openai

from ccs_exp.errors import CcsError
from ccs_exp.scoring.judges.answers import Rejected

FIRST_WAIT = 0.5  # seconds; doubled at each attempt
LONGEST_WAIT = 120.0  # seconds; a server that asks for more is asked another day

_AGAIN = (408, 409, 429)


class Outage(Exception):
    """No reply this time. `retry_after`: seconds the server asks to wait; `maybe_paid`: it may have worked on the request."""

    def __init__(self, kind: str, detail: str, retry_after: float | None = None, maybe_paid: bool = False):
        super().__init__(f"{kind}: {detail}")
        self.kind, self.retry_after, self.maybe_paid = kind, retry_after, maybe_paid


def seconds_to_wait(error: BaseException | None, attempt: int) -> float:
    """What the server asks for, else twice as long as before, with jitter so that requests do not return together."""
    if isinstance(error, Outage) and error.retry_after is not None:
        return error.retry_after + random.uniform(0, FIRST_WAIT / 2)
    if isinstance(error, Rejected):
        return random.uniform(0, FIRST_WAIT)
    return min(LONGEST_WAIT, FIRST_WAIT * 2 ** (attempt - 1)) * random.uniform(0.75, 1.25)


def judged_error(error: openai.APIError, url: str, model: str) -> Outage | Rejected | CcsError:
    """The client's error as one of ours: `Outage` (try again), `Rejected` (a filter), or a `CcsError` that ends the run."""
    if isinstance(error, openai.APIStatusError):
        return _status(error, url, model)
    cause = error.__cause__ or error
    kind = "timeout" if isinstance(error, openai.APITimeoutError) else "connection"
    # by name: which transport the client brings depends on its version
    return Outage(kind, plain(cause), maybe_paid=type(cause).__name__ not in ("ConnectError", "ConnectTimeout"))


def _status(error: openai.APIStatusError, url: str, model: str) -> Outage | Rejected | CcsError:
    status, code = error.status_code, str(error.code or error.type or "")
    told = f"{status} {plain(error)}"
    if "content_filter" in code or "content_policy" in code:
        return Rejected("filtered", told)
    if code == "insufficient_quota":
        return CcsError(
            f"{url} says that the account has no credit left: {told} What came is kept; run again when there is some."
        )
    if status in _AGAIN or status >= 500:
        wait = retry_after(error.response.headers)
        if wait is not None and wait > LONGEST_WAIT:
            return CcsError(
                f"{url} asks to wait {wait:.0f} s before the next request. What came is kept; run again then, and only what is missing "
                "is asked."
            )
        kind = "rate limit" if status == 429 else f"status {status}"
        return Outage(kind, told, wait)
    advice = {
        401: "The key is not accepted: check the environment variable that holds it.",
        403: "The key may not use this model or service.",
        404: f"Check the model ({model}) and the address: it ends in /v1 for most servers.",
    }
    hint = "Where the server does not know a parameter, say so with judge.supports.schema=false, or seed, or temperature."
    return CcsError(f"{url} refuses the request: {told} {advice.get(status, hint)} What came until now is kept.")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by ``retry-after-ms`` or ``retry-after`` (seconds or a date); None where neither says anything sensible."""
    for header, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            wait = float(headers[header]) / unit
        except (KeyError, ValueError):
            continue
        if math.isfinite(wait) and wait >= 0:
            return wait
    try:
        return max(0.0, email.utils.parsedate_to_datetime(headers["retry-after"]).timestamp() - time.time())
    except (KeyError, ValueError, TypeError, OverflowError):
        return None


def plain(error: BaseException) -> str:
    """An error's text on one line, of bounded length, without secrets of the environment that a server may echo."""
    text = " ".join(str(error).split()) or type(error).__name__
    for name, value in os.environ.items():
        if name.upper().endswith("_KEY") and len(value) >= 8:
            text = text.replace(value, "[hidden]")
    return text if len(text) <= 300 else f"{text[:300]}..."
