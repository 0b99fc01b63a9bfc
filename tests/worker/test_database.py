"""The control database: no lost updates, aware times, clear errors."""

import threading
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import IntegrityError, StatementError

from worker import database
from worker.database import Database
from worker.errors import DatabaseUnreachable
from worker.tables import ScheduleCursor

NOON = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def with_cursor(control: Database) -> Database:
    with control.transaction() as session:
        session.add(ScheduleCursor(policy="a-policy", schedule="0", through=NOON))
    return control


def cursor(control: Database) -> ScheduleCursor:
    with control.transaction() as session:
        return session.scalars(select(ScheduleCursor)).one()


def test_writers_at_once_lose_no_update(with_cursor: Database) -> None:
    def count_to_25() -> None:
        for _ in range(25):
            with with_cursor.transaction() as session:
                row = session.get_one(ScheduleCursor, "a-policy", with_for_update=True)
                row.schedule = str(int(row.schedule) + 1)

    writers = [threading.Thread(target=count_to_25) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert cursor(with_cursor).schedule == "100"


def test_an_error_rolls_everything_back(with_cursor: Database) -> None:
    def half_way() -> None:
        with with_cursor.transaction() as session:
            session.execute(update(ScheduleCursor).values(schedule="changed"))
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        half_way()
    assert cursor(with_cursor).schedule == "0"


def test_a_broken_rule_is_not_mistaken_for_an_unreachable_database(with_cursor: Database) -> None:
    with pytest.raises(IntegrityError), with_cursor.transaction() as session:
        session.add(ScheduleCursor(policy="a-policy", schedule="1", through=NOON))


def test_a_time_comes_back_in_utc_whatever_zone_it_went_in_with(with_cursor: Database) -> None:
    east = timezone(timedelta(hours=9))
    with with_cursor.transaction() as session:
        session.execute(update(ScheduleCursor).values(through=NOON.astimezone(east)))
    through = cursor(with_cursor).through
    assert (through, through.tzinfo) == (NOON, UTC)


def test_times_of_different_zones_compare_as_moments(with_cursor: Database) -> None:
    east = timezone(timedelta(hours=9))
    with with_cursor.transaction() as session:
        later = (NOON - timedelta(hours=1)).astimezone(east)
        found = session.scalars(select(ScheduleCursor).where(ScheduleCursor.through > later))
        assert len(found.all()) == 1


def test_a_time_without_a_zone_is_refused(with_cursor: Database) -> None:
    naive = NOON.replace(tzinfo=None)
    with (
        pytest.raises(StatementError, match="a time without a zone cannot be stored"),
        with_cursor.transaction() as session,
    ):
        session.execute(update(ScheduleCursor).values(through=naive))


def test_the_clock_is_utc_and_goes_on_inside_a_transaction(control: Database) -> None:
    with control.transaction() as session:
        first = last = database.now(session)
        deadline = datetime.now(UTC) + timedelta(seconds=5)
        while last == first and datetime.now(UTC) < deadline:
            last = database.now(session)
    assert first.tzinfo is UTC
    assert first < last
    assert abs(last - datetime.now(UTC)) < timedelta(seconds=5)


def test_a_compare_and_set_says_how_many_rows_it_found(with_cursor: Database) -> None:
    arrow = update(ScheduleCursor).where(ScheduleCursor.schedule == "0").values(schedule="1")
    with with_cursor.transaction() as session:
        assert database.rows_changed(session, arrow) == 1
        assert database.rows_changed(session, arrow) == 0


def test_an_unreachable_server_is_named_without_its_password() -> None:
    nowhere = Database("postgresql+psycopg://tend:hunter2@127.0.0.1:1/tend")
    with pytest.raises(DatabaseUnreachable) as failure, nowhere.transaction() as session:
        database.now(session)
    assert "127.0.0.1:1" in str(failure.value)
    assert "hunter2" not in str(failure.value)


def test_a_file_that_cannot_be_opened_is_an_unreachable_database(tmp_path: Path) -> None:
    nowhere = Database(f"sqlite:///{tmp_path}/missing/control.sqlite")
    with pytest.raises(DatabaseUnreachable), nowhere.transaction() as session:
        database.now(session)


def test_a_transaction_waits_for_the_disk_unless_it_is_said_not_to(control: Database) -> None:
    asked = {"sqlite": "PRAGMA synchronous", "postgresql": "SHOW synchronous_commit"}
    said = []
    for durable in (True, False, True):
        with control.transaction(durable=durable) as session:
            said.append(session.scalar(text(asked[control.dialect])))
    safe, fast = {"sqlite": (2, 1), "postgresql": ("on", "off")}[control.dialect]
    assert said == [safe, fast, safe]


def test_a_process_whose_connections_are_all_in_use_says_so_and_goes_on_when_one_is_free(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.database.POOL_SECONDS", 0.1)
    with closing(Database(postgres_url)) as control:
        with ExitStack() as in_use:
            for _ in range(15):
                database.now(in_use.enter_context(control.transaction()))
            with (
                pytest.raises(DatabaseUnreachable, match=r"is in use; .* fewer --threads"),
                control.transaction() as session,
            ):
                database.now(session)
        with control.transaction() as session:
            assert database.now(session).tzinfo is not None
