"""Requests one by one, several at a time: bounded concurrency, one layer of retries, time-outs, a budget."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import openai
from openai import AsyncOpenAI
from tenacity import RetryCallState

from ccs_exp.errors import CcsError
from ccs_exp.files import parse_json
from ccs_exp.llm.failures import Outage, Rejected, judged_error, named_error, plain
from ccs_exp.llm.ledger import Advance, progress
from ccs_exp.llm.model import LanguageModel
from ccs_exp.llm.replies import Kept
from ccs_exp.llm.request import ChatRequest
from ccs_exp.llm.retries import retrying, wait_after

DEAD = 20  # requests given up one after the other, none answered between them: the server is not there
FORMLESS = 8  # replies of no form that can be read, and never an answer: the model cannot do what it is asked
ABSENT = 3  # attempts of each worker that found nobody listening, before anything was ever answered
GRACE = 2.0  # seconds that Ctrl-C leaves to requests under way
_POLL = 0.1  # seconds between looks for a reply that another process is asking for


async def ask_live(model: LanguageModel, client: AsyncOpenAI, what: str, missing: Sequence[ChatRequest]) -> dict[str, Kept]:
    """Ask for everything that is missing; see `Asker.ask`."""
    with progress(what, len(missing), model.session.ledger) as advance:
        run = _Run(model, client, iter(missing), advance, len(missing))
        workers = [asyncio.create_task(run.work()) for _ in range(min(model.concurrency, len(missing)))]
        try:
            await asyncio.wait(workers)
        except asyncio.CancelledError:  # Ctrl-C: what is under way is paid for, and may still come
            run.problem = CcsError("The run was interrupted.")
            await asyncio.wait(workers, timeout=GRACE)
            raise
        for worker in workers:
            worker.result()
    if run.problem is not None:
        raise run.problem
    if run.last_formless is not None:
        model.check_answers(run.last_formless)
    return run.replies


@dataclass
class _Run:
    model: LanguageModel
    client: AsyncOpenAI
    todo: Iterator[ChatRequest]
    advance: Advance
    total: int
    replies: dict[str, Kept] = field(default_factory=dict)
    problem: CcsError | None = None
    quiet_until: float = 0.0  # a server that asks one request to wait means all of them
    given_up: int = 0
    unheard: int = 0
    last_formless: Rejected | None = None

    async def work(self) -> None:
        """Take requests until there are none, or until some request shows that going on makes no sense."""
        for request in self.todo:
            if self.problem is not None:
                return
            try:
                self.replies[request.key] = await self._reply(request)
            except CcsError as problem:
                self.problem = self.problem or problem  # requests under way are awaited: they are paid for
            self.advance()

    async def _reply(self, request: ChatRequest) -> Kept:
        cache = self.model.cache
        while True:
            with cache.exclusive(request.key[:3]) as mine:
                if mine:
                    # another process may have been here since the cache was read
                    return await asyncio.to_thread(cache.get, request) or await self._persist(request)
            await asyncio.sleep(_POLL)
            known = await asyncio.to_thread(cache.get, request)
            if known is not None:
                return known

    async def _persist(self, request: ChatRequest) -> Kept:
        attempts = retrying(self.model.attempts, (Outage, Rejected), self._wait, ending=lambda: self.problem is not None)
        try:
            kept: Kept = await attempts(self._attempt, request)
        except Rejected as error:
            self.given_up, self.model.session.last_failure = 0, plain(error)
            self.last_formless = error if error.formless else self.last_formless
            return Kept(request, None, error.kind)
        except Outage as error:
            self.given_up, self.model.session.last_failure = self.given_up + 1, plain(error)
            if self.given_up >= DEAD:
                raise CcsError(
                    f"{self.model.url} has not answered {self.given_up} requests in a row, each tried {self.model.attempts} times; the "
                    f"last one: {error}. Is the server there, and is judge.base_url its address? What came is kept."
                ) from error
            return Kept(request, None, error.kind)
        self.given_up = 0
        return kept

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, Outage) and error.retry_after is not None:
            self.quiet_until = max(self.quiet_until, time.monotonic() + error.retry_after)
        return wait_after(state)

    async def _attempt(self, request: ChatRequest) -> Kept:
        session, most, about = self.model.session, self.model.most(request), self.model.about(request)
        await asyncio.sleep(max(0.0, self.quiet_until - time.monotonic()))
        if self.problem is not None:
            raise Outage("not asked", "the run is ending")
        await session.ledger.reserve(most)
        session.sent += 1
        try:
            response = await self._send(request)
            self.model.pay(request, response)
        except Rejected as error:
            session.ledger.spent += most if error.formless else 0.0
            self._count(error)
            raise
        except Outage as error:
            session.outages[error.kind] += 1
            self._check_there(error)
            session.ledger.spent += about if error.maybe_paid else 0.0
            raise
        except asyncio.CancelledError:
            session.ledger.spent += about
            raise
        finally:
            session.ledger.release(most)
        return await self._keep(request, response)

    def _count(self, rejected: Rejected) -> None:
        """Raise `CcsError` where so many replies, and all that ever came, were of no form that can be read."""
        self.model.count_rejected(rejected)
        self.model.check_answers(rejected, FORMLESS)

    def _check_there(self, error: Outage) -> None:
        """Raise `CcsError` if nobody listens, and nobody has until now: that is not worth all attempts of all requests."""
        if error.kind != "connection" or error.maybe_paid or self.replies:
            return
        self.unheard += 1
        if self.unheard >= ABSENT * max(2, min(self.model.concurrency, self.total)):
            raise CcsError(
                f"Nobody answers at {self.model.url}: {error}. Start the server there, or correct judge.base_url."
            ) from error

    async def _send(self, request: ChatRequest) -> Any:
        try:
            async with asyncio.timeout(self.model.timeout_s):  # of all of it: a body that trickles in is no reply either
                reply = await self.client.chat.completions.with_raw_response.create(**request.body)
                response = _from_json(reply.text)
        except TimeoutError as error:
            raise Outage("timeout", f"no whole reply within {self.model.timeout_s:g} s", maybe_paid=True) from error
        except openai.APIError as error:
            raise judged_error(error, self.model.url, request.model) from error
        failure = named_error(response, self.model.url, request.model)
        if failure is None or isinstance(failure, Rejected):
            return response
        raise failure

    async def _keep(self, request: ChatRequest, response: Any) -> Kept:
        """On disk first, in a thread so that other replies need not wait; then it may be used."""
        cache = self.model.cache
        try:
            failure = named_error(response, self.model.url, request.model)
            if failure is not None:
                raise failure
            request.read(response)
        except Rejected as error:
            await asyncio.to_thread(cache.put_rejected, request, response, str(error))
            self._count(error)
            raise
        self.model.answers = True
        return await asyncio.to_thread(cache.put, request, response)


def _from_json(text: str) -> Any:
    try:
        return parse_json(text)
    except ValueError:
        return text  # whatever it is, it is no answer, and is kept for inspection
