"""Which stores are due, and when each is tried again."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from jobs.pos_sync.condition import Condition, longest_wait
from jobs.pos_sync.failures import CLASSES, Kind, SyncFailed
from jobs.pos_sync.register import SOONEST, due, find, register, settle_failure
from jobs.pos_sync.stores import Store
from jobs.pos_sync.tables import PosStore
from tests.jobs.pos_sync.desk import NOW
from worker.database import Database

PAST, FUTURE = NOW - timedelta(minutes=1), NOW + timedelta(minutes=1)


@pytest.fixture
def session(migrated_sqlite_url: str) -> Iterator[Session]:
    database = Database(migrated_sqlite_url)
    with database.transaction() as found:
        register(found, [Store(f"sql/{one}", f"Camp {one}", "rest", "") for one in range(7)])
        found.flush()
        yield found
    database.close()


def arrange(session: Session) -> None:
    for key, condition, next_at, error in (
        ("sql/0", Condition.HEALTHY, None, None),
        ("sql/1", Condition.HEALTHY, PAST, None),
        ("sql/2", Condition.HEALTHY, FUTURE, None),
        ("sql/3", Condition.DEGRADED, PAST, Kind.TIMEOUT),
        ("sql/4", Condition.OFFLINE, FUTURE, Kind.TIMEOUT),
        ("sql/5", Condition.NEEDS_PERSON, PAST, Kind.REVOKED),
        ("sql/6", Condition.NEEDS_PERSON, PAST, Kind.SHRUNK),
    ):
        row = session.get_one(PosStore, key)
        row.condition, row.next_at, row.error = condition, next_at, error
    session.flush()


def test_the_schedule_has_the_stores_that_are_well_or_may_be_well_again(session: Session) -> None:
    arrange(session)
    assert [row.key for row in due(session, NOW, failed=False)] == ["sql/0", "sql/1", "sql/6"]


def test_recovery_has_those_that_failed_when_their_wait_is_over(session: Session) -> None:
    arrange(session)
    assert [row.key for row in due(session, NOW, failed=True)] == ["sql/3"]


def test_what_an_application_says_of_a_store_is_written_down_anew(session: Session) -> None:
    register(session, [Store("sql/1", "Renamed", "square", "https://pos.example.com")])
    (row,) = find(session, "Renamed")
    assert (row.key, row.provider, row.address) == ("sql/1", "square", "https://pos.example.com")


def test_a_store_is_found_by_its_id_its_key_and_its_name(session: Session) -> None:
    for name in ("sql/1", "1", "Camp 1"):
        assert [row.key for row in find(session, name)] == ["sql/1"]
    assert find(session, "Nobody") == []


@given(st.lists(st.sampled_from(list(Kind)), min_size=1, max_size=20), st.floats(0, 10**6))
def test_no_attempt_passes_the_next_sync_and_none_comes_before_it_was_asked_for(
    kinds: list[Kind], wait: float
) -> None:
    row = PosStore(key="sql/1", provider="rest", condition=Condition.HEALTHY, failures=0)
    for kind in kinds:
        settle_failure(row, SyncFailed(kind, "x", wait=wait), NOW, None)
        waits = longest_wait(Condition(row.condition), row.failures) is not None
        assert waits or row.condition == Condition.NEEDS_PERSON
        if row.next_at is not None:
            assert NOW + SOONEST <= row.next_at <= NOW + timedelta(hours=1)
            asked = NOW + timedelta(seconds=wait)
            assert not waits or row.next_at >= min(asked, NOW + timedelta(hours=1))
    assert row.error in {kind.value for kind in CLASSES}
