from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest
import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from tests.worker.audit.keeping import SIGNER, sequence, write
from worker import database as control_database
from worker.audit import nightly
from worker.database import Database
from worker.tables import Entry, Table, Verification

Shift = Callable[[timedelta], None]


@pytest.fixture
def control(sqlite_url: str) -> Iterator[Database]:
    database = Database(sqlite_url)
    Table.metadata.create_all(database.engine)
    write(database, 5, "run_succeeded")
    sequence(database)
    yield database
    database.close()


@pytest.fixture
def pass_on(monkeypatch: pytest.MonkeyPatch) -> Shift:
    """Lets the control database's clock go on."""
    clock, passed = control_database.now, [timedelta()]

    def now(session: Session) -> datetime:
        return clock(session) + passed[0]

    monkeypatch.setattr(control_database, "now", now)
    return lambda by: passed.__setitem__(0, passed[0] + by)


def test_every_night_the_whole_log_is_verified_once_however_many_schedulers_look(
    control: Database, pass_on: Shift
) -> None:
    looks = [nightly.verify_if_due(control, SIGNER, None)]
    for _ in range(2):
        pass_on(timedelta(days=1))
        looks += [nightly.verify_if_due(control, SIGNER, None) for _ in range(3)]
    assert [look is not None for look in looks] == [False, *[True, False, False] * 2]
    with control.transaction() as session:
        rows = session.scalars(select(Verification)).all()
        assert [(row.full, row.integrity, row.size) for row in rows] == [(True, 0, 5)] * 2


def test_what_is_off_is_an_error_in_the_log_and_on_record(
    control: Database, pass_on: Shift
) -> None:
    nightly.verify_if_due(control, SIGNER, None)
    with control.transaction() as session:
        session.execute(update(Entry).where(Entry.id == 3).values(actor="mallory"))
    pass_on(timedelta(days=1))
    with structlog.testing.capture_logs() as lines:
        nightly.verify_if_due(control, SIGNER, None)
    (line,) = [line for line in lines if line["log_level"] == "error"]
    assert line["event"] == "the audit log does not verify"
    assert (line["integrity"], line["completeness"]) == (1, 0)
    assert "Entry 3 has another actor in its column" in line["first"]
    with control.transaction() as session:
        row = session.scalars(select(Verification)).one()
        assert (row.integrity, row.note) == (1, None)
