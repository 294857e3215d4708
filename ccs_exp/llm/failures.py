"""What can go wrong between here and a service: what to try again, what is an answer of a kind, and what ends a run."""

from __future__ import annotations

import email.utils
import math
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ccs_exp.config.secrets import hide_secrets
from ccs_exp.errors import CcsError

if TYPE_CHECKING:
    import openai

LONGEST_WAIT = 120.0  # seconds; a server that asks for more is asked another day

_AGAIN = (408, 409, 429)
_NAMED = {  # errors that services name by a word
    **dict.fromkeys(("rate_limit_exceeded", "rate_limit_error", "insufficient_quota", "RESOURCE_EXHAUSTED"), 429),
    **dict.fromkeys(("server_error", "api_error", "overloaded_error", "InternalServerError"), 500),
    **dict.fromkeys(("invalid_api_key", "authentication_error"), 401),
    "permission_error": 403,
    **dict.fromkeys(("model_not_found", "not_found_error", "NotFoundError"), 404),
    **dict.fromkeys(("invalid_request_error", "BadRequestError"), 400),
}


class Outage(Exception):
    """No reply this time. `retry_after`: seconds the server asks to wait; `maybe_paid`: it may have worked on the request."""

    def __init__(self, kind: str, detail: str, retry_after: float | None = None, maybe_paid: bool = False):
        super().__init__(f"{kind}: {detail}")
        self.kind, self.retry_after, self.maybe_paid = kind, retry_after, maybe_paid


class Rejected(Exception):
    """A reply that is no answer. `kind`: refused, filtered, truncated, empty, oversized or unusable."""

    def __init__(self, kind: str, detail: str = ""):
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind = kind

    @property
    def formless(self) -> bool:
        """Whether the model does not answer as it was asked to, which it may do whatever the question."""
        return self.kind in ("truncated", "empty", "oversized", "unusable")


Failure = Outage | Rejected | CcsError


def judged_error(error: openai.APIError, url: str, model: str) -> Failure:
    """The client's error as one of ours: `Outage` (try again), `Rejected` (a filter), or a `CcsError` that ends the run."""
    import openai  # a second, which jobs that ask nobody should not wait for

    if isinstance(error, openai.APIStatusError):
        code = str(error.code or error.type or "")
        return _of_status(error.status_code, code, plain(error), error.response.headers, url, model)
    cause = error.__cause__ or error
    if isinstance(cause, (Outage, Rejected)):
        return cause
    kind = "timeout" if isinstance(error, openai.APITimeoutError) else "connection"
    # by name: which transport the client brings depends on its version
    return Outage(kind, plain(cause), maybe_paid=type(cause).__name__ not in ("ConnectError", "ConnectTimeout"))


def named_error(reply: Any, url: str, model: str) -> Failure | None:
    """The error that a reply with status 200 is in truth: an error object instead of choices, or a page for people.

    It is handled as the status that it names; where it names none, as a reply that is no answer. None: it is no error.
    """
    if isinstance(reply, str):
        if not reply.lstrip().startswith("<"):
            return None
        told = plain(re.sub(r"(?is)<(script|style)\b.*?</\1>|<[^>]*>", " ", reply[:5000]))
        named = re.search(r"\b[45]\d\d\b", told[:80])  # "502 Bad Gateway"
        return _of_named(int(named[0]) if named else None, "", f"a page for people: {told}", url, model)
    found = reply[0] if isinstance(reply, list) and reply else reply
    if not isinstance(found, Mapping) or found.get("choices") or not (found.get("error") or found.get("object") == "error"):
        return None
    error = found.get("error") or found
    fields = [source.get(name) for source in (error, found) if isinstance(source, Mapping) for name in ("code", "status", "type")]
    numbers = [int(value) for value in map(str, fields) if re.fullmatch(r"[45]\d\d", value)]
    words = [value for value in fields if isinstance(value, str) and value in _NAMED]
    told = error.get("message", error) if isinstance(error, Mapping) else error
    status = numbers[0] if numbers else _NAMED[words[0]] if words else None
    return _of_named(status, next((str(value) for value in fields if value), ""), plain(told), url, model)


def _of_named(status: int | None, code: str, told: str, url: str, model: str) -> Failure:
    return _of_status(status, code, told, {}, url, model) if status else Rejected("unusable", f"an error instead of an answer: {told}")


def _of_status(status: int, code: str, told: str, headers: Mapping[str, str], url: str, model: str) -> Failure:
    told = f"{status} {told}"
    if "content_filter" in code or "content_policy" in code:
        return Rejected("filtered", told)
    if code == "insufficient_quota":
        return CcsError(f"{url} says that the account has no credit left: {told} What came is kept; run again when there is some.")
    if status in _AGAIN or status >= 500:
        wait = retry_after(headers)
        if wait is not None and wait > LONGEST_WAIT:
            return CcsError(
                f"{url} asks to wait {wait:.0f} s before the next request. What came is kept; run again then, and only what is missing "
                "is asked."
            )
        kind = "rate limit" if status == 429 else f"status {status}"
        return Outage(kind, told, wait)
    moved = f" to {headers['location']}" if "location" in headers else ""
    advice = {
        401: "The key is not accepted: check the environment variable that holds it.",
        403: "The key may not use this model or service.",
        404: f"Check the model ({model}) and the address: it ends in /v1 for most servers.",
        **dict.fromkeys(range(300, 400), f"It has moved{moved}: give the address that holds as judge.base_url."),
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


def plain(told: object) -> str:
    """What an error or a service says on one line of bounded length, without secrets and control characters."""
    text = " ".join(hide_secrets(str(told)).split()) or type(told).__name__
    text = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)
    return text if len(text) <= 300 else f"{text[:300]}..."
