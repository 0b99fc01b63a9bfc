"""The console answers Prometheus as every process does."""

import pytest

from tests.worker.console.conftest import ask
from worker.database import Database
from worker.heartbeat import Heartbeat

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def test_it_has_the_facts_of_the_control_database(port: int, control: Database) -> None:
    Heartbeat(control, "worker").beat()
    answer = ask(port, "/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    lines = answer.body.decode().splitlines()
    assert 'tend_processes{kind="worker"} 1.0' in lines
    assert "tend_control_database_up 1.0" in lines
