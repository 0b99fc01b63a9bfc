"""Change windows: a run plans at any time, changes within its window, and goes on by itself."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from tests.faults.sales import look
from tests.worker.between_batches import in_the_second_batch
from tests.worker.scenario import TESTER, Scenario, negative_values, old, purge
from worker import braking, claims, database, operations, runs, stops, waiting
from worker.reconciler import reconcile
from worker.tables import Doorbell

pytestmark = pytest.mark.sqlite_control

RECORDS = 60
NIGHT = "22:00-06:00 Europe/Berlin"
BEFORE = datetime.fromisoformat("2026-12-01T20:59:59+00:00")
INSIDE = datetime.fromisoformat("2026-12-01T21:00:00+00:00")
AFTER = datetime.fromisoformat("2026-12-02T05:00:00+00:00")
SetClock = Callable[[datetime], None]


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> SetClock:
    """Let the control database's clock show another time, and go on from there."""
    original = database.now
    ahead = [timedelta()]

    def now(session: Session) -> datetime:
        return original(session) + ahead[0]

    def set_to(moment: datetime) -> None:
        ahead[0] = moment - datetime.now(moment.tzinfo)

    monkeypatch.setattr(database, "now", now)
    return set_to


@pytest.fixture
def shop(scenario: Scenario) -> Scenario:
    scenario.shop.salesData.insert_many(
        [{"_id": number, "createdAt": old(3000), "quantity": -1} for number in range(RECORDS)]
    )
    return scenario


def requested(scenario: Scenario) -> int:
    """A run for workers; `look` is what a worker does when it is rung for."""
    return operations.request(
        scenario.engine.database,
        purge(window=NIGHT),
        "test",
        TESTER,
        apply_after_plan=True,
        inline=False,
        narrowing={},
    )


def waits_for(scenario: Scenario, run_id: int) -> str | None:
    with scenario.engine.database.transaction() as session:
        return waiting.waiting_for(session, runs.get(session, run_id))


def bells(scenario: Scenario, run_id: int) -> list[tuple[datetime, int]]:
    with scenario.engine.database.transaction() as session:
        found = session.scalars(select(Doorbell).where(Doorbell.run_id == run_id)).all()
    return [(bell.due_at, bell.rings) for bell in found]


def silence(scenario: Scenario) -> None:
    """What the relay does with bells that are due."""
    with scenario.engine.database.transaction() as session:
        session.execute(delete(Doorbell))


def left(scenario: Scenario) -> int:
    return scenario.shop.salesData.count_documents({})


def test_a_run_plans_before_its_window_waits_for_it_and_says_until_when(
    shop: Scenario, set_clock: SetClock
) -> None:
    set_clock(BEFORE - timedelta(hours=1))
    run_id = requested(shop)
    silence(shop)
    assert look(shop, run_id).planned == RECORDS
    assert (shop.run(run_id).state, left(shop)) == ("applying", RECORDS)
    assert waits_for(shop, run_id) == (
        "its window, which opens at 2026-12-01 21:00:00 UTC (2026-12-01 22:00 Europe/Berlin)"
    )
    set_clock(INSIDE)
    assert look(shop, run_id).state == "succeeded"
    assert left(shop) == 0


def test_a_run_is_rung_for_when_its_window_opens_and_not_before(
    shop: Scenario, set_clock: SetClock
) -> None:
    set_clock(BEFORE)
    run_id = requested(shop)
    look(shop, run_id)
    silence(shop)
    for _ in range(3):
        look(shop, run_id)
    assert bells(shop, run_id) == [(INSIDE, 2)]
    assert reconcile(shop.engine.database) == 0


def test_a_window_that_closes_in_the_middle_suspends_the_run_within_one_batch(
    shop: Scenario, set_clock: SetClock
) -> None:
    set_clock(INSIDE)
    run_id = requested(shop)
    silence(shop)
    with in_the_second_batch(lambda: set_clock(AFTER)):
        run = look(shop, run_id)
    assert (run.state, left(shop)) == ("applying", RECORDS - 20)
    chunks = shop.chunks(run_id)
    assert [chunk.state for chunk in chunks] == ["pending"] * 3
    assert {(chunk.rescues, chunk.retries) for chunk in chunks} == {(0, 0)}
    assert re.match("its window, which opens at 2026-12-02 21:00:00", waits_for(shop, run_id) or "")
    set_clock(AFTER + timedelta(hours=16))
    assert look(shop, run_id).state == "succeeded"
    assert left(shop) == 0


def test_an_undo_obeys_the_window_and_so_does_a_person_who_works_inline(
    shop: Scenario, set_clock: SetClock
) -> None:
    before = shop.contents("salesData")
    set_clock(AFTER)
    run = shop.run_through(purge(window=NIGHT))
    assert (run.state, left(shop)) == ("applying", RECORDS)
    set_clock(INSIDE)
    assert shop.advance(run.id).state == "succeeded"
    set_clock(AFTER)
    assert shop.undo(run).state == "undoing"
    assert left(shop) == 0
    set_clock(INSIDE + timedelta(days=1))
    assert shop.advance(run.id).state == "undone"
    assert shop.contents("salesData") == before


def test_a_run_that_waits_for_its_window_leaves_the_collection_to_others(
    shop: Scenario, set_clock: SetClock
) -> None:
    set_clock(AFTER)
    waiting_one = shop.run_through(purge(window=NIGHT))
    other = shop.run_through(negative_values(name="another"))
    assert (other.state, other.planned) == ("succeeded", RECORDS)
    again = shop.run_through(purge(window=NIGHT))
    assert (again.state, waiting_one.state) == ("queued", "applying")


def test_two_runs_that_meet_on_a_collection_take_turns_and_say_so(
    shop: Scenario, set_clock: SetClock
) -> None:
    set_clock(AFTER)
    first = shop.run_through(purge(window=NIGHT))
    other = shop.plan(negative_values(name="another"))
    shop.apply_later(other)
    engine = shop.engine
    claim = claims.claim(engine.database, other.id, "somebody", engine.actor)
    assert claim is not None
    set_clock(INSIDE)
    with engine.database.transaction() as session:
        chunk = shop.chunks(other.id)[0]
        session.add(chunk)
        chunk.lease_until = INSIDE + timedelta(minutes=5)
    assert claims.claim(engine.database, first.id, "me", engine.actor) is None
    assert waits_for(shop, first.id) == f"r-{other.id} (another), which is applying"
    claims.release(engine.database, claim, None, engine.actor)
    assert claims.claim(engine.database, first.id, "me", engine.actor) is not None
    assert claims.claim(engine.database, other.id, "somebody", engine.actor) is None


def test_a_brake_is_said_before_a_window(shop: Scenario, set_clock: SetClock) -> None:
    set_clock(AFTER)
    braking.pull(shop.engine.database, None, TESTER, everything=False)
    with shop.engine.database.transaction() as session:
        stop = stops.standing(session, purge(window=NIGHT))
    assert stop is not None
    assert stop.why.startswith("the brake")
    assert stop.until is None
