"""What a job's requests will take, before the first of them is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ccs_exp.llm.ledger import dollars
from ccs_exp.llm.prices import Price
from ccs_exp.llm.replies import Kept
from ccs_exp.llm.request import ChatRequest
from ccs_exp.scoring.judges.judge import Judge, Question

if TYPE_CHECKING:
    from ccs_exp.llm.asker import Asker
    from ccs_exp.scoring.judges.label import Labeler
    from ccs_exp.scoring.spans import HeadSpans

UNKNOWN_LABEL = "x" * 16  # in place of a label that is not known yet


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
        if self.price is None:
            return f"{count}; {tokens}; its price is not known"
        way = " by the Batch API" if self.batch else ""
        return f"{count}; {tokens}; about {dollars(self.cost)}{way}, at most {dollars(self.most)} (prices of {self.price.as_of})"


def forecast_requests(what: str, requests: Sequence[ChatRequest], kept: Sequence[Kept | None], asker: Asker) -> list[Forecast]:
    """The forecast of distinct requests to `asker`, of which some are kept."""
    by_key = {request.key: (request, known) for request, known in zip(requests, kept, strict=True)}
    missing = [request for request, known in by_key.values() if known is None]
    if not by_key:
        return []
    cost, most = ((sum(map(price, missing)) if asker.cost else None) for price in (asker.about, asker.most))
    return [
        Forecast(
            what,
            asker.model,
            requests=len(by_key),
            kept=len(by_key) - len(missing),
            input_tokens=sum(request.input_tokens for request in missing),
            output_tokens=sum(asker.output_tokens(request) for request in missing),
            cost=cost,
            most=most,
            price=asker.cost,
            batch=asker.batch,
        )
    ]


def forecast(heads: Sequence[HeadSpans], labeler: Labeler, judge: Judge) -> list[Forecast]:
    """What labelling `heads` and judging their descriptions would take. Nothing is asked.

    A label that is neither given nor kept stands as one of average length, so its verdicts count as not kept.
    """
    found: list[Forecast] = []
    if hasattr(labeler, "forecast"):
        found += labeler.forecast(heads)
        labels: list[Any] = labeler.kept_labels(heads)
    else:
        labels = labeler.label(heads) if hasattr(judge, "forecast") else []
    if hasattr(judge, "forecast"):
        labels = [label or f"{UNKNOWN_LABEL}{head.head}" for head, label in zip(heads, labels, strict=True)]
        questions = [Question(text, label) for head, label in zip(heads, labels, strict=True) for text in head.descriptions]
        found += judge.forecast(questions)
    return found
