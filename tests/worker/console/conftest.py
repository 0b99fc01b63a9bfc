"""A console in this process, and what it answers."""

import http.client
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPMessage
from typing import Any

import pytest

from worker import migrate
from worker.console.readiness import Readiness
from worker.console.server import Server
from worker.database import Database


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


def ask(port: int, path: str, method: str = "GET") -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


@pytest.fixture
def control(database_url: str) -> Iterator[Database]:
    """A control database as `tend migrate` makes it."""
    database = Database(database_url)
    migrate.upgrade(database)
    yield database
    database.close()


@pytest.fixture
def port(control: Database) -> Iterator[int]:
    """Where a console listens that looks at the control database."""
    server = Server("127.0.0.1", 0, Readiness(control, seconds=0.5))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()
