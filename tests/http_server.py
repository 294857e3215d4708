"""An HTTP server on a free port of loopback, for as long as a block lasts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, handler: type[BaseHTTPRequestHandler], state: Any):
        super().__init__(("127.0.0.1", 0), handler)
        self.state = state

    def handle_error(self, *_arguments: Any) -> None:
        return None  # connections that a test drops


@contextmanager
def listening(handler: type[BaseHTTPRequestHandler], state: Any) -> Iterator[int]:
    """Its port. `state`: what handlers find as ``self.server.state``."""
    server = _Server(handler, state)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
