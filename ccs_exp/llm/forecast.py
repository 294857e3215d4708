"""What a job's requests will take, before the first of them is sent."""

from __future__ import annotations

from dataclasses import dataclass

from ccs_exp.llm.ledger import dollars
from ccs_exp.llm.prices import Price


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
