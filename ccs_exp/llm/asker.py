"""Asks a service: what is kept is not asked, what comes is on disk before it is used, failures are tried again within bounds."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from openai import AsyncOpenAI

from ccs_exp.config.schema import config_dir
from ccs_exp.config.services import Service, check_asked, check_url, load_service, without_user
from ccs_exp.errors import CcsError
from ccs_exp.llm.batch import ask_in_batches
from ccs_exp.llm.forecast import Forecast, forecast_requests
from ccs_exp.llm.ledger import Ledger
from ccs_exp.llm.live import ask_live
from ccs_exp.llm.prices import Price, find_price
from ccs_exp.llm.replies import Kept, ReplyCache
from ccs_exp.llm.reply_files import read_replies
from ccs_exp.llm.request import ChatRequest, Subject
from ccs_exp.llm.running import run_to_the_end
from ccs_exp.llm.session import Session
from ccs_exp.scoring.judges.answers import Rejected

log = logging.getLogger(__name__)
logging.getLogger("httpx2").setLevel(logging.WARNING)  # a line for each request is no news


@dataclass
class Asker:
    """A model of a service, and how it is asked. The configuration's settings, by their names there (``conf/judge/openai.yaml``).

    Raises `CcsError` for an unknown service, and for a feature that the service does not support.
    """

    model: str
    service: str = "openai"
    base_url: str | None = None
    supports: Mapping[str, bool | None] = field(default_factory=dict)
    temperature: float | None = 0
    seed: int | None = 0
    draw: int = 0
    logprobs: bool = False
    max_tokens: int = 60
    thinking_tokens: int = 0  # about how many the model has before it answers
    price: Mapping[str, float] | None = None
    batch: bool = False
    max_cost_usd: float | None = None
    concurrency: int = 16
    attempts: int = 8
    timeout_s: float = 60
    poll_s: float = 30
    kept_only: bool = False
    replies: str | None = None
    where: str = "judge"  # how its settings are called in messages

    def __post_init__(self) -> None:
        self.endpoint: Service = load_service(Path(config_dir()), self.service, self.supports)
        check_asked(self.endpoint, vars(self), self.where)
        self.cost: Price | None = find_price(self.model, self.service, self.price, self.batch)
        if self.max_cost_usd is not None and self.cost is None:
            raise CcsError(
                f"{self.where}.max_cost_usd={self.max_cost_usd:g} cannot be kept: the price of {self.model} is not known. Give it, as "
                f"in '{self.where}.price={{input: 2.5, output: 10}}' (dollars per million tokens), or leave the limit out."
            )
        self.url = self.endpoint.address(self.base_url)
        check_url(without_user(self.url), f"{self.where}.base_url")
        self.cache = ReplyCache()
        self.session = Session(Ledger(self.max_cost_usd))
        self._more: dict[str, Kept] | None = None

    def request(self, messages: Sequence[dict], schema: dict, subject: Subject, prompt: str, draw: int = 0) -> ChatRequest:
        """A request with everything that the service supports, and nothing that it does not; `draw` counts from the setting's."""
        draw += self.draw
        body: dict[str, Any] = {"model": self.model, "messages": list(messages), self.endpoint.max_tokens: self.max_tokens}
        if "schema" in self.endpoint.supports:
            body["response_format"] = schema
        if self.temperature is not None:
            body["temperature"] = self.temperature
        if self.seed is not None:
            body["seed"] = self.seed + draw
        if self.logprobs:
            body |= {"logprobs": True, "top_logprobs": 5}
        return ChatRequest(without_user(self.url), body, draw, subject, prompt)

    def kept(self, requests: Sequence[ChatRequest]) -> list[Kept | None]:
        """The kept replies to these requests, in their order."""
        if self._more is None:
            self._more = self._kept_elsewhere() if self.replies else {}
        return [self._more.get(request.key) or self.cache.get(request) for request in requests]

    def about(self, request: ChatRequest) -> float:
        """About what a request costs; 0 where the price is not known."""
        return self.cost.cost(request.input_tokens, self.output_tokens(request)) if self.cost else 0.0

    def most(self, request: ChatRequest) -> float:
        """No less than a request can cost; 0 where the price is not known."""
        return self.cost.cost(request.most_input_tokens, request.max_tokens) if self.cost else 0.0

    def output_tokens(self, request: ChatRequest) -> int:
        return min(request.output_tokens + self.thinking_tokens, request.max_tokens)

    def _kept_elsewhere(self) -> dict[str, Kept]:
        """The replies under ``replies``; what had no answer then has none in a run that may not ask."""
        found: dict[str, Kept] = {}
        for item in read_replies(self.replies):
            try:
                if item.answer is not None or self.kept_only:
                    found[item.request.key] = item
            except Rejected as error:
                log.warning("%s: the reply %s is no answer and is not used: %s.", self.replies, item.request.key[:12], error)
        return found

    def forecast(self, what: str, requests: Sequence[ChatRequest]) -> list[Forecast]:
        return forecast_requests(what, requests, self.kept(requests), self)

    def check_ready(self) -> None:
        if self.kept_only:
            return
        if self.endpoint.needs_key and self.endpoint.key() is None:
            raise CcsError(
                f"{self.where}={self.service} needs a key: set the environment variable {self.endpoint.key_variable}. Without one, kept "
                "replies can be used (labeler=replay judge=replay), or the taxonomy (labeler=taxonomy judge=taxonomy)."
            )
        self.cache.check_writable()

    def ask(self, what: str, requests: Sequence[ChatRequest]) -> list[Kept]:
        """A reply for each request, in their order; one without `response` where none could be had.

        Raises `CcsError` where going on makes no sense: the key is refused, the request is not understood, the budget is
        reached, a server that never answers. Whatever came until then is kept.
        """
        self._record()
        distinct = list({request.key: request for request in requests}.values())
        replies = {item.request.key: item for item in self.kept(distinct) if item is not None}
        missing = [request for request in distinct if request.key not in replies]
        self.session.kept += len(replies)
        if missing and self.kept_only:
            raise CcsError(
                f"kept_only=true, but for {what} by {self.model} {len(missing)} of {len(distinct)} replies are not kept "
                f"(prompt {missing[0].prompt[:12]}, settings {missing[0].settings}). Leave kept_only out to ask for them."
            )
        if missing:
            self.check_ready()
            replies |= run_to_the_end(lambda: self._ask(what, missing))
        self.session.used |= {key: reply for key, reply in replies.items()}
        return [replies[request.key] for request in requests]

    async def _ask(self, what: str, missing: Sequence[ChatRequest]) -> dict[str, Kept]:
        # the one layer of retries is ours, so the client's own is off
        async with AsyncOpenAI(
            api_key=self.endpoint.key() or "none", base_url=self.url, max_retries=0, timeout=self.timeout_s
        ) as client:
            return await (ask_in_batches if self.batch else ask_live)(self, client, what, missing)

    def _record(self) -> None:
        silent = [feature for feature in ("schema", "temperature", "seed") if feature not in self.endpoint.supports]
        self.session.models[f"{self.where} {self.url} {self.model} {self.draw}"] = {
            "for": self.where,
            "service": self.service,
            "endpoint": without_user(self.url),
            "model": self.model,
            "not_sent": silent,
            "batch": self.batch,
        }
