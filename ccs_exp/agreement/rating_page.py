"""Rating in the browser: a page that only this machine, and only who knows its address, can reach."""

from __future__ import annotations

import secrets
import socket
import sys
import threading
from collections.abc import Callable
from functools import lru_cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

from jinja2 import Template
from markupsafe import Markup
from rich.console import Console
from rich.text import Text

from ccs_exp.agreement.rating_terminal import print_state
from ccs_exp.agreement.ratings import NO, YES, Ratings
from ccs_exp.errors import CcsError
from ccs_exp.run_folder.web_page import policy, templates

_HERE = Path(__file__).parent
_MOST_BYTES = 1024  # of a form


class RatingServer(ThreadingHTTPServer):
    """Serves one rater's page at `url` on 127.0.0.1. The address holds a random token; without it everything is 404."""

    daemon_threads = True

    def __init__(self, ratings: Ratings) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.ratings, self.turn = ratings, threading.Lock()
        self.token = secrets.token_urlsafe(16)
        self.url = f"http://127.0.0.1:{self.server_port}/{self.token}/"
        self.hosts = {f"127.0.0.1:{self.server_port}", f"localhost:{self.server_port}"}

    def answer(self, item: str, answer: str) -> str | None:
        """Record an answer to the current item. Returns a notice where nothing was recorded."""
        with self.turn:
            current = self.ratings.current
            if current is None or current.name != item:
                return "That question was answered already, perhaps in another tab. Undo it to change the answer."
            return self._kept(lambda: self.ratings.answer(item, answer == YES))

    def undo(self, item: str) -> str | None:
        """Withdraw the latest answer, if it still is the latest."""
        with self.turn:
            if self.ratings.last != item:
                return "That answer is not the latest one any more."
            return self._kept(self.ratings.undo)

    def page(self, notice: str | None = None) -> bytes:
        with self.turn:
            ratings = self.ratings
            css, js, _ = _assets()
            text = _template().render(
                css=Markup(css),
                js=Markup(js),
                item=ratings.current,
                last=ratings.last,
                done=len(ratings.answers),
                total=len(ratings.sheet.items),
                rater=ratings.rater,
                notice=notice,
            )
        return text.encode("utf-8", "backslashreplace")

    def handle_error(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """A browser that hangs up early is no error; anything else is shown as usual."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    @staticmethod
    def _kept(act: Callable[[], object]) -> str | None:
        try:
            act()
        except CcsError as error:
            return str(error)
        return None


class _Handler(BaseHTTPRequestHandler):
    server: RatingServer
    timeout = 30  # of a connection that says nothing

    def do_GET(self) -> None:
        if self._allowed(""):
            self._send(HTTPStatus.OK, self.server.page())
        else:
            self._send(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        action = next((name for name in ("answer", "undo") if self._allowed(name)), None)
        if action is None:
            self._send(HTTPStatus.NOT_FOUND)
            return
        form = self._form()
        if form is None or (action == "answer" and form.get("answer") not in (YES, NO)):
            self._send(HTTPStatus.BAD_REQUEST)
            return
        item = form.get("item", "")
        notice = self.server.answer(item, form["answer"]) if action == "answer" else self.server.undo(item)
        if notice:
            self._send(HTTPStatus.CONFLICT, self.server.page(notice))
        else:
            self._send(HTTPStatus.SEE_OTHER, location=f"/{self.server.token}/")

    def _allowed(self, name: str) -> bool:
        """Whether `name` below the secret address was asked for, under this machine's own name: a page elsewhere that resolves
        to it, or sends its forms here, is refused.
        """
        origin = self.headers.get("Origin")
        return (
            secrets.compare_digest(self.path.encode(), f"/{self.server.token}/{name}".encode())
            and self.headers.get("Host") in self.server.hosts
            and (origin is None or origin.removeprefix("http://") in self.server.hosts)
        )

    def _form(self) -> dict[str, str] | None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > _MOST_BYTES:
            self.close_connection = True
            return None
        try:
            fields = parse_qs(self.rfile.read(int(length)).decode("utf-8", "replace"), max_num_fields=4)
        except ValueError:  # more fields than that
            return None
        return {name: values[0] for name, values in fields.items()}

    def _send(self, status: HTTPStatus, body: bytes = b"", location: str | None = None) -> None:
        self.send_response(status)
        headers = {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Length": str(len(body)),
            "Content-Security-Policy": _assets()[2],
            "Cache-Control": "no-store",
            "Referrer-Policy": "same-origin",
            "X-Content-Type-Options": "nosniff",
        }
        if location:
            headers["Location"] = location
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """The address of every request would hold the token."""


def serve(ratings: Ratings, console: Console) -> None:
    """Serve the page until Ctrl-C."""
    with RatingServer(ratings) as server:
        console.print(Text(f"Rate here: {server.url}"), soft_wrap=True)
        console.print(Text("Ctrl-C ends it; every answer is kept.", style="dim"))
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            console.print()
    print_state(ratings, console)


@lru_cache(maxsize=1)
def _assets() -> tuple[str, str, str]:
    """Style, script, and a policy that lets the browser use these two and nothing else."""
    css, js = ((_HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    return css, js, policy(css, js, {"form-action": "'self'", "frame-ancestors": "'none'"})


@lru_cache(maxsize=1)
def _template() -> Template:
    return templates(_HERE).get_template("page.html.jinja")
