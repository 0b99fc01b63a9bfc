"""The console's HTTP: every answer is JSON, errors have one form, and SIGTERM ends the process."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from http import HTTPStatus

import pytest

from tests.worker.console.conftest import ask
from worker.database import Database

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.mark.parametrize("path", ["/", "/health", "/health/live/", "/health/../health/ready", "//"])
def test_an_unknown_path_is_answered_in_the_form_of_every_error(port: int, path: str) -> None:
    answer = ask(port, path)
    assert (answer.status, answer.headers["Content-Type"]) == (404, "application/json")
    assert answer.json == {
        "status": "error",
        "error": {
            "code": "not_found",
            "message": "There is nothing at this path.",
            "details": {},
        },
    }


def test_a_query_is_not_part_of_the_path(port: int) -> None:
    assert ask(port, "/health/live?from=probe").status == 200


def test_head_has_the_headers_of_get_and_no_body(port: int) -> None:
    got, headed = ask(port, "/health/live"), ask(port, "/health/live", "HEAD")
    assert (headed.status, headed.body) == (200, b"")
    assert headed.headers["Content-Length"] == str(len(got.body))
    assert headed.headers["Cache-Control"] == "no-store"
    assert headed.headers["Server"] == "Tend "


def test_what_it_cannot_do_is_an_error_of_the_same_form(port: int) -> None:
    answer = ask(port, "/health/live", "POST")
    assert answer.status == HTTPStatus.NOT_IMPLEMENTED
    assert answer.json["status"] == "error"
    assert answer.json["error"]["code"] == "not_implemented"


def test_a_broken_request_is_an_error_of_the_same_form_and_the_next_one_is_answered(
    port: int,
) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(b"GET /health/live SMTP/9\r\n\r\n")
        head, _, body = b"".join(iter(lambda: client.recv(4096), b"")).partition(b"\r\n\r\n")
    assert b" 400 " in head.splitlines()[0]
    assert json.loads(body)["error"]["code"] == "bad_request"
    assert ask(port, "/health/live").status == 200


def start(url: str, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "worker.cli", "console", *words],
        env={**os.environ, "TEND_DATABASE_URL": url, "TEND_ENV": "test", "TEND_KEYS": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.fixture
def console(database_url: str) -> Iterator[subprocess.Popen[bytes]]:
    """`tend console` on a free port, with a control database that does not exist yet."""
    process = start(database_url, "--port", "0")
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process_though_a_client_hangs_on(
    console: subprocess.Popen[bytes], number: signal.Signals
) -> None:
    assert console.stderr is not None
    said = json.loads(console.stderr.readline())
    assert (said["event"], said["host"]) == ("console listens", "127.0.0.1")
    assert ask(said["port"], "/health/live").status == 200
    assert ask(said["port"], "/health/ready").status == 503
    with socket.create_connection(("127.0.0.1", said["port"])):
        console.send_signal(number)
        assert console.wait(5) == 0


def test_an_address_that_is_taken_is_one_sentence(control: Database, database_url: str) -> None:
    assert control.dialect == "sqlite"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = start(database_url, "--port", port, "--json")
        out, _ = ended.communicate(timeout=30)
    assert ended.returncode == 1
    error = json.loads(out)["error"]
    assert error["code"] == "cannot_listen"
    assert f"cannot listen on 127.0.0.1:{port} (Address already in use)" in error["message"]
