"""Pausing: a run stops at its next batch, holds only its policy, and goes on where it stopped."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import select

from tests.worker.between_batches import in_the_second_batch
from tests.worker.scenario import (
    AMPLE,
    NOW,
    TESTER,
    Scenario,
    negative_values,
    old,
    purge,
)
from worker import advance, claims, operations, runs, waiting
from worker.errors import ArchiveExpired, ForbiddenArrow
from worker.firing import fire_due
from worker.states import State
from worker.tables import Run

RECORDS = 60


@pytest.fixture
def shop(scenario: Scenario) -> Scenario:
    scenario.shop.salesData.insert_many(
        [{"_id": number, "createdAt": old(3000), "quantity": -1} for number in range(RECORDS)]
    )
    return scenario


def pause(scenario: Scenario, run_id: int) -> None:
    operations.pause(scenario.engine.database, run_id, TESTER)


def paused_in_the_middle(scenario: Scenario, **parts: object) -> Run:
    """20 of 60 records are done, and no chunk is finished."""
    plan = scenario.plan(purge(**parts))
    with in_the_second_batch(lambda: pause(scenario, plan.id)):
        return scenario.apply(plan)


def waits_for(scenario: Scenario, run: Run) -> str:
    with scenario.engine.database.transaction() as session:
        return waiting.waiting_for(session, runs.get(session, run.id)) or "nothing"


def left(scenario: Scenario) -> int:
    return scenario.shop.salesData.count_documents({})


def test_a_run_pauses_within_one_batch_and_gives_its_chunk_back_untried(shop: Scenario) -> None:
    run = paused_in_the_middle(shop)
    assert (run.state, left(shop)) == ("paused", RECORDS - 20)
    chunks = shop.chunks(run.id)
    assert [chunk.state for chunk in chunks] == ["pending"] * 3
    assert {(chunk.rescues, chunk.retries) for chunk in chunks} == {(0, 0)}
    said = rf"`tend resume r-{run.id}`; paused by tester at [\d: -]+ UTC: a test"
    assert re.fullmatch(said, waits_for(shop, run))
    assert shop.advance(run.id).state == "paused"
    assert left(shop) == RECORDS - 20


def test_a_paused_run_is_resumed_where_it_stopped(shop: Scenario) -> None:
    run = shop.resume(paused_in_the_middle(shop))
    assert (run.state, left(shop)) == ("succeeded", 0)
    assert [chunk.attempt for chunk in shop.chunks(run.id)] == [2, 1, 1]
    with shop.engine.database.transaction() as session:
        assert claims.totals(session, run.id).changed == RECORDS


def test_the_next_run_of_the_policy_waits_for_a_paused_one_and_says_so(shop: Scenario) -> None:
    run = paused_in_the_middle(shop)
    behind = shop.run_through(purge())
    assert behind.state == "queued"
    assert waits_for(shop, behind) == f"r-{run.id} (under-test), which is paused"
    operations.cancel(shop.engine, run.id, TESTER)
    assert shop.advance(behind.id).state == "succeeded"
    assert left(shop) == 0


def test_another_policy_works_on_the_collection_meanwhile(shop: Scenario) -> None:
    run = paused_in_the_middle(shop)
    other = shop.run_through(negative_values(name="another"))
    assert (other.state, other.planned) == ("succeeded", RECORDS - 20)
    assert shop.resume(run).state == "succeeded"


def test_a_paused_run_is_not_resumed_while_another_policy_writes_there(shop: Scenario) -> None:
    run = paused_in_the_middle(shop)
    other = shop.plan(negative_values(name="another"))
    shop.apply_later(other)
    with pytest.raises(ForbiddenArrow, match=rf"r-{other.id} \(another\) is applying; wait"):
        shop.reopen(run.id)
    assert shop.run(run.id).state == "paused"


def test_a_due_time_is_skipped_while_a_run_of_the_policy_is_paused(shop: Scenario) -> None:
    policy = purge(schedule={"every": "1h"}, catchup="latest")
    plan = shop.plan(policy)
    with in_the_second_batch(lambda: pause(shop, plan.id)):
        shop.apply(plan)
    for hours in (0, 1):
        fire_due(shop.engine.database, [policy], "test", NOW + timedelta(hours=hours))
    with shop.engine.database.transaction() as session:
        skipped = session.scalars(select(Run).where(Run.state == State.SKIPPED)).one()
    assert skipped.refusal == f"r-{plan.id} is still paused"


def test_a_paused_run_can_be_taken_back(shop: Scenario) -> None:
    before = shop.contents("salesData")
    run = paused_in_the_middle(shop)
    assert shop.undo(run).state == "undone"
    assert shop.contents("salesData") == before


def test_an_undo_pauses_and_goes_on_and_ends_in_no_other_way(shop: Scenario) -> None:
    before = shop.contents("salesData")
    run = shop.run_through(purge())
    with in_the_second_batch(lambda: pause(shop, run.id)):
        paused = shop.undo(run)
    assert paused.state == "paused"
    assert 0 < left(shop) < RECORDS
    with pytest.raises(ForbiddenArrow, match="is paused in the middle of its undo"):
        operations.cancel(shop.engine, run.id, TESTER)
    with pytest.raises(ForbiddenArrow, match="is paused in the middle of its undo"):
        operations.undo(shop.engine.database, run.id, TESTER, inline=True)
    assert shop.resume(paused).state == "undone"
    assert shop.contents("salesData") == before


def test_an_undo_paused_before_its_fences_are_closed_closes_them_when_resumed(
    shop: Scenario,
) -> None:
    before = shop.contents("salesData")
    run = paused_in_the_middle(shop)
    operations.undo(shop.engine.database, run.id, TESTER, inline=True)
    pause(shop, run.id)
    assert shop.advance(run.id).phase == "settle"
    assert shop.resume(run).state == "undone"
    assert shop.contents("salesData") == before


def test_a_run_paused_in_its_last_batch_ends_when_it_is_resumed(shop: Scenario) -> None:
    plan = shop.plan(purge(batch={"records": 60}, chunk=60, guards=AMPLE))
    shop.apply_later(plan)
    original = claims.finish

    def finish(*args: object) -> None:
        pause(shop, plan.id)
        original(*args)  # type: ignore[arg-type] # passed on as they come

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(claims, "finish", finish)
        advance.advance(shop.engine, plan.id)
    run = shop.run(plan.id)
    assert (run.state, shop.chunks(run.id)[0].state) == ("paused", "done")
    assert shop.resume(run).state == "succeeded"


def test_a_run_paused_beyond_its_undo_time_cannot_be_resumed_but_ended(shop: Scenario) -> None:
    run = paused_in_the_middle(shop)
    with shop.engine.database.transaction() as session:
        session.get_one(Run, run.id).expires_at = NOW - timedelta(days=9)
    shop.advance(run.id)
    with pytest.raises(ArchiveExpired, match=f"end it with `tend cancel r-{run.id}`"):
        shop.reopen(run.id)
    operations.cancel(shop.engine, run.id, TESTER)
    assert (shop.run(run.id).state, left(shop)) == ("cancelled", RECORDS - 20)
