"""The port of a scheduler or worker: metrics and health, from the standard library alone.

Processes of one host may be told the same port: whoever has it answers, and when that one ends
another takes it. Facts are the control database's, so it does not matter who answers.
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import structlog

from worker.chores import Chore
from worker.console.answers import failure
from worker.console.readiness import Readiness
from worker.database import Database
from worker.logs import safe_text
from worker.metrics.collector import CONTENT_TYPE, Metrics
from worker.settings import Settings

TRY_SECONDS = 5
CLIENT_SECONDS = 5
"""A client that sends nothing for so long is left."""
AT_ONCE = 8
"""Requests; one more is turned away, so that a flood of them costs no memory."""

log = structlog.get_logger()
Answer = tuple[int, str, bytes]


def chores(settings: Settings, db: Database, kind: str) -> Iterator[Chore]:
    """The chore of a process that listens; none without TEND_METRICS_PORT."""
    if settings.metrics_port is None:
        return
    port = Port(
        settings.metrics_host,
        settings.metrics_port,
        Metrics(settings, db),
        Readiness(db, kinds=(kind,)),
    )
    yield Chore("metrics", port.take, TRY_SECONDS)


class Port:
    """The port, once this process has it."""

    def __init__(self, host: str, port: int, metrics: Metrics, readiness: Readiness) -> None:
        self._address = (host, port)
        self._routes: dict[str, Callable[[], Answer]] = {
            "/metrics": partial(_metrics, metrics),
            "/health/live": partial(_json, HTTPStatus.OK, {"status": "ok"}),
            "/health/ready": partial(_ready, readiness),
        }
        self._server: _Server | None = None

    def take(self) -> None:
        """Listen if nobody else does."""
        if self._server is not None:
            return
        try:
            self._server = _Server(self._address, self._routes)
        except OSError:
            return  # a sibling has it
        threading.Thread(
            target=self._server.serve_forever, name="metrics port", daemon=True
        ).start()
        log.info("metrics listen", host=self._address[0], port=self._server.server_port)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(
        self, address: tuple[str, int], routes: Mapping[str, Callable[[], Answer]]
    ) -> None:
        self.routes = routes
        self._free = threading.BoundedSemaphore(AT_ONCE)
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, *_: object) -> None:
        """Most often a client that left without its answer, which is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "Tend"
    sys_version = ""
    timeout = CLIENT_SECONDS

    def do_GET(self) -> None:
        route = self.server.routes.get(urlsplit(self.path).path)
        try:
            status, kind, body = route() if route is not None else _nothing()
        except Exception as error:
            log.exception("scrape failed", why=safe_text(error))
            status, kind, body = _json(
                HTTPStatus.INTERNAL_SERVER_ERROR,
                failure("unexpected", "Something unexpected went wrong; the log has it."),
            )
        self.send_response(status)
        for name, value in (
            ("Content-Type", kind),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            ("Connection", "close"),
        ):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 - the base class calls it by this name

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's signature
        """A scrape every few seconds is no news."""


def _metrics(metrics: Metrics) -> Answer:
    return HTTPStatus.OK, CONTENT_TYPE, metrics.text()


def _ready(readiness: Readiness) -> Answer:
    report = readiness.report()
    checks = {name: asdict(check) for name, check in report.items()}
    amiss = next((check.says for check in report.values() if not check.ok), None)
    if amiss is None:
        return _json(HTTPStatus.OK, {"status": "ok", "checks": checks})
    return _json(HTTPStatus.SERVICE_UNAVAILABLE, failure("not_ready", amiss, checks))


def _nothing() -> Answer:
    return _json(HTTPStatus.NOT_FOUND, failure("not_found", "There is nothing at this path."))


def _json(status: int, document: Mapping[str, Any]) -> Answer:
    return status, "application/json", json.dumps(document).encode()
