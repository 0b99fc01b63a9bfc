"""The brake: it stops all change at the next batch, and what it stopped goes on by itself."""

import json
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from sqlalchemy import select

from jobs.retention_purge import RetentionPurge
from policies.models import Policy
from tests.worker.between_batches import in_the_second_batch
from tests.worker.scenario import NOW, TESTER, Scenario, old, policy_text, purge
from worker import braking, claims, operations, registry, waiting
from worker.errors import UsageError
from worker.tables import Brake, Entry, Run

RECORDS = 60


class Guarding(RetentionPurge):
    """A job that protects against attackers, as far as the brake is concerned."""

    name: ClassVar[str] = "guarding"
    security: ClassVar[bool] = True


@pytest.fixture(autouse=True)
def _security_job(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {**registry.every_job(), "guarding": Guarding()}
    monkeypatch.setattr(registry, "every_job", lambda: found)


@pytest.fixture
def shop(scenario: Scenario) -> Scenario:
    scenario.shop.salesData.insert_many(
        [{"_id": number, "createdAt": old(3000)} for number in range(RECORDS)]
    )
    return scenario


def guarding() -> Policy:
    options = {
        "collection": "salesData",
        "select": {"older_than": {"field": "createdAt", "age": "2555d"}},
    }
    text = policy_text(name="guarding", job="guarding", options=options)
    return registry.frozen_policy(text)


def pull(scenario: Scenario, policy: str | None = None, *, everything: bool = False) -> None:
    braking.pull(scenario.engine.database, policy, TESTER, everything=everything)


def release(scenario: Scenario, policy: str | None = None, *, everything: bool = False) -> None:
    braking.release(scenario.engine.database, policy, TESTER, everything=everything)


def waits_for(scenario: Scenario, run: Run) -> str | None:
    with scenario.engine.database.transaction() as session:
        return waiting.waiting_for(session, run)


def left(scenario: Scenario) -> int:
    return scenario.shop.salesData.count_documents({})


def test_a_brake_stops_a_run_within_one_batch_and_it_goes_on_by_itself(shop: Scenario) -> None:
    plan = shop.plan(purge())
    with in_the_second_batch(lambda: pull(shop)):
        run = shop.apply(plan)
    assert (run.state, left(shop)) == ("applying", RECORDS - 20)
    chunks = shop.chunks(run.id)
    assert [chunk.state for chunk in chunks] == ["pending"] * 3
    assert [(chunk.rescues, chunk.retries, chunk.not_before) for chunk in chunks] == [
        (0, 0, None)
    ] * 3
    assert [chunk.cursor for chunk in chunks] == [20, 0, 0]
    said = waits_for(shop, run)
    assert said is not None
    assert said.startswith("the brake for all policies, pulled by tester at ")
    assert said.endswith(" UTC: a test; `tend brake release` lets it go on")
    assert shop.advance(run.id).state == "applying"
    assert left(shop) == RECORDS - 20
    release(shop)
    assert shop.advance(run.id).state == "succeeded"
    assert left(shop) == 0
    with shop.engine.database.transaction() as session:
        assert claims.totals(session, run.id).changed == RECORDS


def test_a_run_is_planned_under_the_brake_and_waits_before_it_changes_anything(
    shop: Scenario,
) -> None:
    pull(shop, "under-test")
    run = shop.run_through(purge())
    assert (run.state, run.planned, left(shop)) == ("applying", RECORDS, RECORDS)
    assert [chunk.attempt for chunk in shop.chunks(run.id)] == [0, 0, 0]
    said = waits_for(shop, run)
    assert said is not None
    assert said.startswith("the brake for its policy, ")
    assert "`tend brake release --policy under-test`" in said
    release(shop, "under-test")
    assert shop.advance(run.id).state == "succeeded"


def test_an_undo_stops_and_goes_on_in_the_same_way(shop: Scenario) -> None:
    before = shop.contents("salesData")
    run = shop.run_through(purge())
    with in_the_second_batch(lambda: pull(shop)):
        undoing = shop.undo(run)
    assert undoing.state == "undoing"
    assert 0 < left(shop) < RECORDS
    release(shop)
    assert shop.advance(run.id).state == "undone"
    assert shop.contents("salesData") == before


def test_a_rest_between_two_batches_ends_when_the_brake_is_pulled(
    shop: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The policy rests for a minute; a test that waits for that would not end in time."""
    plan = shop.plan(purge(batch={"records": 10, "pause": "60s"}))
    original = claims.progress
    asked: list[int] = []

    def progress(*args: Any) -> claims.Leave | None:
        asked.append(1)
        if len(asked) == 3:
            pull(shop)
        return original(*args)

    monkeypatch.setattr(claims, "progress", progress)
    run = shop.apply(plan)
    assert (run.state, left(shop)) == ("applying", RECORDS - 10)
    assert [chunk.state for chunk in shop.chunks(run.id)] == ["pending"] * 3


def test_a_brake_for_one_policy_stops_no_other(shop: Scenario) -> None:
    pull(shop, "another")
    assert shop.run_through(purge()).state == "succeeded"


def test_a_brake_for_all_policies_spares_security_jobs_unless_told_otherwise(
    shop: Scenario,
) -> None:
    plan = shop.plan(guarding())
    pull(shop, everything=True)
    assert shop.apply(plan).state == "applying"
    assert left(shop) == RECORDS
    release(shop)
    pull(shop)
    assert shop.advance(plan.id).state == "succeeded"
    assert left(shop) == 0


def test_a_brake_for_its_own_policy_stops_a_security_job(shop: Scenario) -> None:
    pull(shop, "guarding")
    assert shop.run_through(guarding()).state == "applying"
    assert left(shop) == RECORDS


def test_pulling_again_says_who_and_why_anew_and_never_narrows(shop: Scenario) -> None:
    pull(shop, everything=True)
    pull(shop)
    assert shop.run_through(guarding()).state == "applying"
    with shop.engine.database.transaction() as session:
        assert len(session.scalars(select(Brake)).all()) == 1


def test_nothing_is_destroyed_or_mirrored_under_the_brake(shop: Scenario) -> None:
    run = shop.run_through(purge())
    shop.shop.auditlogs.delete_many({})
    with shop.engine.database.transaction() as session:
        found = session.get_one(Run, run.id)
        found.mirrored_at, found.expires_at = None, NOW - timedelta(days=9)
    pull(shop)
    shop.advance(run.id)
    assert shop.run(run.id).key is not None
    assert shop.shop.auditlogs.count_documents({}) == 0
    release(shop)
    shop.advance(run.id)
    assert shop.run(run.id).key is None
    shop.advance(run.id)
    assert shop.shop.auditlogs.count_documents({}) == 1


def test_a_run_that_the_brake_stopped_can_be_cancelled(shop: Scenario) -> None:
    plan = shop.plan(purge())
    with in_the_second_batch(lambda: pull(shop)):
        shop.apply(plan)
    operations.cancel(shop.engine, plan.id, TESTER)
    assert shop.run(plan.id).state == "cancelled"
    assert shop.chunks(plan.id)[0].state == "stopped"
    assert left(shop) == RECORDS - 20


def test_each_pull_and_release_is_an_entry(shop: Scenario) -> None:
    pull(shop, "under-test")
    pull(shop, everything=True)
    release(shop, everything=True)
    with shop.engine.database.transaction() as session:
        entries = session.scalars(select(Entry).where(Entry.action.like("brake%"))).all()
        assert session.scalars(select(Brake)).all() == []
    found = [(entry.action, entry.policy, json.loads(entry.body)["detail"]) for entry in entries]
    assert found == [
        ("brake_pulled", "under-test", {"reason": "a test", "everything": False}),
        ("brake_pulled", None, {"reason": "a test", "everything": True}),
        ("brake_released", None, {"reason": "a test", "pulled_by": "tester"}),
        ("brake_released", "under-test", {"reason": "a test", "pulled_by": "tester"}),
    ]


def test_a_brake_that_is_not_pulled_cannot_be_released(shop: Scenario) -> None:
    pull(shop, "under-test")
    with pytest.raises(UsageError, match="No brake is pulled for all policies"):
        release(shop)
    with pytest.raises(UsageError, match="No brake is pulled for policy another"):
        release(shop, "another")
