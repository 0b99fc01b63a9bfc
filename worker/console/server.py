"""The HTTP side: a thread for each request, and JSON for every answer, errors too."""

import json
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import structlog

from policies.errors import TendError
from worker.console.readiness import Readiness, Report
from worker.logs import safe_text

CLIENT_SECONDS = 10
"""A client that sends nothing for so long is left."""

log = structlog.get_logger()


class CannotListen(TendError):
    """The address cannot be listened on."""

    code = "cannot_listen"


class Server(ThreadingHTTPServer):
    """Listens from the start; raises `CannotListen` if it cannot."""

    daemon_threads = True

    def __init__(self, host: str, port: int, readiness: Readiness) -> None:
        self.readiness = readiness
        try:
            super().__init__((host, port), Handler)
        except OSError as error:
            raise CannotListen(
                f"The console cannot listen on {host}:{port} ({error.strerror}); choose others "
                "with --host and --port."
            ) from error

    def handle_error(self, *_: object) -> None:
        """Most often a client that left without its answer."""
        log.info("connection lost", why=safe_text(sys.exception() or Exception()))

    def serve_until_told(self) -> None:
        """Answer requests until SIGTERM or SIGINT."""
        told = {signal.SIGTERM, signal.SIGINT}
        signal.pthread_sigmask(signal.SIG_BLOCK, told)  # before the threads, which inherit it
        thread = threading.Thread(target=self.serve_forever, name="console", daemon=True)
        thread.start()
        log.info("console listens", host=self.server_address[0], port=self.server_port)
        signal.sigwait(told)
        log.info("console stops")
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Server
    server_version = "Tend"
    sys_version = ""
    default_request_version = "HTTP/1.0"  # the base class answers a broken request without headers
    timeout = CLIENT_SECONDS

    def do_GET(self) -> None:
        try:
            status, document = self._answer()
        except Exception as error:
            log.exception("request failed", path=self._path, why=safe_text(error))
            status, document = 500, failure("unexpected", "Something unexpected went wrong.")
        self._send(status, document)

    do_HEAD = do_GET  # noqa: N815 - the base class calls it by this name

    def _answer(self) -> tuple[int, Mapping[str, Any]]:
        match self._path:
            case "/health/live":
                return HTTPStatus.OK, {"status": "ok"}
            case "/health/ready":
                return _ready(self.server.readiness.report())
            case _:
                return HTTPStatus.NOT_FOUND, failure("not_found", "There is nothing at this path.")

    @property
    def _path(self) -> str:
        return urlsplit(self.path).path

    def send_error(
        self,
        code: int,
        message: str | None = None,
        explain: str | None = None,  # noqa: ARG002 - the base class's signature
    ) -> None:
        """What the base class refuses, a broken request or an unknown method, in our own form."""
        says = message or HTTPStatus(code).phrase
        self._send(code, failure(HTTPStatus(code).name.lower(), f"{says}."))

    def _send(self, status: int, document: Mapping[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        for name, value in (
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            ("Connection", "close"),
        ):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's signature
        """A probe every few seconds is no news."""


def failure(code: str, message: str, details: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The one form of an error, as the applications have it."""
    return {
        "status": "error",
        "error": {"code": code, "message": message, "details": details or {}},
    }


def _ready(report: Report) -> tuple[int, Mapping[str, Any]]:
    checks = {name: asdict(check) for name, check in report.items()}
    amiss = next((check.says for check in report.values() if not check.ok), None)
    if amiss is None:
        return HTTPStatus.OK, {"status": "ok", "checks": checks}
    return HTTPStatus.SERVICE_UNAVAILABLE, failure("not_ready", amiss, checks)
