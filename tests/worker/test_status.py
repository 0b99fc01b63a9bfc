"""The rows of a status: what a policy does, what it would find, and what could not be learned."""

import signal
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from demo.servers import Mongo
from policies.models import Policy
from tests.worker.scenario import (
    NOW,
    TESTER,
    Scenario,
    negative_values,
    old,
    policy_text,
    purge,
    sessions,
)
from worker import operations, status
from worker.errors import IndexMissing
from worker.registry import frozen_policy
from worker.tables import Run
from worker.targets.mongo import MongoTarget


def row(scenario: Scenario, policy: Policy, **options: Any) -> dict[str, Any]:
    targets = options.pop("targets", scenario.engine.targets)
    engine = scenario.engine
    (found,) = status.policies(engine.database, [policy], targets, engine.subjects, NOW, **options)
    return found


def test_a_policy_observes_until_it_is_enabled_and_again_once_its_text_changes(
    scenario: Scenario,
) -> None:
    found = row(scenario, purge())
    assert (found["state"], found["changed_since_enabled"]) == ("observing", False)
    operations.enable(scenario.engine.database, purge(), TESTER)
    found = row(scenario, purge())
    assert (found["state"], found["changed_since_enabled"]) == ("enabled", False)
    found = row(scenario, purge(undo="8d"))
    assert (found["state"], found["changed_since_enabled"]) == ("observing", True)


def test_the_last_success_stays_when_later_runs_fail(scenario: Scenario) -> None:
    assert row(scenario, purge())["last_success"] is None
    first = scenario.run_through(purge())
    scenario.shop.salesData.drop_index("createdAt_1")
    second = scenario.request(purge())
    with pytest.raises(IndexMissing):
        scenario.advance(second)
    found = row(scenario, purge())
    assert found["last_success"]["run"] == f"r-{first.id}"
    assert (found["last_run"]["run"], found["last_run"]["state"]) == (f"r-{second}", "failed")


def test_what_is_overdue_is_told_with_its_age(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_many([{"createdAt": old(3000)}, {"createdAt": old(2600)}])
    assert row(scenario, purge())["overdue"] == {
        "count": 2,
        "at_least": False,
        "oldest": "2018-09-05T03:00:00.000000Z",
        "oldest_age_seconds": 3000 * 86400,
    }


def test_a_missing_index_or_collection_is_said_in_the_row(scenario: Scenario) -> None:
    scenario.shop.salesData.drop_index("createdAt_1")
    found = row(scenario, purge())
    assert found["overdue"] is None
    assert "has no index for this selector" in found["problem"]
    scenario.shop.sessions.drop()
    assert "does not exist" in row(scenario, sessions())["problem"]


def test_a_target_that_is_away_or_not_set_spoils_only_its_own_row(scenario: Scenario) -> None:
    away = MongoTarget("mongodb://127.0.0.1:1/shop")
    assert "does not answer" in row(scenario, purge(), targets={"mongo": away})["problem"]
    away.close()
    assert "TEND_MONGO_URL is not set" in row(scenario, purge(), targets={})["problem"]
    assert row(scenario, purge())["problem"] is None


def test_many_policies_are_counted_each_for_itself(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_many([{"createdAt": old(2000 + day)} for day in range(900)])
    wanted = [
        frozen_policy(
            policy_text(
                name=f"purge-{days}",
                job="retention_purge",
                options={
                    "collection": "salesData",
                    "select": {"older_than": {"field": "createdAt", "age": f"{days}d"}},
                },
            )
        )
        for days in range(2000, 2020)
    ]
    engine = scenario.engine
    rows = status.policies(
        engine.database, wanted, engine.targets, engine.subjects, NOW, seconds=60
    )
    assert [(each["policy"], each["overdue"]["count"]) for each in rows] == [
        (policy.name, 899 - number) for number, policy in enumerate(wanted)
    ]


def test_a_server_that_hangs_holds_the_status_up_no_longer_than_it_may_take(
    scenario: Scenario, mongo_server: Mongo
) -> None:
    assert row(scenario, purge())["problem"] is None
    mongo_server.process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    try:
        found = row(scenario, purge(), seconds=3.0)
        took = time.monotonic() - began
    finally:
        mongo_server.process.send_signal(signal.SIGCONT)
    assert took < 30  # a count may take 60 s if nobody sets it a limit
    assert found["problem"] or found["overdue"]["at_least"]


def test_runs_at_work_and_runs_that_wait_for_a_person_are_listed(scenario: Scenario) -> None:
    over = scenario.run_through(sessions())
    planned = scenario.plan(negative_values(name="by-hand"))
    queued = scenario.request(purge())
    with scenario.engine.database.transaction() as session:
        session.execute(
            update(Run).where(Run.id == queued).values(not_before=datetime(9999, 1, 1, tzinfo=UTC))
        )
        found = status.runs(session)
    assert [run["id"] for run in found] == [f"r-{planned.id}", f"r-{queued}"]
    assert f"r-{over.id}" not in str(found)
    assert found[0]["waiting_for"] == f"`tend apply r-{planned.id}`"
    assert found[1]["waiting_for"].startswith("its start at 9999-01-01")


def test_what_a_schedule_only_observed_waits_for_nobody(scenario: Scenario) -> None:
    run = scenario.plan(purge())
    with scenario.engine.database.transaction() as session:
        session.execute(update(Run).where(Run.id == run.id).values(trigger="schedule"))
        assert status.runs(session) == []


def test_the_next_fire_is_that_of_the_schedule(scenario: Scenario) -> None:
    found = row(scenario, purge(schedule={"every": "1h"}))
    assert datetime.fromisoformat(found["next_fire"]) == NOW + timedelta(hours=1)
    assert row(scenario, purge())["next_fire"] is None


@pytest.mark.parametrize("state", ["paused"])
def test_an_undo_pauses_the_policy(scenario: Scenario, state: str) -> None:
    scenario.shop.salesData.insert_one({"createdAt": old(3000)})
    scenario.undo(scenario.run_through(purge()))
    assert row(scenario, purge(schedule={"every": "1h"}))["state"] == state
