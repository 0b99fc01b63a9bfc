"""Sentry's cron monitors hear of scheduled runs, over a real socket, and of nothing else."""

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import sentry_sdk
from pydantic import SecretStr

from policies.models import Policy
from tests.faults.processes import eventually
from tests.worker.scenario import TESTER, Scenario, old, purge
from worker import identity, operations, runs, sentry
from worker.database import now
from worker.runs import Request
from worker.settings import Settings

pytestmark = pytest.mark.sqlite_control

CheckIns = list[dict[str, Any]]


@pytest.fixture
def heard() -> Iterator[CheckIns]:
    """What a Sentry gets that listens, and to which this process reports."""
    found: CheckIns = []

    class Sentry(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            found.extend(json.loads(line) for line in body.splitlines() if b"check_in_id" in line)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing of it belongs in a test's output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Sentry)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    with sentry_sdk.isolation_scope():
        dsn = SecretStr(f"http://key@127.0.0.1:{server.server_port}/1")
        sentry.start(Settings(env="staging", sentry_dsn=dsn), "worker")
        yield found
        sentry_sdk.get_client().close()
        sentry_sdk.get_global_scope().set_client(None)
        sentry.start(Settings(), "worker")
    server.shutdown()
    thread.join()
    server.server_close()


def scheduled(scenario: Scenario, policy: Policy) -> int:
    operations.enable(scenario.engine.database, policy, TESTER)
    with scenario.engine.database.transaction() as session:
        wanted = Request(
            policy=policy,
            environment="test",
            trigger="schedule",
            actor=identity.service("scheduler"),
            reason="scheduled",
            apply_after_plan=True,
            inline=True,
            scheduled_for=now(session),
        )
        return runs.create(session, wanted).id


def test_a_scheduled_run_checks_in_at_its_beginning_and_its_end(
    scenario: Scenario, heard: CheckIns
) -> None:
    scenario.shop.salesData.insert_one({"createdAt": old(3000)})
    policy = purge(schedule={"cron": "10 3 * * *", "timezone": "Europe/Berlin", "jitter": "5m"})
    run = scenario.work_off(scheduled(scenario, policy))
    assert run.state == "succeeded"
    sentry_sdk.flush(60)
    eventually(lambda: len(heard) == 2, 60)
    assert [each["status"] for each in heard] == ["in_progress", "ok"]
    assert {each["check_in_id"] for each in heard} == {run.token}
    for each in heard:
        assert (each["monitor_slug"], each["environment"]) == (policy.name, "staging")
        assert each["monitor_config"] == {
            "schedule": {"type": "crontab", "value": "10 3 * * *"},
            "timezone": "Europe/Berlin",
            "checkin_margin": 15,
            "max_runtime": 1440,
        }


def test_one_that_a_guard_refuses_is_an_error(scenario: Scenario, heard: CheckIns) -> None:
    scenario.shop.salesData.insert_many([{"createdAt": old(3000)} for _ in range(5)])
    policy = purge(schedule={"every": "4h"}, guards={"max_records": 0, "max_percent": 100})
    assert scenario.advance(scheduled(scenario, policy)).state == "refused"
    sentry_sdk.flush(60)
    eventually(lambda: heard, 60)
    assert heard[-1]["status"] == "error"
    assert heard[-1]["monitor_config"]["schedule"] == {
        "type": "interval",
        "value": 240,
        "unit": "minute",
    }


def test_of_what_a_person_runs_no_monitor_hears(scenario: Scenario, heard: CheckIns) -> None:
    assert scenario.run_through(purge()).state == "succeeded"
    policy = purge(schedule={"every": "4h"})
    scenario.work_off(scheduled(scenario, policy))
    sentry_sdk.flush(60)
    eventually(lambda: len(heard) == 2, 60)
    assert {each["monitor_slug"] for each in heard} == {policy.name}
    assert len({each["check_in_id"] for each in heard}) == 1


def test_without_a_dsn_nothing_is_said(scenario: Scenario) -> None:
    sentry.start(Settings(), "worker")
    assert not sentry.is_on()
    run = scenario.work_off(scheduled(scenario, purge(schedule={"every": "4h"})))
    assert run.state == "succeeded"
