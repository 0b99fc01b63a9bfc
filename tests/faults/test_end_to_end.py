"""The whole of it, as installed: a scheduler, two worker processes, and nobody at a terminal."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

import policies
from tests.faults.invariants import assert_nothing_lost_or_done_twice
from tests.faults.processes import eventually, tend
from tests.worker.scenario import TESTER, Scenario, old, purge
from worker import operations, queue, runs, waiting
from worker.audit.verify import verify
from worker.registry import Policies, frozen_policy
from worker.states import State
from worker.tables import Run

OVERLAY = """\
name: {name}
schedule: {{cron: null, every: 2s, jitter: null}}
guards: {{max_records: 1_000, max_percent: 100}}
chunk: 10
batch: {{records: 3}}
"""
ENABLED, OBSERVING = "session-cleanup", "oauth-state-cleanup"
EXPIRED = {f"expired {number}" for number in range(35)}


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    for name in (ENABLED, OBSERVING):
        (overlay / f"{name}.yaml").write_text(OVERLAY.format(name=name))
    return [Path(policies.__path__[0]), overlay]


@pytest.fixture
def site(scenario: Scenario, environment: dict[str, str], folders: list[Path]) -> dict[str, str]:
    """The environment of a small shop with one policy enabled."""
    shop = scenario.shop
    shop.sessions.insert_many(
        [{"_id": key, "expiresAt": old(400), "isActive": True} for key in EXPIRED]
        + [{"_id": "alive", "expiresAt": old(-400), "isActive": True}]
    )
    shop.oauthstates.create_index("timestamp")
    shop.oauthstates.insert_many([{"timestamp": old(400)} for _ in range(5)])
    enabled = Policies.load(folders).get(ENABLED).policy
    operations.enable(scenario.engine.database, enabled, TESTER)
    return {**environment, "TEND_POLICY_DIR": ":".join(map(str, folders))}


def first(scenario: Scenario, policy: str, **columns: Any) -> Run | None:
    with scenario.engine.database.transaction() as session:
        query = select(Run).filter_by(policy=policy, **columns).order_by(Run.id).limit(1)
        return session.scalars(query).one_or_none()


def test_the_schedule_of_an_enabled_policy_changes_data_and_that_of_another_only_plans(
    scenario: Scenario, site: dict[str, str]
) -> None:
    with (
        tend(site, "scheduler") as scheduler,
        tend(site, "worker", "--processes", "2") as worker,
    ):
        planned = eventually(lambda: first(scenario, OBSERVING, state=State.PLANNED))
        done = eventually(lambda: first(scenario, ENABLED, state=State.SUCCEEDED))
        mirrored = {"details.runId": f"r-{done.id}"}
        summary = eventually(lambda: scenario.shop.auditlogs.find_one(mirrored))
        assert scheduler.stop() == 0
        assert worker.stop() == 0
    assert [record["_id"] for record in scenario.shop.sessions.find()] == ["alive"]
    assert (done.trigger, done.actor, done.planned) == ("schedule", "tend-scheduler", len(EXPIRED))
    assert_nothing_lost_or_done_twice(scenario, done.id, EXPIRED)

    assert (planned.planned, planned.applying_at) == (5, None)
    assert scenario.shop.oauthstates.count_documents({}) == 5
    with scenario.engine.database.transaction() as session:
        observing = f"nothing: it only observes until `tend enable {OBSERVING}`"
        assert waiting.waiting_for(session, planned) == observing

    assert summary["details"]["deletedCount"] == len(EXPIRED)
    assert verify(scenario.engine.database).findings == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_worker_without_a_scheduler_goes_on_after_its_shift(
    scenario: Scenario, environment: dict[str, str]
) -> None:
    """Twelve batches with a second's pause are more than one shift of ten seconds."""
    scenario.shop.salesData.insert_many([{"createdAt": old(3000)} for _ in range(24)])
    plan = scenario.plan(purge(chunk=2, writers=1, batch={"records": 2, "pause": "1s"}))
    with scenario.engine.database.transaction() as session:
        run = runs.get(session, plan.id)
        run.inline = False
        runs.go_on(session, run, TESTER.actor, frozen_policy(run.policy_text))
    with tend(environment, "worker"):
        broker = queue.connect(environment["TEND_REDIS_URL"])
        queue.ring(broker, plan.id)
        broker.close()
        eventually(lambda: scenario.run(plan.id).state == State.SUCCEEDED)
    assert scenario.shop.salesData.count_documents({}) == 0
