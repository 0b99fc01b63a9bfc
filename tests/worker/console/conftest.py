"""A console in this process, or one of its own, and what it answers."""

import http.client
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPMessage
from typing import Any

import pytest

from worker.console.installation import Installation
from worker.console.readiness import Readiness
from worker.console.server import Server
from worker.database import Database
from worker.settings import Settings


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: HTTPMessage
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.body)
        return document


def ask(
    port: int,
    path: str,
    method: str = "GET",
    body: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


@pytest.fixture
def installation(control: Database) -> Installation:
    """What the console has open: the control database, and nothing to tend."""
    return Installation(Settings(env="test"), control, Readiness(control, seconds=30))


@pytest.fixture
def port(installation: Installation) -> Iterator[int]:
    """Where a console listens that looks at the control database."""
    with serving(installation) as port:
        yield port


@contextmanager
def serving(installation: Installation) -> Iterator[int]:
    """A console on a free port of this process."""
    server = Server("127.0.0.1", 0, installation)
    thread = threading.Thread(target=server.serve)
    thread.start()
    yield server.port
    server.stop()
    thread.join()


def start(url: str, *words: str, **settings: str) -> subprocess.Popen[bytes]:
    """`tend console` in a process of its own, which says on standard error where it listens."""
    return subprocess.Popen(
        [sys.executable, "-m", "worker.cli", "console", *words],
        env={
            **os.environ,
            "TEND_DATABASE_URL": url,
            "TEND_ENV": "test",
            "TEND_KEYS": "",
            **settings,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
