"""What requests cost, from the dated table ``conf/prices.yaml`` or a price given; and what a job's will take, before the first is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccs_exp.config.schema import config_dir
from ccs_exp.errors import CcsError
from ccs_exp.files import read_yaml
from ccs_exp.llm.ledger import dollars
from ccs_exp.llm.request import tokens_in

_MILLION = 1_000_000
_MOST = 10**9  # tokens: no reply has more


@dataclass(frozen=True)
class Price:
    """US dollars per million tokens; `as_of` dates them. `cached_input` is for what the service has of a prompt already."""

    input: float
    output: float
    cached_input: float | None = None
    as_of: str | None = None

    def cost(self, input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> float:
        cached = self.input if self.cached_input is None else self.cached_input
        return ((input_tokens - cached_tokens) * self.input + cached_tokens * cached + output_tokens * self.output) / _MILLION


def usage_of(response: Any) -> tuple[int, int, int] | None:
    """The tokens in, out and cached that a reply says it took; None where it says nothing that can be read."""
    usage = response.get("usage") if isinstance(response, Mapping) else None
    if not isinstance(usage, Mapping):
        return None
    details = usage.get("prompt_tokens_details")
    cached = (details.get("cached_tokens") if isinstance(details, Mapping) else 0) or 0
    told = (usage.get("prompt_tokens"), usage.get("completion_tokens"), cached)
    counts = [count for count in told if isinstance(count, int) and 0 <= count <= _MOST]
    return (counts[0], counts[1], counts[2]) if len(counts) == len(told) and counts[2] <= counts[0] else None


def received_tokens(response: Any) -> int:
    """About how many tokens came, by our own count."""
    if isinstance(response, str):
        return tokens_in(response)
    choices = response.get("choices") if isinstance(response, Mapping) else None
    messages = [choice.get("message") for choice in choices if isinstance(choice, Mapping)] if isinstance(choices, list) else []
    texts = [message.get(name) for message in messages if isinstance(message, Mapping) for name in ("content", "refusal")]
    return sum(tokens_in(text) for text in texts if isinstance(text, str))


def find_price(model: str, service: str, given: Mapping[str, float] | None = None, batch: bool = False) -> Price | None:
    """The price of a model; None if nobody knows it. Raises `CcsError` for a price that lacks a part."""
    path = Path(config_dir(), "prices.yaml")
    table = read_yaml(path)
    as_of = str(table["as_of"])
    if given:
        if not {"input", "output"} <= set(given) or set(given) - {"input", "output", "cached_input"} or min(given.values()) < 0:
            raise CcsError(
                f"price={dict(given)}: give dollars per million tokens, as in 'judge.price={{input: 2.5, output: 10}}'."
            )
        entry, as_of = dict(given), "as given"
    else:
        entry = table["models"].get(model) or table["services"].get(service)
    if entry is None:
        return None
    if not isinstance(entry, Mapping) or not all(isinstance(cost, int | float) and cost is not True for cost in entry.values()):
        raise CcsError(f"{path}: the price of {model} is {entry!r}. Give numbers, as in {{input: 2.5, output: 10}}.")
    factor = table["batch"] if batch else 1
    return Price(**{part: dollars * factor for part, dollars in entry.items()}, as_of=as_of)


@dataclass(frozen=True)
class Forecast:
    """Requests of one kind to one model. Tokens and dollars are of those that are not kept: about, and `most` at the outside."""

    what: str
    model: str
    requests: int
    kept: int
    input_tokens: int
    output_tokens: int
    cost: float | None
    most: float | None
    price: Price | None
    batch: bool

    def line(self) -> str:
        """The forecast as people read it."""
        kept = f", {self.kept} of them kept already" if self.kept else ""
        count = f"{self.what} by {self.model}: {self.requests} request{'s' if self.requests != 1 else ''}{kept}"
        if self.requests == self.kept:
            return f"{count}; nothing to ask"
        tokens = f"about {self.input_tokens:,} tokens in and {self.output_tokens:,} out (estimated)"
        if self.price is None or self.cost is None or self.most is None:
            return f"{count}; {tokens}; its price is not known"
        way = " by the Batch API" if self.batch else ""
        return f"{count}; {tokens}; about {dollars(self.cost)}{way}, at most {dollars(self.most)} (prices of {self.price.as_of})"
