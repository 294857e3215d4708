"""One chat request as plain data, and the key that everything which can change its reply goes into."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, Self

# How many characters of English a token has on average, as OpenAI states it. No tokenizer is fetched for an estimate.
CHARACTERS_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 4


class Subject(Protocol):
    """What a request is about, to whoever asks: plain data that knows how a reply is read."""

    @property
    def answer_tokens(self) -> int:
        """About how many tokens an answer has."""

    def read(self, response: Any, strict: bool) -> Any:
        """The answer in a chat completion. `strict`: a schema was sent, which forbids all else. Raises `Rejected`."""

    @property
    def places(self) -> dict[str, str]:
        """What fills the places of a prompt."""

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of a reply, as structured outputs take it."""

    def as_json(self) -> dict[str, Any]: ...

    @classmethod
    def from_json(cls, found: Any) -> Self:
        """The inverse of `as_json`. Raises ValueError, KeyError or TypeError for what is none."""


@dataclass(frozen=True)
class ChatRequest:
    """What is sent (`body`) and where to; `draw` tells apart requests that ask the same again. `prompt` names its template.

    Two requests with the same key are the same request.
    """

    endpoint: str
    body: Mapping[str, Any]
    draw: int
    subject: Subject
    prompt: str

    @cached_property
    def key(self) -> str:
        return request_key(self.endpoint, self.body, self.draw)

    @property
    def model(self) -> str:
        return self.body["model"]

    @property
    def max_tokens(self) -> int:
        return self.body.get("max_completion_tokens") or self.body["max_tokens"]

    @property
    def input_tokens(self) -> int:
        """About how many tokens the request has."""
        return tokens_in(self._text) + TOKENS_PER_MESSAGE * len(self.body["messages"])

    @property
    def most_input_tokens(self) -> int:
        """No fewer tokens than the request can have: a token is at least one byte."""
        return len(self._text.encode("utf-8")) + 16 * len(self.body["messages"])

    def read(self, response: Any) -> Any:
        """The answer in a reply. Raises `Rejected` for what is none."""
        return self.subject.read(response, strict="response_format" in self.body)

    @cached_property
    def _text(self) -> str:
        schema = self.body.get("response_format")
        return "".join(message["content"] for message in self.body["messages"]) + (canonical(schema) if schema else "")

    @cached_property
    def settings(self) -> str:
        """Eight hexadecimal digits of everything that the request has in common with others of the same kind, whatever the draw."""
        body = {key: value for key, value in self.body.items() if key not in ("messages", "response_format")}
        if "seed" in body:
            body["seed"] -= self.draw
        kind = {"endpoint": self.endpoint, "body": body, "prompt": self.prompt}
        return hashlib.sha256(canonical(kind).encode("utf-8")).hexdigest()[:8]


def request_key(endpoint: str, body: Mapping[str, Any], draw: int) -> str:
    """The key of a request: sha256 of its canonical JSON."""
    return hashlib.sha256(canonical({"endpoint": endpoint, "body": body, "draw": draw}).encode("utf-8")).hexdigest()


def tokens_in(text: str) -> int:
    """About how many tokens a text has."""
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)


def canonical(value: Any) -> str:
    """JSON that is the same for the same content."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
