"""Each writer's entries are numbered from 1 without gaps, whatever becomes of transactions."""

import json
import os
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress

import pytest
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from tests.worker.audit.keeping import SIGNER, add, ids, sequence, write
from worker.audit import verify
from worker.audit.writers import Writers
from worker.database import Database
from worker.tables import Entry, Unsequenced


@pytest.fixture
def control(migrated_sqlite_url: str) -> Iterator[Database]:
    database = Database(migrated_sqlite_url)
    yield database
    database.close()


def numbers(database: Database) -> dict[str, list[int]]:
    """By writer, its numbers in the order of the entries."""
    found: dict[str, list[int]] = defaultdict(list)
    with database.transaction() as session:
        for body in session.scalars(select(Entry.body).order_by(Entry.id)):
            said = json.loads(body)
            found[said["writer"]].append(said["sequence"])
    return found


def test_transactions_one_after_the_other_have_one_writer(control: Database) -> None:
    for number in (1, 3, 2):
        write(control, number)
    assert list(numbers(control).values()) == [[1, 2, 3, 4, 5, 6]]


def test_after_a_rollback_what_follows_has_another_writer_and_no_gap(control: Database) -> None:
    write(control, 2)
    with suppress(InterruptedError), control.transaction() as session:
        add(session, 3)
        session.flush()
        raise InterruptedError
    write(control, 2)
    assert list(numbers(control).values()) == [[1, 2], [1, 2]]


def test_after_a_savepoint_was_rolled_back_too(control: Database) -> None:
    with control.transaction() as session:
        add(session)
        with suppress(InterruptedError), session.begin_nested():
            add(session)
            session.flush()
            raise InterruptedError
        add(session, 2)
    write(control)
    assert list(numbers(control).values()) == [[1], [1, 2, 3]]


def test_threads_do_not_share_a_writer_at_the_same_time(control: Database) -> None:
    def work() -> None:
        for _ in range(5):
            write(control, 2)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = numbers(control)
    assert sum(map(len, found.values())) == 40
    assert all(each == list(range(1, len(each) + 1)) for each in found.values())


def test_a_fork_has_writers_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    parents = Writers()
    free = parents.take()
    with Session(info={"writer": free}) as session:
        parents.give_back(session)
    monkeypatch.setattr(os, "getpid", lambda: 1)
    assert parents.take() is not free


def test_an_entry_that_went_before_it_had_a_position_is_missed(control: Database) -> None:
    write(control, 5)
    third = ids(control)[2]
    with control.transaction() as session:
        session.execute(delete(Entry).where(Entry.id == third))
        session.execute(delete(Unsequenced).where(Unsequenced.entry_id == third))
    sequence(control)
    report = verify.verify(control, SIGNER)
    assert (report.integrity, report.completeness) == (0, 1)
    assert report.findings[0].says.startswith("1 entries are missing among the 5 of writer")


def test_an_entry_that_is_gone_and_was_to_get_a_position_is_missed(control: Database) -> None:
    write(control, 5)
    last = ids(control)[-1]
    with control.transaction() as session:
        session.execute(delete(Entry).where(Entry.id == last))
    sequence(control)
    (found,) = verify.verify(control, SIGNER).findings
    assert (found.verdict, found.entry) == ("completeness", last)
    assert "went before it had a position" in found.says
