"""A language model as it is asked: where it is, within which bounds, what a request costs, and whether it answers at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ccs_exp.config.schema import config_dir
from ccs_exp.config.services import Service, check_asked, check_url, load_service, without_user
from ccs_exp.errors import CcsError
from ccs_exp.llm.failures import Rejected, plain
from ccs_exp.llm.ledger import Ledger
from ccs_exp.llm.prices import Price, find_price, received_tokens, usage_of
from ccs_exp.llm.replies import ReplyCache
from ccs_exp.llm.request import ChatRequest
from ccs_exp.llm.session import Session


@dataclass
class LanguageModel:
    """The configuration's settings, by their names there: ``conf/judge/openai.yaml`` says what they are.

    `session` holds the money and the record, which labeler and judges share. Raises `CcsError` for an unknown service, and for a
    feature that the service does not support.
    """

    where: str  # how its settings are called in messages: judge, labeler
    service: str
    model: str
    base_url: str | None
    supports: Mapping[str, bool | None]
    temperature: float | None
    seed: int | None
    draw: int
    logprobs: bool
    max_tokens: int
    thinking_tokens: int
    price: Mapping[str, float] | None
    batch: bool
    max_cost_usd: float | None
    concurrency: int
    attempts: int
    timeout_s: float
    poll_s: float
    kept_only: bool
    replies: str | None
    cache: ReplyCache = field(default_factory=ReplyCache)
    session: Session = field(default_factory=Session)
    answers: bool = False  # whether it has ever given an answer
    formless: int = 0

    def __post_init__(self) -> None:
        self.endpoint: Service = load_service(Path(config_dir()), self.service, self.supports)
        check_asked(self.endpoint, vars(self), self.where)
        self.cost: Price | None = find_price(self.model, self.service, self.price, self.batch)
        if self.max_cost_usd is not None and self.cost is None:
            raise CcsError(
                f"{self.where}.max_cost_usd={self.max_cost_usd:g} cannot be kept: the price of {self.model} is not known. Give it, as "
                f"in '{self.where}.price={{input: 2.5, output: 10}}' (dollars per million tokens), or leave the limit out."
            )
        self.address = self.endpoint.address(self.base_url)
        self.url = without_user(self.address)  # as it may be said and recorded
        check_url(self.url, f"{self.where}.base_url")
        self.session.ledger = Ledger(self.max_cost_usd)

    def about(self, request: ChatRequest) -> float:
        """About what a request costs; 0 where the price is not known."""
        return self.cost.cost(request.input_tokens, self.output_tokens(request)) if self.cost else 0.0

    def most(self, request: ChatRequest) -> float:
        """No less than a request can cost; 0 where the price is not known."""
        return self.cost.cost(request.most_input_tokens, request.max_tokens) if self.cost else 0.0

    def output_tokens(self, request: ChatRequest) -> int:
        return min(request.subject.answer_tokens + self.thinking_tokens, request.max_tokens)

    def pay(self, request: ChatRequest, response: Any) -> None:
        """Count a reply's tokens and spend its cost: as it says itself, but no less than what was sent and came by our own count."""
        own = request.input_tokens, received_tokens(response)
        told = usage_of(response) or (request.input_tokens, self.output_tokens(request), 0)
        self.session.input_tokens += max(told[0], own[0])
        self.session.output_tokens += max(told[1], own[1])
        self.session.ledger.spent += max(self.cost.cost(*told), self.cost.cost(*own)) if self.cost else 0.0

    def count_rejected(self, rejected: Rejected) -> None:
        self.session.rejected[rejected.kind] += 1
        self.formless += rejected.formless

    def check_answers(self, last: Rejected, enough: int = 1) -> None:
        """Raise `CcsError` if it has never given an answer, but at least `enough` replies of no form that can be read."""
        if not self.answers and last.formless and self.formless >= enough:
            raise CcsError(
                f"{self.model} at {self.url} does not answer as it is asked to: of {self.formless} replies none is an answer. The last: "
                f"{plain(last)}. They are kept in {self.cache.rejected}. Choose another model ({self.where}.model), give it more "
                f"tokens ({self.where}.max_tokens) or a prompt of your own ({self.where}.prompt)."
            )
