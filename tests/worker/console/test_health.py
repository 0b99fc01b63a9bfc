"""`/health/live` and `/health/ready`: what they answer to whoever supervises Tend."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, update

from tests.worker.console.conftest import ask, serving
from worker import database
from worker.console.installation import Installation
from worker.console.readiness import Readiness
from worker.database import Database
from worker.heartbeat import Heartbeat
from worker.tables import Process

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
KINDS = ("scheduler", "worker")


@pytest.fixture
def alive(control: Database) -> None:
    for kind in KINDS:
        Heartbeat(control, kind).beat()


@pytest.mark.usefixtures("alive")
def test_with_a_database_a_scheduler_and_a_worker_it_is_ready(port: int) -> None:
    answer = ask(port, "/health/ready")
    assert (answer.status, answer.json["status"]) == (200, "ok")
    checks = answer.json["checks"]
    assert list(checks) == ["control_database", *KINDS]
    assert [check["ok"] for check in checks.values()] == [True] * 3
    assert [0 <= checks[kind]["age_seconds"] < 30 for kind in KINDS] == [True, True]


@on_sqlite
@pytest.mark.usefixtures("alive")
@pytest.mark.parametrize("kind", KINDS)
def test_without_one_of_its_processes_it_is_not_ready(
    port: int, control: Database, kind: str
) -> None:
    with control.transaction() as session:
        session.execute(delete(Process).where(Process.kind == kind))
    answer = ask(port, "/health/ready")
    assert answer.status == 503
    error = answer.json["error"]
    assert error["code"] == "not_ready"
    assert error["message"] == f"No {kind} runs; start one with `tend {kind}`."
    assert [name for name, check in error["details"].items() if not check["ok"]] == [kind]


@on_sqlite
@pytest.mark.usefixtures("alive")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("later", "status"), [(-20, 200), (1, 503)])
def test_a_sign_of_life_is_good_for_thirty_seconds(
    port: int, control: Database, kind: str, later: int, status: int
) -> None:
    age = timedelta(seconds=30 + later)
    with control.transaction() as session:
        earlier = database.now(session) - age
        session.execute(update(Process).where(Process.kind == kind).values(seen_at=earlier))
    answer = ask(port, "/health/ready")
    assert answer.status == status
    checks = answer.json["checks"] if status == 200 else answer.json["error"]["details"]
    assert checks[kind]["age_seconds"] == pytest.approx(age.total_seconds(), abs=19)


def test_a_database_that_is_not_migrated_is_not_ready_and_the_process_lives(tmp_path: Path) -> None:
    empty = Database(f"sqlite:///{tmp_path}/empty.sqlite")
    report = Readiness(empty).report()
    assert "is empty; run `tend migrate`" in report["control_database"].says
    assert [check.ok for check in report.values()] == [False] * 3
    assert not (tmp_path / "empty.sqlite").exists()


def test_a_server_that_is_gone_is_not_ready() -> None:
    gone = Database("postgresql+psycopg://tend:hunter2@127.0.0.1:1/tend")
    says = Readiness(gone).report()["control_database"].says
    assert "does not answer; check TEND_DATABASE_URL" in says
    assert "hunter2" not in says
    gone.close()


@on_sqlite
@pytest.mark.usefixtures("alive")
def test_a_database_that_hangs_holds_up_no_answer_and_is_looked_at_by_one_thread(
    installation: Installation, control: Database
) -> None:
    installation.readiness = Readiness(control, seconds=0.5)
    with serving(installation) as port:
        _ask_while_it_hangs(port, control)
    until = time.monotonic() + 60
    while not installation.readiness.report()["control_database"].ok:
        assert time.monotonic() < until


def _ask_while_it_hangs(port: int, control: Database) -> None:
    with control.transaction() as session, ThreadPoolExecutor(4) as clients:
        database.now(session)  # a transaction begins with its first statement
        answers = list(clients.map(ask, [port] * 4, ["/health/ready"] * 4))
        assert [answer.status for answer in answers] == [503] * 4
        says = answers[0].json["error"]["message"]
        assert says.startswith("The control database has not answered within 0.5 s; check TEND_")
        assert [t.name for t in threading.enumerate()].count("readiness") == 1
        assert ask(port, "/health/live").status == 200


@on_sqlite
def test_it_lives_as_long_as_it_answers(port: int) -> None:
    answer = ask(port, "/health/live")
    assert (answer.status, answer.json) == (200, {"status": "ok"})
