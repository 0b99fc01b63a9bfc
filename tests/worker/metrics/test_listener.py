"""The port of real schedulers and workers: metrics and health, whoever of a host has it."""

import json
import socket
from contextlib import suppress
from http import HTTPStatus
from http.client import HTTPConnection
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import psutil
import pytest

from tests.faults.processes import Tend as Started
from tests.faults.processes import eventually
from tests.faults.processes import tend as started
from tests.worker.cli.conftest import bare, logging_as_it_was, unmigrated

__all__ = ["bare", "logging_as_it_was", "unmigrated"]
pytestmark = pytest.mark.usefixtures("bare")
MIB = 2**20


@pytest.fixture
def port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def asked(port: int, path: str) -> tuple[int, str] | None:
    """Status and body; None while nobody listens."""
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()
    except (URLError, TimeoutError, ConnectionError):
        return None


def says(port: int, line: str) -> bool:
    answer = asked(port, "/metrics")
    return answer is not None and line in answer[1].splitlines()


def idle_memory(process: Started) -> int:
    """Of the largest process; one that ends while it is looked at was none of the idle."""
    most = 0
    for found in process.family:
        with suppress(psutil.Error):
            most = max(most, found.memory_info().rss)
    return most


def is_ready_for(port: int, *checks: str) -> bool:
    answer = asked(port, "/health/ready")
    if answer is None or answer[0] != HTTPStatus.OK:
        return False
    return set(json.loads(answer[1])["checks"]) == set(checks)


@pytest.mark.system
def test_a_scheduler_answers_and_stays_small(port: int) -> None:
    with started({"TEND_METRICS_PORT": str(port)}, "scheduler") as scheduler:
        eventually(lambda: says(port, 'tend_processes{kind="scheduler"} 1.0'), seconds=90)
        live = eventually(lambda: asked(port, "/health/live"), 60)
        assert live == (HTTPStatus.OK, '{"status": "ok"}')
        assert eventually(lambda: is_ready_for(port, "control_database", "scheduler"), 60)
        metrics = eventually(lambda: asked(port, "/metrics"), 60)
        assert "\ntend_queue_depth " in metrics[1]
        assert MIB < idle_memory(scheduler) < 150 * MIB
        assert scheduler.stop(60) == 0


@pytest.mark.system
def test_of_several_workers_with_one_port_one_answers_for_all(port: int) -> None:
    environment = {"TEND_METRICS_PORT": str(port)}
    with started(environment, "worker", "--processes", "2", "--threads", "1") as worker:
        eventually(lambda: says(port, 'tend_processes{kind="worker"} 2.0'), seconds=120)
        eventually(lambda: says(port, 'tend_target_up{target="mongo"} 1.0'), seconds=120)
        assert eventually(lambda: is_ready_for(port, "control_database", "worker"), 60)
        assert MIB < idle_memory(worker) < 150 * MIB


@pytest.mark.system
def test_what_is_at_no_path_or_takes_no_answer_is_refused_in_the_one_form(
    port: int,
) -> None:
    with started({"TEND_METRICS_PORT": str(port)}, "scheduler"):
        missing = eventually(lambda: asked(port, "/secrets"), seconds=90)
        assert missing[0] == 404
        assert json.loads(missing[1])["error"]["code"] == "not_found"
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("POST", "/metrics", b"x")
        assert connection.getresponse().status == 501
        connection.close()
