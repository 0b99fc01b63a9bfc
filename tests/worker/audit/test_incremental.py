"""What a verification reads that begins where the last one ended."""

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, event, update

from tests.worker.audit import attacks
from tests.worker.audit.attacks import MALLORY
from tests.worker.audit.keeping import SIGNER, sequence, write
from worker.audit import checkpoints, verify
from worker.audit.checkpoints import Head
from worker.audit.dating import TrustedTimes
from worker.audit.findings import Report
from worker.database import Database
from worker.tables import Entry, Position, Table

VERIFIED, NEW = 600, 20
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Database]:
    with closing(_log(tmp_path / "log.sqlite", VERIFIED)) as database:
        yield database


def _log(path: Path, verified: int) -> Database:
    """So many entries that were verified, under a checkpoint each hundred, and 20 new ones."""
    database = Database(f"sqlite:///{path}")
    Table.metadata.create_all(database.engine)
    for _ in range(verified // 100):
        write(database, 100, "run_succeeded")
        sequence(database)
    verify.remember(database, _verified(database, full=True))
    write(database, NEW, "run_succeeded")
    sequence(database)
    return database


def _verified(database: Database, *, full: bool = False) -> Report:
    return verify.verify(database, SIGNER, full=full)


@contextmanager
def _read() -> Iterator[list[tuple[str, Any]]]:
    """Every question that is asked meanwhile, with its parameters."""
    statements: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, asked: Any, *_rest: Any) -> None:
        if statement.startswith("SELECT"):
            statements.append((statement, asked))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def test_it_takes_as_many_rows_whatever_was_verified_before(tmp_path: Path) -> None:
    rows = []
    for number in (300, 2_300):
        with closing(_log(tmp_path / f"{number}.sqlite", number)) as database:
            with _read() as statements:
                report = _verified(database)
            assert (report.findings, report.entries, report.verified_from) == ([], NEW, number)
            with database.engine.connect() as connection:
                found = [connection.exec_driver_sql(*each).all() for each in statements]
        rows.append(sum(map(len, found)))
    assert rows[0] > NEW
    assert rows[1] < rows[0] + 600  # of each level at most 255 hashes are asked for


def test_of_what_was_verified_before_it_walks_over_keys_alone(log: Database) -> None:
    with _read() as statements:
        assert _verified(log).findings == []
    with log.engine.connect() as connection:
        plans = [
            step.detail
            for statement, asked in statements
            for step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", asked)
        ]
    walks = [each for each in plans if re.match(r"SCAN (entries|entry_positions)\b", each)]
    assert len(walks) == 1
    assert "USING COVERING INDEX" in walks[0]


def test_an_entry_without_a_position_is_found_though_its_id_is_an_old_one(log: Database) -> None:
    with log.transaction() as session:
        attacks.insert(session, hours=0, waits=False)
        session.execute(update(Entry).where(Entry.id == VERIFIED + NEW + 1).values(id=0))
        session.execute(delete(Position).where(Position.position == 7))
    report = _verified(log)
    assert report.verified_from == VERIFIED
    assert [each.says for each in report.findings[:2]] == [
        f"Entry {entry} has no position and waits for none: it was not written by Tend."
        for entry in (0, 8)
    ]


def test_ids_that_are_missing_since_are_told_and_those_of_before_with_full(log: Database) -> None:
    for gone in (5, VERIFIED + 1, VERIFIED + 3, VERIFIED + NEW):
        with log.transaction() as session:
            session.execute(delete(Entry).where(Entry.id == gone))
    since = "601 to 601, 603 to 603, 620 to 620: "
    assert (
        _verified(log)
        .notes[0]
        .startswith(f"3 ids of entries are missing, the first of them {since}")
    )
    assert (
        _verified(log, full=True)
        .notes[0]
        .startswith(f"4 ids of entries are missing, the first of them 5 to 5, {since}")
    )


@given(sizes=st.lists(st.integers(0, 40), min_size=1, max_size=8).map(sorted), data=st.data())
def test_a_position_is_dated_by_the_last_checkpoint_before_it_that_is_ours(
    sizes: list[int], data: st.DataObject
) -> None:
    positions = data.draw(st.lists(st.integers(0, 50), min_size=1, max_size=8))
    ours = data.draw(st.lists(st.booleans(), min_size=len(sizes), max_size=len(sizes)))
    made = [(size, BEGIN + timedelta(hours=each)) for each, size in enumerate(sizes)]
    with closing(Database("sqlite://")) as database:
        Table.metadata.create_all(database.engine)
        with database.transaction() as session:
            for (size, at), is_ours in zip(made, ours, strict=True):
                head = Head("tend/test/1", size, bytes(32), at)
                session.add(checkpoints.signed(head, SIGNER if is_ours else MALLORY))
            session.flush()
            times = TrustedTimes(session, SIGNER, positions[0])
            for position in positions:
                before = [
                    at
                    for (size, at), is_ours in zip(made, ours, strict=True)
                    if is_ours and size <= position
                ]
                assert times.before(position) == (before[-1] if before else None)
