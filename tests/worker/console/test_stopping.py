"""`tend console` when it is told to stop while a request hangs."""

import json
import os
import socket
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from tests.faults.processes import PATIENCE, eventually
from tests.worker.console.conftest import start
from tests.worker.test_users import ADMIN
from worker import tokens
from worker.database import Database
from worker.identity import Role


@pytest.fixture
def share(tmp_path: Path) -> Path:
    """A folder of policies whose one file is opened and never read, as on a share that hangs."""
    folder = tmp_path / "policies"
    folder.mkdir()
    os.mkfifo(folder / "hangs.yaml")
    return folder


@pytest.mark.system
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_request_that_hangs_does_not_keep_the_process_and_is_named_in_the_log(
    control: Database, database_url: str, share: Path
) -> None:
    token = tokens.create(control, "ann", Role.VIEWER, timedelta(days=1), ADMIN).text
    console = start(database_url, "--port", "0", TEND_POLICY_DIR=str(share))
    try:
        assert console.stderr is not None
        port = json.loads(console.stderr.readline())["port"]
        with socket.create_connection(("127.0.0.1", port)) as client:
            head = f"GET /api/v1/policies HTTP/1.1\r\nHost: tend\r\nAuthorization: Bearer {token}"
            client.sendall(f"{head}\r\n\r\n".encode())
            writer = eventually(lambda: opened_by_a_reader(share / "hangs.yaml"))
            console.terminate()
            assert console.wait(PATIENCE) == 0
            os.close(writer)
        said = [json.loads(line) for line in console.stderr.read().splitlines()]
    finally:
        console.kill()
        console.communicate()
    left = next(line for line in said if line["event"] == "request left unanswered")
    assert left["path"] == "/api/v1/policies"
    assert said[-1]["event"] == "console ends though a request hangs"


def opened_by_a_reader(pipe: Path) -> int | None:
    """A descriptor, once somebody reads."""
    with suppress(OSError):
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    return None
