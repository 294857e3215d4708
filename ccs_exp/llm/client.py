"""The way in: everything that a service says comes through one client, bounded in size and without secrets.

Nothing behind it can hold a key that a server repeats: bodies and error texts are cleaned, and of the headers only those that are read
come through. Redirects are not followed: what they say would be unbounded, and a key would go where nobody sent it.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
import os
import urllib.parse
import zlib
from collections.abc import AsyncIterator
from typing import Any

import openai
from openai import AsyncOpenAI

from ccs_exp.config.secrets import hide_secrets
from ccs_exp.config.services import without_user
from ccs_exp.errors import CcsError
from ccs_exp.files import parse_json
from ccs_exp.llm.failures import Outage, Rejected, plain

LONGEST = 1_000_000  # bytes of a reply, unpacked; of a batch's results, of each line
LARGEST = 2_000_000_000  # bytes of a batch's results
_HEADERS = ("content-type", "retry-after", "retry-after-ms", "location")
_PIECE = 65_536  # bytes that are unpacked at once
_PROXIES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY")


def open_client(address: str, key: str | None, timeout_s: float) -> AsyncOpenAI:
    """A client for the service at `address`, which may have a user in it.

    Raises `CcsError` where the environment's proxies or certificates cannot be used.
    """
    check_proxies()
    # headers stand in the transport's own messages, before anything is cleaned
    for name in ("httpx2", "httpcore2", "httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
    user = urllib.parse.urlsplit(address)
    auth = None
    if user.username or user.password:
        auth = (urllib.parse.unquote(user.username or ""), urllib.parse.unquote(user.password or ""))
    try:
        http = BoundedClient(key, auth=auth, timeout=timeout_s, follow_redirects=False, headers={"Accept-Encoding": "gzip"})
        return AsyncOpenAI(api_key=key or "none", base_url=without_user(address), max_retries=0, timeout=timeout_s, http_client=http)
    except Exception as error:  # the transport's InvalidURL has no narrower class; nothing but the environment's settings is read here
        raise CcsError(
            f"Nothing can be asked at {without_user(address)} ({plain(error)}). Look at the environment variables "
            f"{', '.join(_PROXIES)}, SSL_CERT_FILE and SSL_CERT_DIR: a proxy is an address as http://HOST:PORT, a certificate a file "
            "that is there."
        ) from error


def check_proxies() -> None:
    """Raise `CcsError` where the environment names a proxy whose protocol needs a package that is not installed."""
    socks = [name for name, value in os.environ.items() if name.upper() in _PROXIES and value.lower().startswith("socks")]
    if socks and importlib.util.find_spec("socksio") is None:
        raise CcsError(
            f"The environment variable {socks[0]} names a SOCKS proxy, for which the package socksio is needed: pip install socksio. Or "
            "unset the variable for this command."
        )


class BoundedClient(openai.DefaultAsyncHttpxClient):
    """The transport: bodies of at most `LONGEST` bytes, or lines of at most so many, clean of secrets and of the service's `key`."""

    def __init__(self, key: str | None, **settings: Any):
        super().__init__(**settings)
        self._secrets = () if key is None else (key,)

    async def send(self, request: Any, *, stream: bool = False, **options: Any) -> Any:
        """A response that has been read. With `stream`, one whose lines are read, bounded and cleaned as they come.

        Raises `Rejected` for a body that is too long or packed in a way that was not asked for, `Outage` for a damaged one.
        """
        response = await super().send(request, stream=True, **options)
        headers = {name: self._clean(response.headers[name]) for name in _HEADERS if name in response.headers}
        headers["content-type"] = headers.get("content-type", "").partition(";")[0]  # what comes through is UTF-8
        try:
            content = self._lines(response) if stream and response.status_code == 200 else await self._whole(response)
        except BaseException:
            await response.aclose()
            raise
        return type(response)(response.status_code, headers=headers, content=content, request=request)

    async def _whole(self, response: Any) -> bytes:
        pieces, size = [], 0
        async for piece in _unpacked(response):
            pieces.append(piece)
            size += len(piece)
            if size > LONGEST:
                if response.status_code != 200:  # an error says what it has to say at its start
                    break
                raise Rejected("oversized", f"a reply of more than {LONGEST:,} bytes")
        await response.aclose()
        return self._clean(b"".join(pieces)[:LONGEST].decode("utf-8-sig", "replace")).encode("utf-8")

    async def _lines(self, response: Any) -> AsyncIterator[bytes]:
        """Whole lines; one that is too long is left out."""
        rest, size, too_long = b"", 0, False
        try:
            async for piece in _unpacked(response):
                size += len(piece)
                if size > LARGEST:
                    raise Rejected("oversized", f"results of more than {LARGEST:,} bytes")
                *lines, rest = (rest + piece).replace(b"\r", b"\n").split(b"\n")
                for line in lines:
                    if line and not too_long and len(line) <= LONGEST:
                        yield self._clean(line.decode("utf-8-sig", "replace")).encode("utf-8") + b"\n"
                    too_long = False
                if len(rest) > LONGEST:
                    rest, too_long = b"", True
            if rest and not too_long:
                yield self._clean(rest.decode("utf-8-sig", "replace")).encode("utf-8") + b"\n"
        finally:
            await response.aclose()

    def _clean(self, text: str) -> str:
        text = hide_secrets(text, *self._secrets)
        if '"token"' not in text:
            return text
        try:
            found = parse_json(text)
            return json.dumps(found) if self._unspelled(found) else text
        except (ValueError, RecursionError):  # no answer, whatever it holds
            return text

    def _unspelled(self, node: Any) -> bool:
        """Take away lists of tokens that spell a secret, as log-probabilities of a text do; whether there were any."""
        parts = list(node.values() if isinstance(node, dict) else node if isinstance(node, list) else ())
        spelled = "".join(str(part["token"]) for part in parts if isinstance(part, dict) and "token" in part)
        if isinstance(node, list) and hide_secrets(spelled, *self._secrets) != spelled:
            node.clear()
            return True
        return any([self._unspelled(part) for part in parts])


async def _unpacked(response: Any) -> AsyncIterator[bytes]:
    """The body as it comes, never more than a piece of it in memory, however small it was packed."""
    packed = response.headers.get("content-encoding", "identity").strip().lower()
    if packed not in ("", "identity", "gzip"):
        raise Rejected("unusable", f"a body packed as {packed}, which was not asked for")
    unpack = zlib.decompressobj(16 + zlib.MAX_WBITS) if packed == "gzip" else None
    async for chunk in response.aiter_raw():
        while chunk and unpack is not None:
            try:
                piece = unpack.decompress(chunk, _PIECE)
            except zlib.error as error:
                raise Outage("connection", f"a damaged body: {error}", maybe_paid=True) from error
            yield piece
            chunk = b"" if unpack.eof else unpack.unconsumed_tail
            await asyncio.sleep(0)  # so that the time limit can act
        if unpack is None:
            yield chunk
    if unpack is not None and not unpack.eof:
        raise Outage("connection", "a body that ends too early", maybe_paid=True)
