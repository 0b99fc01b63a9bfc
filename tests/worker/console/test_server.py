"""The console's HTTP: every answer is JSON, errors have one form, and SIGTERM ends the process."""

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from http import HTTPStatus

import pytest

from tests.worker.console.conftest import ask, serving, start
from worker.console import bounds, protocol
from worker.console.bounds import MOST_BYTES
from worker.console.installation import Installation
from worker.console.readiness import Readiness
from worker.database import Database

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.mark.parametrize(
    "path", ["/nothing", "/health", "/health/live/", "/health/../health/ready", "//"]
)
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
    assert headed.headers["Server"] == "Tend"


def test_what_it_cannot_do_is_an_error_of_the_same_form(port: int) -> None:
    answer = ask(port, "/health/live", "POST")
    assert (answer.status, answer.headers["Allow"]) == (HTTPStatus.METHOD_NOT_ALLOWED, "GET")
    assert answer.json["status"] == "error"
    assert answer.json["error"]["code"] == "method_not_allowed"


@pytest.mark.parametrize(
    ("path", "method"), [("/health/live", "GET"), ("/", "GET"), ("/health/live", "DELETE")]
)
def test_every_answer_tells_browsers_to_trust_nothing_else(
    port: int, path: str, method: str
) -> None:
    headers = ask(port, path, method).headers
    policy = headers["Content-Security-Policy"].split("; ")
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"


def test_a_body_that_is_too_large_is_refused_before_anything_looks_at_it(port: int) -> None:
    answer = ask(port, "/health/live", "POST", body="x" * (MOST_BYTES + 1))
    assert (answer.status, answer.json["error"]["code"]) == (413, "content_too_large")


def test_a_client_that_says_nothing_is_left(
    monkeypatch: pytest.MonkeyPatch, installation: Installation
) -> None:
    monkeypatch.setattr(protocol, "CLIENT_SECONDS", 0.2)
    with (
        serving(installation) as port,
        socket.create_connection(("127.0.0.1", port), timeout=60) as client,
    ):
        assert client.recv(1) == b""


def test_a_body_that_never_comes_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, port: int
) -> None:
    monkeypatch.setattr(bounds, "BODY_SECONDS", 0.2)
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: tend\r\nContent-Length: 9\r\n\r\nhalf")
        head = client.recv(4096)
    assert b" 408 " in head.splitlines()[0]


def test_what_goes_wrong_is_told_to_the_log_and_not_to_the_browser(
    monkeypatch: pytest.MonkeyPatch, port: int
) -> None:
    def break_down(_self: Readiness) -> None:
        raise RuntimeError("hunter2")

    monkeypatch.setattr(Readiness, "report", break_down)
    answer = ask(port, "/health/ready")
    assert (answer.status, answer.json["error"]["code"]) == (500, "unexpected")
    assert b"hunter2" not in answer.body
    assert b"RuntimeError" not in answer.body


def test_the_api_is_described_at_one_place_and_needs_no_other_host(port: int) -> None:
    described = ask(port, "/api/v1/openapi.json")
    assert (described.status, described.json["info"]["title"]) == (200, "Tend")
    assert [ask(port, path).status for path in ("/docs", "/redoc", "/openapi.json")] == [404] * 3


def test_a_broken_request_is_an_error_of_the_same_form_and_the_next_one_is_answered(
    port: int,
) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(b"GET /health/live SMTP/9\r\n\r\n")
        head, _, body = b"".join(iter(lambda: client.recv(4096), b"")).partition(b"\r\n\r\n")
    assert b" 400 " in head.splitlines()[0]
    assert json.loads(body)["error"]["code"] == "bad_request"
    assert ask(port, "/health/live").status == 200


@pytest.fixture
def console(database_url: str) -> Iterator[subprocess.Popen[bytes]]:
    """`tend console` on a free port, with a control database that does not exist yet."""
    process = start(database_url, "--port", "0")
    yield process
    process.kill()
    process.communicate()


@pytest.mark.system
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
        assert console.wait(60) == 0


@pytest.mark.system
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
