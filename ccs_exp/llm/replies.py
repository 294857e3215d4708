"""Kept replies: one readable file for each, written whole before anything uses it, found again by the key of its request.

``<folder>/<first two digits>/<key>.json`` are accepted replies; ``rejected/`` holds what came but was no answer, to be looked at and
never read; ``locks/`` what two processes need to share the folder.
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ccs_exp.errors import CcsError
from ccs_exp.files import write_whole
from ccs_exp.llm.failures import Rejected
from ccs_exp.llm.request import ChatRequest, Subject, request_key
from ccs_exp.store import cache_dir

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kept:
    """A request with its reply; `response` None: it has no answer, for `reason`."""

    request: ChatRequest
    response: Mapping[str, Any] | None
    reason: str | None = None
    received: str | None = None

    @property
    def answer(self) -> Any:
        """What the request's subject reads in the reply. Raises `Rejected` for a reply that is no answer (any more)."""
        return None if self.response is None else self.request.read(self.response)

    def as_json(self) -> dict[str, Any]:
        request = self.request
        return {
            "key": request.key,
            "subject": request.subject.as_json(),
            "request": {"endpoint": request.endpoint, "draw": request.draw, "prompt": request.prompt, "body": dict(request.body)},
            "response": self.response,
            "reason": self.reason,
            "received": self.received,
        }


def kept_from_json(found: Any, subjects: type[Subject]) -> Kept:
    """The inverse of `Kept.as_json`. Raises ValueError for what is none, or bears another key than its content has."""
    try:
        request = found["request"]
        if found["key"] != request_key(request["endpoint"], request["body"], request["draw"]):
            raise ValueError("its key is not that of its request")
        subject = subjects.from_json(found["subject"])
        asked = ChatRequest(request["endpoint"], request["body"], request["draw"], subject, request["prompt"])
        _ = asked.model, asked.settings
        return Kept(asked, found["response"], found["reason"], found["received"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it is no kept reply ({type(error).__name__}: {error})") from error


class ReplyCache:
    """Kept replies in a folder. Safe for any number of threads and processes."""

    def __init__(self, folder: Path | None = None):
        """`folder` None: ``replies`` in the store's folder."""
        self.folder = folder or cache_dir() / "replies"
        self.rejected = self.folder / "rejected"

    def path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"

    def get(self, request: ChatRequest) -> Kept | None:
        """The kept reply to this very request, if there is one that is an answer."""
        path = self.path(request.key)
        try:
            kept = kept_from_json(json.loads(path.read_text(encoding="utf-8-sig")), type(request.subject))
            if kept.request.key != request.key:
                raise ValueError("it answers another request")
            if Kept(request, kept.response).answer is None:
                raise ValueError("it holds no reply")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError, Rejected) as error:
            log.warning("The kept reply %s is not used, and is asked for again: %s.", path, error)
            return None
        return Kept(request, kept.response, received=kept.received)

    def put(self, request: ChatRequest, response: Mapping[str, Any]) -> Kept:
        """Write an accepted reply; once this returns, it is on disk."""
        kept = Kept(request, response, received=_now())
        self._write(self.path(request.key), kept)
        return kept

    def put_rejected(self, request: ChatRequest, response: Any, reason: str) -> None:
        """Write what came but is no answer, for inspection alone."""
        name = f"{request.key[:16]}-{uuid.uuid4().hex[:8]}.json"
        self._write(self.rejected / name, Kept(request, response, reason, _now()))

    @contextmanager
    def exclusive(self, name: str) -> Iterator[bool]:
        """Whether this process, and no other, may now do what `name` stands for; a killed process holds nothing."""
        lock = FileLock(self.folder / "locks" / name, thread_local=False)
        try:
            self._make(self.folder / "locks")
            lock.acquire(timeout=0)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def check_writable(self) -> None:
        """Raises `CcsError` where replies could not be kept: nothing is asked that would be lost."""
        self._make(self.folder)
        probe = self.folder / f".writable.{uuid.uuid4().hex}"
        write_whole(probe, b"")
        probe.unlink(missing_ok=True)

    def _make(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CcsError(
                f"Replies cannot be kept in {self.folder}: {error.strerror or error}. Name a folder that you may write to with the "
                "environment variable CCS_EXP_CACHE."
            ) from error

    def _write(self, path: Path, kept: Kept) -> None:
        try:
            text = json.dumps(kept.as_json(), indent=1, ensure_ascii=True)
        except (TypeError, ValueError) as error:
            raise CcsError(f"A reply of {kept.request.model} cannot be written as JSON: {error}.") from error
        write_whole(path, (text + "\n").encode("utf-8"))


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
