"""Asks a service: what is kept is not asked, what comes is on disk before it is used, failures are tried again within bounds."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

from ccs_exp.config.schema import config_dir
from ccs_exp.config.services import usual_settings
from ccs_exp.errors import CcsError
from ccs_exp.llm.batch import ask_in_batches
from ccs_exp.llm.client import check_proxies, open_client
from ccs_exp.llm.failures import Rejected
from ccs_exp.llm.live import ask_live
from ccs_exp.llm.model import LanguageModel
from ccs_exp.llm.prices import Forecast
from ccs_exp.llm.prompts import Message, Prompt
from ccs_exp.llm.replies import Kept
from ccs_exp.llm.reply_files import read_replies
from ccs_exp.llm.request import ChatRequest, Subject
from ccs_exp.llm.running import run_to_the_end

log = logging.getLogger(__name__)


class Asker(LanguageModel):
    """A language model, and the replies that are kept of it."""

    _elsewhere: dict[str, Kept] | None = None

    @classmethod
    def of(cls, where: str, service: str = "openai", **settings: Any) -> Self:
        """With the service's usual settings (``conf/judge/<service>.yaml``) where nothing else is said. Raises `CcsError`."""
        return cls(where=where, **usual_settings(Path(config_dir()), service) | settings | {"service": service})

    def request(
        self, messages: Sequence[Message], schema: dict[str, Any], subject: Subject, prompt: str, draw: int = 0
    ) -> ChatRequest:
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
        return ChatRequest(self.url, body, draw, subject, prompt)

    def requests(self, prompt: Prompt, subjects: Iterable[Subject], draw: int = 0) -> list[ChatRequest]:
        """One for each subject, with what it fills the prompt with."""
        return [self.request(prompt.fill(**one.places), one.schema, one, prompt.sha256, draw) for one in subjects]

    def kept(self, requests: Sequence[ChatRequest]) -> list[Kept | None]:
        """The kept replies to these requests, in their order."""
        if self._elsewhere is None and self.replies and requests:
            self._elsewhere = self._kept_elsewhere(self.replies, type(requests[0].subject))
        more = self._elsewhere or {}
        return [more.get(request.key) or self.cache.get(request) for request in requests]

    def _kept_elsewhere(self, place: str, subjects: type[Subject]) -> dict[str, Kept]:
        """The replies under ``replies``; what had no answer then has none in a run that may not ask."""
        found: dict[str, Kept] = {}
        for item in read_replies(place, subjects):
            try:
                if item.answer is not None or self.kept_only:
                    found[item.request.key] = item
            except Rejected as error:
                log.warning("%s: the reply %s is no answer and is not used: %s.", place, item.request.key[:12], error)
        return found

    def forecast(self, what: str, requests: Sequence[ChatRequest]) -> list[Forecast]:
        """The forecast of these requests, of which some are kept; none for no request."""
        by_key = {request.key: (request, known) for request, known in zip(requests, self.kept(requests), strict=True)}
        missing = [request for request, known in by_key.values() if known is None]
        cost, most = (sum(map(price, missing)) if self.cost else None for price in (self.about, self.most))
        told = Forecast(
            what,
            self.model,
            requests=len(by_key),
            kept=len(by_key) - len(missing),
            input_tokens=sum(request.input_tokens for request in missing),
            output_tokens=sum(map(self.output_tokens, missing)),
            cost=cost,
            most=most,
            price=self.cost,
            batch=self.batch,
        )
        return [told] if by_key else []

    def check_ready(self) -> None:
        """Raise `CcsError` where no request could be sent: no key that a request can carry, no proxy, nowhere to keep replies."""
        if self.kept_only:
            return
        key = self.endpoint.key()
        if self.endpoint.needs_key and key is None:
            raise CcsError(
                f"{self.where}={self.service} needs a key: set the environment variable {self.endpoint.key_variable}. Without one, kept "
                "replies can be used (labeler=replay judge=replay), or the taxonomy (labeler=taxonomy judge=taxonomy)."
            )
        check_proxies()
        self.cache.check_writable()

    def ask(self, what: str, requests: Sequence[ChatRequest]) -> list[Kept]:
        """A reply for each request, in their order; one without `response` where none could be had.

        Raises `CcsError` where going on makes no sense: the key is refused, the request is not understood, the budget is
        reached, a server that never answers, a model that never answers as it should. Whatever came until then is kept.
        """
        self._record()
        distinct = list({request.key: request for request in requests}.values())
        replies = {item.request.key: item for item in self.kept(distinct) if item is not None}
        missing = [request for request in distinct if request.key not in replies]
        self.session.kept += len(replies)
        self.answers = self.answers or any(item.response is not None for item in replies.values())
        if missing and self.kept_only:
            raise CcsError(
                f"kept_only=true, but for {what} by {self.model} {len(missing)} of {len(distinct)} replies are not kept "
                f"(prompt {missing[0].prompt[:12]}, settings {missing[0].settings}). Leave kept_only out to ask for them."
            )
        if missing:
            self.check_ready()
            replies |= run_to_the_end(lambda: self._ask(what, missing))
        self.session.used |= replies
        return [replies[request.key] for request in requests]

    async def _ask(self, what: str, missing: Sequence[ChatRequest]) -> dict[str, Kept]:
        async with open_client(self.address, self.endpoint.key(), self.timeout_s) as client:
            return await (ask_in_batches if self.batch else ask_live)(self, client, what, missing)

    def _record(self) -> None:
        silent = [feature for feature in ("schema", "temperature", "seed") if feature not in self.endpoint.supports]
        self.session.models[f"{self.where} {self.url} {self.model} {self.draw}"] = {
            "for": self.where,
            "service": self.service,
            "endpoint": self.url,
            "model": self.model,
            "not_sent": silent,
            "batch": self.batch,
        }
