"""OpenAI's Batch API: half the price, within a day. What was submitted is remembered on disk and picked up after a restart.

``<cache>/batches/<name>.json`` is written before a batch is created, and again with its id; it goes when its results are kept.
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import IO, Any, Literal, TypeVar

import openai
from openai import AsyncOpenAI

from ccs_exp.errors import CcsError
from ccs_exp.files import parse_json, write_whole
from ccs_exp.llm.failures import Outage, Rejected, judged_error, plain
from ccs_exp.llm.ledger import Advance, BudgetReached, progress
from ccs_exp.llm.model import LanguageModel
from ccs_exp.llm.replies import Kept, kept_from_json
from ccs_exp.llm.request import ChatRequest, canonical
from ccs_exp.llm.retries import retrying

T = TypeVar("T")

log = logging.getLogger(__name__)

LARGEST = 50_000  # requests in a batch
_URL: Literal["/v1/chat/completions"] = "/v1/chat/completions"
_MARK = "ccs_exp"  # key of the batch's metadata that holds its name here
_DONE = ("completed", "expired", "cancelled")


async def ask_in_batches(model: LanguageModel, client: AsyncOpenAI, what: str, missing: Sequence[ChatRequest]) -> dict[str, Kept]:
    """Ask for everything that is missing; see `Asker.ask`. What has no answer is submitted again, `attempts` times in all."""
    with progress(what, len(missing), model.session.ledger) as advance:
        run = _Batches(model, client, {request.key: request for request in missing}, advance)
        attempts = model.attempts
        while run.todo and attempts:
            waiting, all_of_it = await run.pick_up_and_submit()
            for batch in waiting:
                await run.collect(batch)
            if run.last_formless is not None:
                model.check_answers(run.last_formless)
            attempts -= all_of_it
    return run.replies | {key: Kept(request, None, run.reasons.get(key, "no reply")) for key, request in run.todo.items()}


class _Batches:
    def __init__(self, model: LanguageModel, client: AsyncOpenAI, todo: dict[str, ChatRequest], advance: Advance):
        self.model, self.client, self.todo, self.advance = model, client, todo, advance
        self.subjects = type(next(iter(todo.values())).subject)
        self.folder = model.cache.folder / "batches"
        self.replies: dict[str, Kept] = {}
        self.reasons: dict[str, str] = {}
        self.last_formless: Rejected | None = None

    async def pick_up_and_submit(self) -> tuple[list[dict[str, Any]], bool]:
        """The batches to wait for, and whether they hold all that is missing; one process at a time, so that none is sent twice."""
        while True:
            with self.model.cache.exclusive("batches") as mine:
                if mine:
                    waiting = await self._pick_up()
                    asked = {key for batch in waiting for key in batch["keys"]}
                    rest = [request for key, request in self.todo.items() if key not in asked]
                    try:
                        submitted = await self._submit(rest)
                    except BudgetReached:
                        if not waiting:
                            raise
                        return waiting, False
                    return [*waiting, *submitted], sum(len(batch["keys"]) for batch in submitted) == len(rest)
            await asyncio.sleep(self.model.poll_s)

    async def _pick_up(self) -> list[dict[str, Any]]:
        """The remembered batches that hold something of what is missing."""
        found = []
        for path in sorted(self.folder.glob("*.json")):
            try:
                batch = json.loads(path.read_text(encoding="utf-8"))
                ours = batch["endpoint"] == self.model.url and not self.todo.keys().isdisjoint(batch["keys"])
            except (OSError, ValueError, KeyError, TypeError) as error:
                log.warning("The remembered batch %s cannot be read and is left alone: %s.", path, error)
                continue
            if not ours:
                continue
            if batch["id"] is None:
                batch["id"] = await self._lost_id(batch["name"])
            if batch["id"] is None:  # it was never created
                path.unlink(missing_ok=True)
                continue
            log.warning("Batch %s, submitted %s, is picked up again.", batch["id"], batch["submitted"])
            found.append(batch)
        return found

    async def _lost_id(self, name: str) -> str | None:
        """The id of a batch that was created just before this program was killed."""

        async def look() -> str | None:
            async for batch in self.client.batches.list(limit=100):
                if (batch.metadata or {}).get(_MARK) == name:
                    return batch.id
            return None

        return await self._call(look)

    async def _submit(self, requests: Sequence[ChatRequest]) -> list[dict[str, Any]]:
        """Submit what fits the budget, in as many batches as it takes. Raises `BudgetReached` if nothing fits."""
        ledger, reserved = self.model.session.ledger, 0.0
        fitting: list[ChatRequest] = []
        for request in requests:
            most = self.model.most(request)
            if not ledger.fits(reserved + most):
                if not fitting:
                    raise ledger.reached(most)
                break
            fitting.append(request)
            reserved += most
        return [await self._create(fitting[start : start + LARGEST]) for start in range(0, len(fitting), LARGEST)]

    async def _create(self, requests: Sequence[ChatRequest]) -> dict[str, Any]:
        lines = [
            canonical({"custom_id": request.key, "method": "POST", "url": _URL, "body": dict(request.body)})
            for request in requests
        ]
        content = "".join(line + "\n" for line in lines).encode("utf-8")
        batch: dict[str, Any] = {
            "name": uuid.uuid4().hex,
            "id": None,
            "endpoint": self.model.url,
            "model": self.model.model,
            "submitted": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "keys": [request.key for request in requests],
            "requests": [Kept(request, None).as_json() for request in requests],
        }
        name = batch["name"]
        file = await self._call(lambda: self.client.files.create(file=(f"{name}.jsonl", content), purpose="batch"))
        self._remember(batch)

        async def create() -> str:
            created = await self.client.batches.create(
                input_file_id=file.id, endpoint=_URL, completion_window="24h", metadata={_MARK: name}
            )
            return created.id

        batch["id"] = await self._call(create, first=lambda: self._lost_id(name))
        self._remember(batch)
        self.model.session.sent += len(requests)
        log.warning(
            "Batch %s of %d requests is submitted. Ctrl-C is safe: it is picked up at the next start.", batch["id"], len(requests)
        )
        return batch

    def _remember(self, batch: dict[str, Any]) -> None:
        write_whole(self.folder / f"{batch['name']}.json", (json.dumps(batch, indent=1) + "\n").encode("utf-8"))

    async def collect(self, batch: dict[str, Any]) -> None:
        """Wait for a batch, keep its replies, forget it."""
        while True:
            state = await self._call(lambda: self.client.batches.retrieve(batch["id"]))
            if state.status in _DONE:
                break
            if state.status == "failed":
                (self.folder / f"{batch['name']}.json").unlink(missing_ok=True)
                told = "; ".join(plain(error.message) for error in (state.errors and state.errors.data) or []) or "no reason given"
                raise CcsError(f"{self.model.url} refuses the batch {batch['id']} as a whole: {told}. Mend that and run again.")
            await asyncio.sleep(self.model.poll_s)
        # all of them, not only those that this run asked for: they are paid for, and others may want them
        requests = {item["key"]: kept_from_json(item, self.subjects).request for item in batch["requests"]} | self.todo
        wanted = {key: requests[key] for key in batch["keys"]}
        for file in (state.output_file_id, state.error_file_id):
            if file is not None:
                with tempfile.TemporaryFile() as results:  # however long they are, memory is not
                    await self._call(functools.partial(self._fetch, file, results))
                    results.seek(0)
                    for line in results:
                        await self._line(line.decode("utf-8"), wanted)
        if state.status != "completed":
            log.warning("Batch %s is %s: what it has no reply to is submitted again.", batch["id"], state.status)
        (self.folder / f"{batch['name']}.json").unlink(missing_ok=True)

    async def _fetch(self, file: str, results: IO[bytes]) -> None:
        results.seek(0)
        results.truncate()
        async with self.client.files.with_streaming_response.content(file) as response:
            async for piece in response.iter_bytes():
                results.write(piece)

    async def _line(self, line: str, wanted: dict[str, ChatRequest]) -> None:
        """One line of results. The first answer to a request counts; what is nobody's is left alone."""
        try:
            result = parse_json(line)
            key, reply = result["custom_id"], result.get("response") or {}
            status, body, error = reply.get("status_code"), reply.get("body") or {}, result.get("error")
        except (ValueError, KeyError, TypeError, AttributeError):
            log.warning("A line of a batch's results cannot be read: %s", plain(line))
            return
        request = wanted.get(key) if isinstance(key, str) else None
        if request is None or key in self.replies:
            return
        if status == 200:
            self.model.pay(request, body)
        try:
            if status != 200 or error:
                raise Rejected(f"status {status}" if status else "expired", json.dumps(error or body)[:200])
            request.read(body)
        except Rejected as rejected:
            self.reasons[key], self.model.session.last_failure = rejected.kind, plain(rejected)
            self.last_formless = rejected if rejected.formless else self.last_formless
            await asyncio.to_thread(self.model.cache.put_rejected, request, body if error is None else error, str(rejected))
            self.model.count_rejected(rejected)
            return
        self.model.answers = True
        self.replies[key] = await asyncio.to_thread(self.model.cache.put, request, body)
        if self.todo.pop(key, None) is not None:
            self.advance()

    async def _call(self, work: Callable[[], Awaitable[T]], first: Callable[[], Awaitable[T | None]] | None = None) -> T:
        """A call that manages batches, tried again through outages. `first`: what to look for before a second attempt."""

        async def attempt() -> T:
            try:
                if first is not None and attempts.statistics.get("attempt_number", 1) > 1:
                    found = await first()
                    if found is not None:
                        return found
                return await asyncio.wait_for(work(), self.model.timeout_s)
            except TimeoutError as error:
                raise Outage("timeout", f"no reply within {self.model.timeout_s:g} s") from error
            except openai.APIError as error:
                raise judged_error(error, self.model.url, self.model.model) from error

        attempts = retrying(self.model.attempts, Outage)
        try:
            return await attempts(attempt)
        except (Outage, Rejected) as error:
            raise CcsError(
                f"{self.model.url} cannot be reached for its batches: {error}. A submitted batch is remembered: run again to pick it up."
            ) from error
