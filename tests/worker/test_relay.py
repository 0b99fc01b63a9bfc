"""The relay: every doorbell is rung at least once, and forgotten only then."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from dramatiq.brokers.redis import RedisBroker
from sqlalchemy import func, select

from tests.worker.scenario import sessions
from worker import database, identity, queue, runs
from worker.database import Database
from worker.errors import QueueUnreachable
from worker.relay import BATCH, relay
from worker.runs import Request
from worker.tables import Doorbell, Run

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture
def run_id(control: Database) -> int:
    """A run to ring for, whose own doorbell was rung long ago."""
    request = Request(
        sessions(), "test", "manual", identity.claimed(), "a test", apply_after_plan=True
    )
    with control.transaction() as session:
        run = runs.create(session, request)
        session.flush()
        session.delete(session.scalars(select(Doorbell)).one())
        return run.id


@pytest.fixture
def broker(redis_url: str) -> Iterator[RedisBroker]:
    broker = queue.connect(redis_url)
    yield broker
    broker.close()


def owe(control: Database, run_id: int, due_at: datetime, rings: int = 1) -> None:
    with control.transaction() as session:
        runs.ring(session, session.get_one(Run, run_id), due_at, rings)


def owed(control: Database) -> int:
    with control.transaction() as session:
        return session.scalar(select(func.count()).select_from(Doorbell)) or 0


def test_a_doorbell_that_is_due_is_rung_once_and_forgotten(control: Database, run_id: int) -> None:
    owe(control, run_id, NOON)
    heard: list[int] = []
    assert relay(control, heard.append, NOON) == 1
    assert relay(control, heard.append, NOON) == 0
    assert heard == [run_id]


def test_a_doorbell_is_not_rung_before_its_time(control: Database, run_id: int) -> None:
    owe(control, run_id, NOON)
    heard: list[int] = []
    assert relay(control, heard.append, NOON - SECOND) == 0
    assert (heard, owed(control)) == ([], 1)


def test_a_doorbell_rings_as_often_as_it_is_owed(control: Database, run_id: int) -> None:
    owe(control, run_id, NOON, rings=3)
    heard: list[int] = []
    assert relay(control, heard.append, NOON) == 1
    assert heard == [run_id] * 3


def test_more_doorbells_than_one_batch_are_all_rung(control: Database, run_id: int) -> None:
    for number in range(BATCH + 1):
        owe(control, run_id, NOON - number * SECOND)
    heard: list[int] = []
    assert relay(control, heard.append, NOON) == BATCH + 1
    assert (len(heard), owed(control)) == (BATCH + 1, 0)


def test_what_was_not_rung_when_the_queue_failed_stays_owed(control: Database, run_id: int) -> None:
    for number in range(3):
        owe(control, run_id, NOON + number * SECOND)
    heard: list[int] = []

    def fails_at_the_second(run: int) -> None:
        if heard:
            raise QueueUnreachable("Redis does not answer.")
        heard.append(run)

    with pytest.raises(QueueUnreachable):
        relay(control, fails_at_the_second, NOON + 3 * SECOND)
    assert owed(control) == 2
    assert relay(control, heard.append, NOON + 3 * SECOND) == 2


def test_a_crash_between_ring_and_commit_rings_again(control: Database, run_id: int) -> None:
    owe(control, run_id, NOON)
    heard: list[int] = []

    def dies(run: int) -> None:
        heard.append(run)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        relay(control, dies, NOON)
    relay(control, heard.append, NOON)
    assert heard == [run_id, run_id]


def test_rings_arrive_in_redis(control: Database, run_id: int, broker: RedisBroker) -> None:
    owe(control, run_id, NOON, rings=2)
    relay(control, partial(queue.ring, broker), NOON)
    assert (queue.depth(broker), owed(control)) == (2, 0)


def test_without_redis_everything_stays_owed(control: Database, run_id: int) -> None:
    owe(control, run_id, NOON)
    nowhere = queue.connect("redis://127.0.0.1:1/0")
    with pytest.raises(QueueUnreachable):
        relay(control, partial(queue.ring, nowhere), NOON)
    assert owed(control) == 1


def test_a_run_without_delay_is_due_at_once(control: Database) -> None:
    request = Request(
        sessions(), "test", "manual", identity.claimed(), "a test", apply_after_plan=True
    )
    with control.transaction() as session:
        run = runs.create(session, request)
    with control.transaction() as session:
        moment = database.now(session)
    heard: list[int] = []
    relay(control, heard.append, moment)
    assert heard == [run.id]
