"""In PostgreSQL whoever works can add to the audit log, and not change it."""

import pytest
from sqlalchemy import create_engine, delete, select, text, update
from sqlalchemy.exc import ProgrammingError

from tests.worker.audit.keeping import SIGNER, ids, positions, sequence, write
from worker import revisions
from worker.audit import verify
from worker.database import Database
from worker.grants import control
from worker.heartbeat import Heartbeat
from worker.tables import Entry, Table, Unsequenced


def test_the_role_is_enough_to_work_and_to_verify(working: Database) -> None:
    revisions.require_current(working)
    Heartbeat(working, "worker").beat()
    write(working, 300, "run_succeeded")
    assert sequence(working) is not None
    assert positions(working) == list(enumerate(ids(working)))
    report = verify.verify(working, SIGNER)
    verify.remember(working, report)
    assert (report.findings, report.entries) == ([], 300)
    assert verify.verify(working, SIGNER).verified_from == 300


@pytest.mark.parametrize("name", control.APPENDED)
def test_what_the_log_consists_of_can_neither_be_updated_nor_deleted(
    working: Database, name: str
) -> None:
    write(working, 300, "run_succeeded")
    sequence(working)
    verify.remember(working, verify.verify(working, SIGNER))
    table = Table.metadata.tables[name]
    column = next(iter(table.columns))
    forbidden = (update(table).values({column: column}), delete(table), text(f"TRUNCATE {name}"))
    for statement in forbidden:
        with (
            pytest.raises(ProgrammingError, match="permission denied"),
            working.transaction() as session,
        ):
            session.execute(statement)
    with working.transaction() as session:
        assert session.execute(select(table)).first() is not None


def test_a_row_that_waits_can_be_taken_and_not_be_made_another(working: Database) -> None:
    write(working)
    with (
        pytest.raises(ProgrammingError, match="permission denied"),
        working.transaction() as session,
    ):
        session.execute(update(Unsequenced).values(entry_id=7))
    sequence(working)
    with working.transaction() as session:
        assert session.scalars(select(Unsequenced)).all() == []
        assert len(session.scalars(select(Entry)).all()) == 1


def test_the_tables_cannot_be_altered_by_whoever_works(working: Database) -> None:
    engine = create_engine(working.engine.url)
    with (
        pytest.raises(ProgrammingError, match="must be owner"),
        engine.begin() as connection,
    ):
        connection.execute(text("ALTER TABLE entries DISABLE TRIGGER ALL"))
    engine.dispose()
