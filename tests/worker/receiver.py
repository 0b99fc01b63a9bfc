"""A service that listens for notices over HTTP, as Apprise's json:// sends them."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from worker.notices.channels import Channel

Heard = tuple[Channel, list[dict[str, Any]]]
"""The channel to it, and the messages that it got."""


@contextmanager
def listening() -> Iterator[Heard]:
    messages: list[dict[str, Any]] = []

    class Service(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            messages.append(json.loads(self.rfile.read(length)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing of it belongs in a test's output."""

    server = ThreadingHTTPServer(("localhost", 0), Service)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield Channel(f"json://localhost:{server.server_port}/"), messages
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
