"""The app: a page on this machine that puts questions to a run, and the server behind it.

The address holds a random token, without which everything is 404; pages elsewhere that resolve to this machine, or send here, are refused.
Uploads come with the question, are bounded, and are gone with the answer. The page uses nothing from elsewhere.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from markupsafe import Markup
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from ccs_exp.atlas.facts import HeadFacts
from ccs_exp.atlas.pages import environment
from ccs_exp.atlas.questions import LARGEST_UPLOAD, Questions
from ccs_exp.errors import CcsError
from ccs_exp.heads import Head
from ccs_exp.run_folder.web_page import policy

_HERE = Path(__file__).parent
_LARGEST_REQUEST = LARGEST_UPLOAD * 4 // 3 + 2**16  # base 64, and the question
_HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"}


def application(
    questions: Questions, facts: Sequence[HeadFacts], title: str, token: str, hosts: Sequence[str], notices: Sequence[str] = ()
) -> Starlette:
    """The app under ``/<token>/``, answering to the names in `hosts` only."""
    css = "".join((_HERE / name).read_text(encoding="utf-8") for name in ("pages.css", "app.css"))
    js = (_HERE / "app.js").read_text(encoding="utf-8")
    allowed = policy(css, js, {"img-src": "data:", "connect-src": "'self'", "frame-ancestors": "'none'"})
    known = [item for item in facts if item.head in questions.kept.heads]
    shared = {"title": title, "facts": known, "tasks": list(questions.tasks), "notices": notices}
    page = environment().get_template("app.html.jinja").render(css=Markup(css), js=Markup(js), **shared)
    labels = {item.head: item.label for item in known}

    def refused(request: Request) -> bool:
        given, origin = request.path_params["token"], request.headers.get("origin")
        return not (
            secrets.compare_digest(given.encode(), token.encode())
            and request.headers.get("host") in hosts
            and (origin is None or urlsplit(origin).netloc in hosts)
        )

    async def show(request: Request) -> Response:
        if refused(request):
            return Response(status_code=404)
        return HTMLResponse(page, headers=_HEADERS | {"Content-Security-Policy": allowed})

    async def ask(request: Request) -> Response:
        if refused(request):
            return Response(status_code=404)
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _LARGEST_REQUEST:
                return _wrong(f"At most {LARGEST_UPLOAD >> 20} MiB are taken.", 413)
        try:
            asked = json.loads(body)
            found = await run_in_threadpool(answer, questions, labels, request.path_params["what"], asked)
        except CcsError as error:
            return _wrong(str(error), 400)
        except (ValueError, KeyError, TypeError, RecursionError):
            return _wrong("That is no question of this page.", 400)
        return JSONResponse(found, headers=_HEADERS)

    return Starlette(routes=[Route("/{token}/", show), Route("/{token}/{what}", ask, methods=["POST"])])


def answer(questions: Questions, labels: Mapping[Head, str | None], what: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """One question of the page. Raises KeyError, TypeError or ValueError for what it never asks, `CcsError` for what has no answer."""
    heads = [Head.parse(name) for name in asked["heads"]]
    if what == "nearest":
        label = labels.get(heads[0])
        concept = [head for head, of_head in labels.items() if label is not None and of_head == label]
        sets = {"head": heads[:1]} | ({"concept": concept} if concept else {})
        if asked.get("text"):
            return questions.nearest_to_text(str(asked["text"]), sets)
        return questions.nearest_to_image(_image(asked), sets)
    if what == "looks":
        return questions.looks_at(_image(asked), heads[0], str(asked["text"]), str(asked.get("against", "")))
    if what == "without":
        return questions.without(_image(asked), heads, str(asked["task"]))
    raise ValueError(what)


def serve(app: Starlette, server: socket.socket) -> None:
    """Answer until Ctrl-C; no request is written down, for its address holds the token."""
    import uvicorn

    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[server])


def bound(host: str, port: int) -> socket.socket:
    """A socket for the app. Raises `CcsError` where the port is taken, or is none."""
    server = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        server.bind((host, port))
    except (OSError, OverflowError) as error:
        server.close()
        reason = getattr(error, "strerror", None) or error
        raise CcsError(f"--host {host} --port {port}: {reason}. Leave --port out for one that is free, --host for this machine.") from error
    return server


def _image(asked: Mapping[str, Any]) -> int | bytes:
    """Of a question: the place of a probe image, or one's own in base 64."""
    if "upload" in asked:
        try:
            return base64.b64decode(asked["upload"], validate=True)
        except binascii.Error as error:
            raise CcsError("What you gave is no image.") from error
    if "place" not in asked:
        raise CcsError("Choose an image first: drop one of your own, or click one of those found.")
    return int(asked["place"])


def _wrong(reason: str, status: int) -> JSONResponse:
    return JSONResponse({"error": reason}, status_code=status, headers=_HEADERS)
