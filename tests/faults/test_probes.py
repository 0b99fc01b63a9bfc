"""Probes beside real workers: looked at by themselves, and in nobody's way when they hang."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

import policies
from tests.faults import sales
from tests.faults.processes import eventually, tend
from tests.jobs.probe.servers import Endpoint, endpoint
from tests.worker.scenario import TESTER, Scenario
from worker import operations
from worker.registry import Policies
from worker.tables import Alert, ProbeState, Run

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
SHIPPED = Path(policies.__path__[0])
RECORDS = 30
ENDPOINTS = 50
ADDRESS = "203.0.113.7"


def looked(scenario: Scenario) -> dict[str, bool]:
    """Every probe, and whether a look at it has ended."""
    with scenario.engine.database.transaction() as session:
        states = session.scalars(select(ProbeState)).all()
        return {one.name: one.looked_at is not None for one in states}


@contextmanager
def hung(environment: Mapping[str, str], folder: Path) -> Iterator[tuple[Endpoint, dict[str, str]]]:
    """Fifty endpoints that take a question and never answer, and the settings that name them."""
    overlay = folder / "overlay"
    (overlay / "probes").mkdir(parents=True)
    # A directory of policies holds at least one.
    shipped = (SHIPPED / "session-cleanup.yaml").read_text()
    (overlay / "session-cleanup.yaml").write_text(shipped)
    with endpoint() as server:
        server.seconds = 3600
        asked = "".join(f'\n    - {{name: e{n}, url: "{server.url}"}}' for n in range(ENDPOINTS))
        options = f"options:\n  answer_within: 9m\n  endpoints:{asked}\n"
        text = f"name: applications\nevery: 10m\nwithin: 10m\n{options}"
        (overlay / "probes" / "applications.yaml").write_text(text)
        yield server, {**environment, "TEND_POLICY_DIR": f"{SHIPPED}:{overlay}"}


def test_a_run_is_finished_while_a_probe_waits_for_an_answer_that_does_not_come(
    scenario: Scenario, environment: dict[str, str], tmp_path: Path
) -> None:
    sales.load(scenario, RECORDS)
    run_id = sales.request(scenario, sales.slow())
    with (
        hung(environment, tmp_path) as (server, settings),
        tend(settings, "scheduler"),
        tend(settings, "worker", "--processes", "1"),
    ):
        eventually(lambda: server.asked >= ENDPOINTS, seconds=90)
        assert sales.finished(scenario, run_id).state == "succeeded"
        eventually(lambda: looked(scenario).get("mongodb"), seconds=90)
        assert looked(scenario)["applications"] is False
    assert sales.removed(scenario, RECORDS) == set(range(RECORDS))


def test_an_account_is_locked_while_a_probe_waits_for_an_answer_that_does_not_come(
    scenario: Scenario, environment: dict[str, str], tmp_path: Path
) -> None:
    scenario.shop.users.insert_one({"_id": "ann", "email": "ann@example.org"})
    scenario.shop.loginevents.create_index("timestamp")
    policy = Policies.load([SHIPPED]).get("login-lockout").policy
    operations.enable(scenario.engine.database, policy, TESTER)
    with (
        hung(environment, tmp_path) as (server, settings),
        tend(settings, "scheduler"),
        tend(settings, "worker", "--processes", "1"),
    ):
        eventually(lambda: server.asked >= ENDPOINTS, seconds=90)
        scenario.shop.loginevents.insert_many([failure(seconds) for seconds in range(5)])
        eventually(lambda: scenario.shop.users.find_one({"isLocked": True}))
        eventually(lambda: scenario.shop.ipblacklists.find_one({"ipAddress": ADDRESS}))
        assert looked(scenario)["applications"] is False


def failure(ago: int) -> dict[str, Any]:
    at = datetime.now(UTC) - timedelta(seconds=ago)
    return {"userId": "ann", "ipAddress": ADDRESS, "outcome": "failure", "timestamp": at}


def test_the_shipped_probes_are_looked_at_by_one_of_two_workers_without_a_run(
    scenario: Scenario, environment: dict[str, str]
) -> None:
    shipped = {path.stem for path in (SHIPPED / "probes").glob("*.yaml")}
    with tend(environment, "worker", "--processes", "2", "--threads", "1"):
        eventually(lambda: {n for n, ended in looked(scenario).items() if ended} == shipped, 90)
    with scenario.engine.database.transaction() as session:
        assert session.scalars(select(Run)).all() == []
        off = {one.name for one in session.scalars(select(ProbeState)) if one.off is not None}
        alerts = session.scalars(select(Alert).where(Alert.event == "probe")).all()
    assert off == {"applications", "kiosks", "sql"}
    assert alerts == []
