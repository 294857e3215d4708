"""A language-model server on loopback that speaks chat completions, files and batches over real HTTP, and fails when told to."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler
from typing import Any

from http_server import listening

Failure = Callable[["_Handler", dict], None]


def label_for(descriptions: str) -> str:
    """A label that differs between heads, and is the same for the same descriptions."""
    first = json.loads(descriptions.splitlines()[0].partition(" ")[2])
    return " ".join(first.split()[:3])[:40] + f" {sum(map(ord, descriptions)) % 997}"


def verdict_for(label: str, description: str) -> str:
    """A verdict that depends on both, and on nothing else."""
    return "aligned" if (sum(map(ord, label)) + 7 * sum(map(ord, description))) % 10 < 6 else "not_aligned"


def answer(body: dict) -> dict:
    """What an obedient model says to one of our prompts."""
    user = body["messages"][-1]["content"]
    if not user.startswith("Concept: "):
        return {"label": label_for(user)}
    first, rest = user.split("\n", 1)
    label = json.loads(first.removeprefix("Concept: "))
    if rest.startswith("Text: "):
        return {"verdict": verdict_for(label, json.loads(rest.removeprefix("Text: ")))}
    texts = [json.loads(line.partition(" ")[2]) for line in rest.splitlines()]
    return {f"verdict_{number}": verdict_for(label, text) for number, text in enumerate(texts, 1)}


def tokens_in(body: dict) -> int:
    """The tokens that this server charges for a request, its schema and all."""
    return len(json.dumps([body["messages"], body.get("response_format")])) // 4


def completion(body: dict, content: str | None = None, **changes: Any) -> dict:
    """A chat completion as OpenAI's servers give it."""
    content = json.dumps(answer(body)) if content is None else content
    message = {"role": "assistant", "content": content, "refusal": None} | changes.pop("message", {})
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None} | changes.pop("choice", {})
    tokens = {"prompt_tokens": tokens_in(body), "completion_tokens": 12}
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex[:8]}",
        "object": "chat.completion",
        "created": 1_760_000_000,
        "model": f"{body['model']}-served",
        "system_fingerprint": "fp_loopback",
        "choices": [choice],
        "usage": tokens | {"total_tokens": sum(tokens.values())},
    } | changes


@dataclass
class Loopback:
    """The server and what it saw. `fail(body, seen)`: how request number `seen` of this body (from 0) fails, or None."""

    latency: float = 0.0
    fail: Callable[[dict, int], Failure | None] = lambda body, seen: None
    reply: Callable[[dict], dict] = completion
    bodies: list[dict] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    times: list[float] = field(default_factory=list)
    answered: Counter = field(default_factory=Counter)
    busy: int = 0
    busiest: int = 0
    files: dict[str, bytes] = field(default_factory=dict)
    batches: dict[str, dict] = field(default_factory=dict)
    polls_needed: int = 1  # looks at a batch until it is done
    batch_fate: Callable[[int, list[dict]], dict] | None = None  # what becomes of the n-th batch, given its results
    lock: threading.Lock = field(default_factory=threading.Lock)
    url: str = ""

    @property
    def distinct(self) -> int:
        return len({json.dumps(body, sort_keys=True) for body in self.bodies})

    def chat(self, handler: _Handler, body: dict) -> None:
        name = json.dumps(body, sort_keys=True)
        with self.lock:
            seen = sum(json.dumps(other, sort_keys=True) == name for other in self.bodies) if self.fail_is_used else 0
            self.bodies.append(body)
            self.times.append(time.monotonic())
            self.keys.add(handler.headers.get("Authorization", ""))
            self.busy += 1
            self.busiest = max(self.busiest, self.busy)
        try:
            time.sleep(self.latency)
            failure = self.fail(body, seen)
            if failure is not None:
                failure(handler, body)
                return
            handler.send(200, self.reply(body))
            with self.lock:
                self.answered[name] += 1
        finally:
            with self.lock:
                self.busy -= 1

    @property
    def fail_is_used(self) -> bool:
        return self.fail is not Loopback.fail

    # batches

    def upload(self, handler: _Handler, raw: bytes) -> None:
        message = BytesParser().parsebytes(b"Content-Type: " + handler.headers["Content-Type"].encode() + b"\r\n\r\n" + raw)
        (content,) = (part.get_payload(decode=True) for part in message.walk() if part.get_filename())
        handler.send(200, self.store(content, "batch"))

    def store(self, content: bytes, purpose: str = "batch_output") -> dict:
        name = f"file-{len(self.files)}"
        self.files[name] = content
        about = {"id": name, "object": "file", "bytes": len(content), "created_at": 1, "filename": "x", "purpose": purpose}
        return about | {"status": "processed"}

    def create_batch(self, handler: _Handler, asked: dict) -> None:
        name = f"batch_{len(self.batches)}"
        self.batches[name] = {
            "id": name,
            "object": "batch",
            "endpoint": asked["endpoint"],
            "completion_window": asked["completion_window"],
            "created_at": 1,
            "input_file_id": asked["input_file_id"],
            "metadata": asked.get("metadata"),
            "status": "in_progress",
            "output_file_id": None,
            "error_file_id": None,
            "polls": 0,
        }
        handler.send(200, self.batches[name])

    def look_at_batch(self, handler: _Handler, name: str) -> None:
        batch = self.batches[name]
        batch["polls"] += 1
        if batch["status"] == "in_progress" and batch["polls"] > self.polls_needed:
            lines = [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]
            results = [
                {"id": f"r{number}", "custom_id": line["custom_id"], "error": None}
                | {"response": {"status_code": 200, "request_id": "q", "body": self.reply(line["body"])}}
                for number, line in enumerate(lines)
            ]
            fate = {"status": "completed", "output": results, "errors": []}
            if self.batch_fate is not None:
                fate |= self.batch_fate(len(self.batches) - 1, results)
            batch["status"] = fate["status"]
            for kind in ("output", "errors"):
                if fate[kind]:
                    text = "".join((item if isinstance(item, str) else json.dumps(item)) + "\n" for item in fate[kind])
                    batch["output_file_id" if kind == "output" else "error_file_id"] = self.store(text.encode())["id"]
            if batch["status"] == "failed":
                batch["errors"] = {"object": "list", "data": [{"code": "invalid", "message": "line 1 is not valid"}]}
        handler.send(200, batch)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def log_message(self, *_arguments: Any) -> None:
        return None

    def send(self, status: int, content: Any, headers: dict[str, str] | None = None, kind: str = "application/json") -> None:
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(raw)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    def drop(self) -> None:
        """End the connection without a word."""
        self.close_connection = True
        self.connection.shutdown(2)

    def trickle(self, body: dict, seconds: float) -> None:
        """A body that comes a byte at a time, and takes `seconds`."""
        raw = json.dumps(completion(body)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        for position in range(len(raw)):
            self.wfile.write(raw[position : position + 1])
            self.wfile.flush()
            time.sleep(seconds / len(raw))

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        server: Loopback = self.server.state
        try:
            if self.path.endswith("/chat/completions"):
                server.chat(self, json.loads(raw))
            elif self.path.endswith("/files"):
                server.upload(self, raw)
            elif self.path.endswith("/batches"):
                server.create_batch(self, json.loads(raw))
            else:
                self.send(404, {"error": {"message": "no such page"}})
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client went away, as it may

    def do_GET(self) -> None:
        server: Loopback = self.server.state
        parts = self.path.partition("?")[0].strip("/").split("/")
        if parts[-1] == "content":
            self.send(200, server.files[parts[-2]], kind="application/octet-stream")
        elif parts[-2] == "batches":
            server.look_at_batch(self, parts[-1])
        elif parts[-1] == "batches":
            self.send(200, {"object": "list", "data": list(server.batches.values()), "has_more": False})
        else:
            self.send(404, {"error": {"message": "no such page"}})


@contextmanager
def serving(loopback: Loopback | None = None) -> Iterator[Loopback]:
    """The server, on a free port of loopback, for as long as the block lasts."""
    loopback = loopback or Loopback()
    with listening(_Handler, loopback) as port:
        loopback.url = f"http://127.0.0.1:{port}/v1"
        yield loopback
