"""Every log line of work on a run names it and its policy, those of libraries and threads too."""

import json
import logging
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import structlog

from tests.worker.between_batches import in_the_second_batch
from tests.worker.cli.conftest import logging_as_it_was
from tests.worker.scenario import Scenario, old, purge
from worker import leases, logs
from worker.errors import DatabaseUnreachable
from worker.settings import Settings

__all__ = ["logging_as_it_was"]
pytestmark = pytest.mark.sqlite_control


@pytest.fixture(autouse=True)
def as_json(logging_as_it_was: None) -> Iterator[None]:  # noqa: ARG001 - it comes first
    logs.configure(Settings(log="json"))
    yield
    structlog.reset_defaults()


def lines(captured: pytest.CaptureFixture[str], event: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in captured.readouterr().err.splitlines()]
    return [line for line in found if line["event"] == event]


def test_a_librarys_line_in_the_middle_of_a_run_names_it(
    scenario: Scenario, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario.shop.salesData.insert_many([{"createdAt": old(3000)} for _ in range(30)])
    run_id = scenario.request(purge(batch={"records": 10}))
    with in_the_second_batch(lambda: logging.getLogger("a.library").warning("in the middle")):
        scenario.work_off(run_id)
    (line,) = lines(capsys, "in the middle")
    assert (line["run"], line["policy"]) == (run_id, purge().name)
    logging.getLogger("a.library").warning("afterwards")
    (line,) = lines(capsys, "afterwards")
    assert "run" not in line


def test_the_thread_that_keeps_a_lease_names_it_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(leases, "LEASE", timedelta(milliseconds=30))
    renewed = threading.Event()

    def renew() -> None:
        renewed.set()
        raise DatabaseUnreachable("The control database does not answer.")

    with structlog.contextvars.bound_contextvars(policy="sales"), leases.kept(7, renew):
        assert renewed.wait(60)
    first, *_ = lines(capsys, "lease not renewed")
    assert (first["run"], first["policy"]) == (7, "sales")
