import json
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database as Records
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from tests.worker.audit.history import PERSON, engine_for, make_history
from tests.worker.audit.keeping import SIGNER, sequence
from worker import claims
from worker.audit import entries, findings, verify
from worker.audit.findings import Report
from worker.audit.snapshot import Snapshot
from worker.database import Database
from worker.errors import DatabaseUnreachable
from worker.tables import Chunk, Entry, Run

Tamper = Callable[[Session], object]


def rewrite(entry: Entry, **fields: Any) -> None:
    """Forge an entry so well that its hash is right again."""
    body = {**json.loads(entry.body), **fields}
    entry.body = entries.canonical(body)
    entry.leaf_hash = entries.leaf_hash(entry.body)


def entry_of(session: Session, action: str, run: int = 1) -> Entry:
    found = select(Entry).where(Entry.action == action, Entry.run_id == run).order_by(Entry.id)
    return session.scalars(found.limit(1)).one()


def forge(action: str, run: int = 1, **detail: Any) -> Tamper:
    def tamper(session: Session) -> None:
        entry = entry_of(session, action, run)
        rewrite(entry, detail={**json.loads(entry.body)["detail"], **detail})

    return tamper


def drop(action: str, run: int = 1) -> Tamper:
    return lambda session: session.delete(entry_of(session, action, run))


def repeat(action: str) -> Tamper:
    def tamper(session: Session) -> None:
        old = entry_of(session, action)
        columns = ("at", "action", "run_id", "policy", "actor", "body", "leaf_hash")
        session.add(Entry(**{name: getattr(old, name) for name in columns}))

    return tamper


def set_row(table: type[Run | Chunk], run: int = 1, **columns: Any) -> Tamper:
    of_run = table.id if table is Run else Chunk.run_id
    return lambda session: session.execute(update(table).where(of_run == run).values(**columns))


def set_created(**columns: Any) -> Tamper:
    def tamper(session: Session) -> None:
        entry = entry_of(session, "run_created")
        for name, value in columns.items():
            setattr(entry, name, value)

    return tamper


def uncanonical(session: Session) -> None:
    entry = entry_of(session, "chunk_intent")
    entry.body = json.dumps(json.loads(entry.body)).encode()
    entry.leaf_hash = entries.leaf_hash(entry.body)


def new_body_without_its_hash(session: Session) -> None:
    entry = entry_of(session, "run_created")
    entry.body = entry.body.replace(b"4711", b"4712")


def other_archive(session: Session) -> None:
    chunk = session.get_one(Chunk, (1, "apply", 0))
    chunk.archives = [{**chunk.archives[0], "sha256": "0" * 64}, *chunk.archives[1:]]


def one_archive_more(session: Session) -> None:
    chunk = session.get_one(Chunk, (3, "apply", 0))
    chunk.archives = [*chunk.archives, {"name": "x", "sha256": "0" * 64}]


NONE = dict.fromkeys(("changed", "changed_since", "gone", "failed", "held", "uncertain"), 0)

TAMPERED: dict[str, tuple[Tamper, str]] = {
    "a body": (
        new_body_without_its_hash,
        r"Entry \d+ has a leaf hash that is not that of its body",
    ),
    "a hash": (set_created(leaf_hash="0" * 64), "leaf hash"),
    "spaces": (uncanonical, r"Entry \d+ has a body that is not canonical JSON"),
    "no JSON": (set_created(body=b"\xff{"), "not canonical JSON"),
    "NaN": (set_created(body=b'{"v":NaN}'), "not canonical JSON"),
    "nesting": (set_created(body=b"[" * 100_000), "not canonical JSON"),
    "version": (
        lambda session: rewrite(entry_of(session, "run_created"), v=2),
        "has a body that no entry of this version has, at v",
    ),
    "unknown field": (
        lambda session: rewrite(entry_of(session, "run_created"), more=1),
        "has a body that no entry of this version has, at more",
    ),
    "actor": (set_created(actor="mallory"), "another actor in its column"),
    "action": (set_created(action="run_skipped"), "another action in its column"),
    "policy": (set_created(policy="other"), "another policy in its column"),
    "time": (
        lambda session: session.execute(
            text("update entries set at = '2020-01-01 00:00:00.000000' where id = 2")
        ),
        "Entry 2 has another at in its column",
    ),
    "run": (set_created(run_id=4), "another run in its column"),
    "no run": (set_created(run_id=99), "Run r-99 has entries and is not there"),
    "every entry": (
        lambda session: session.execute(delete(Entry).where(Entry.run_id == 4)),
        "Run r-4 has no entry at all",
    ),
    "a move": (drop("run_verifying"), "moves its run on from verifying, which .* left applying"),
    "the last move": (drop("run_undone", 2), "r-2 is undone, and its entries left it undoing"),
    "the state": (set_row(Run, state="cancelled"), "r-1 is cancelled, .* left it succeeded"),
    "an intent": (drop("chunk_intent"), "has 0 intents of attempt 1 at chunk apply 0, where 1"),
    "two intents": (repeat("chunk_intent"), "has 2 intents of attempt 1 at chunk apply 0"),
    "an outcome": (drop("chunk_outcome"), "has 0 outcomes of attempt 1 at chunk apply 0"),
    "two outcomes": (repeat("chunk_outcome"), "has 2 outcomes of attempt 1 at chunk apply 0"),
    "a lost attempt": (
        lambda session: [drop(action, 2)(session) for action in ("chunk_intent", "chunk_outcome")],
        "has 0 intents of attempt 1 at chunk apply 0",
    ),
    "an attempt": (set_row(Chunk, attempt=3), "has 0 intents of attempt 3 at chunk apply 0"),
    "a claim after the end": (
        set_row(Chunk, 2, state="claimed"),
        "is past its chunk apply 0, which is claimed",
    ),
    "chunk": (forge("chunk_intent", chunk=9), "has entries of a chunk apply 9 that is not there"),
    "no counts": (forge("chunk_outcome", counts=None), "no chunk_outcome has, at counts"),
    "archive on record": (other_archive, "whose archives are not those of the chunk"),
    "one archive more": (one_archive_more, "chunk apply 0 with more archives than its last"),
    "archive in an entry": (
        forge("chunk_outcome", archives=[]),
        "chunk apply 0 with more archives than its last",
    ),
    "counts of a chunk": (set_row(Chunk, gone=1), "whose counts are not those of the chunk"),
    "counts of an outcome": (
        forge("chunk_outcome", counts=NONE),
        "r-1 succeeded with other counts than its outcomes add up to",
    ),
    "counts of a run": (
        forge("run_succeeded", counts=NONE),
        "r-1 succeeded with other counts than its chunks add up to",
    ),
    "garbled archives": (set_row(Chunk, archives=["x"]), "list of archives cannot be read"),
    "planned": (set_row(Run, planned=24), "has another planned than the entry of its plan"),
    "digest": (set_row(Run, digest="0" * 64), "has another digest than the entry of its plan"),
    "selector": (set_row(Run, selector={}), "another selector_digest than the entry of its plan"),
    "policy text": (set_row(Run, policy_text="{}"), "policy version is not the hash of"),
    "policy version": (set_row(Run, policy_version="0" * 64), "names another policy or version"),
}


def verified(database: Database) -> Report:
    return verify.verify(database, SIGNER)


def sentences(database: Database) -> list[str]:
    return [finding.says for finding in verified(database).findings]


@pytest.mark.parametrize(("tamper", "says"), TAMPERED.values(), ids=TAMPERED)
def test_what_was_altered_is_found(control: Database, tamper: Tamper, says: str) -> None:
    with control.transaction() as session:
        tamper(session)
    found = sentences(control)
    assert any(re.search(says, sentence) for sentence in found), found
    assert all(sentence.endswith(".") for sentence in found)


def test_an_untouched_history_has_nothing_off_and_one_claim_that_is_open(
    control: Database,
) -> None:
    report = verified(control)
    assert (report.faults, report.findings, report.notes) == (0, [], [])
    assert (report.runs, report.open_claims) == (6, 1)
    with control.transaction() as session:
        assert report.entries == len(session.scalars(select(Entry.id)).all())


def test_a_live_claim_is_open_and_an_ended_one_without_an_outcome_is_not(
    control: Database,
) -> None:
    assert verified(control).open_claims == 1
    with control.transaction() as session:
        set_row(Chunk, 6, state="pending")(session)
    report = verified(control)
    assert report.open_claims == 0
    assert "has 0 outcomes of attempt 1 at chunk apply 0" in report.findings[0].says


def test_a_chunk_may_be_stopped_after_its_outcome_with_what_its_fence_added(
    control: Database,
) -> None:
    with control.transaction() as session:
        one_archive_more(session)
        run, chunk = session.get_one(Run, 3), session.get_one(Chunk, (3, "apply", 0))
        chunk.changed = 4
        claims.record_outcome(session, run, chunk, PERSON.actor, "stopped")
    assert sentences(control) == []


@pytest.mark.parametrize("missing", [slice(0, 1), slice(4, 6), slice(-2, None)])
def test_missing_ids_are_a_note_and_on_sqlite_the_last_ones_too(
    control: Database, missing: slice
) -> None:
    with control.transaction() as session:
        ids = session.scalars(select(Entry.id).order_by(Entry.id)).all()[missing]
        session.execute(delete(Entry).where(Entry.id.in_(ids)))
    (note,) = verified(control).notes
    first = f"the first of them {ids[0]} to {ids[-1]}: SQLite takes an id back"
    assert note.startswith(f"{len(ids)} ids of entries are missing, {first}")


def test_a_transaction_that_was_rolled_back_is_no_gap_on_sqlite_and_a_note_on_postgresql(
    database_url: str,
) -> None:
    database = Database(database_url)
    for is_kept in (True, False, True):
        with suppress(InterruptedError), database.transaction() as session:
            entries.append(session, "policy_enabled", PERSON.actor, policy="a-test")
            session.flush()
            if not is_kept:
                raise InterruptedError
    report = verified(database)
    assert (report.entries, report.faults) == (2, 0)
    assert len(report.notes) == (database.dialect == "postgresql")
    database.close()


def test_only_the_first_thousand_findings_are_kept_and_all_are_counted(
    control: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(findings, "MAX_FINDINGS", 10)
    with control.transaction() as session:
        session.execute(update(Entry).values(leaf_hash="0" * 64))
    report = verified(control)
    assert (len(report.findings), report.faults) == (10, report.entries)


def test_verifying_waits_for_no_writer_and_makes_none_wait(control: Database) -> None:
    with control.transaction() as session:
        entries.append(session, "policy_enabled", PERSON.actor, policy="a-test")
        session.flush()
        before = verified(control)
    assert verified(control).entries == before.entries + 1


def test_a_snapshot_keeps_its_moment_and_cannot_write(database_url: str) -> None:
    database = Database(database_url)
    snapshot = Snapshot(database)
    count = select(func.count()).select_from(Entry)
    with snapshot.transaction() as seen:
        assert seen.scalar(count) == 0
        with database.transaction() as session:
            entries.append(session, "policy_enabled", PERSON.actor, policy="a-test")
        assert seen.scalar(count) == 0
    with pytest.raises((DBAPIError, DatabaseUnreachable)), snapshot.transaction() as seen:
        seen.execute(delete(Entry))
    with database.transaction() as session:
        assert session.scalar(count) == 1
    snapshot.close()
    database.close()


def test_a_real_history_on_postgresql_verifies_and_so_does_what_was_altered_in_it(
    postgres_url: str,
    mongo_url: str,
    mongo_database: Records[dict[str, Any]],
    tmp_path: Path,
) -> None:
    with engine_for(postgres_url, mongo_url, tmp_path) as engine:
        make_history(engine, mongo_database)
        sequence(engine.database)
        report = verified(engine.database)
        assert (report.findings, report.notes, report.open_claims) == ([], [], 1)
        with engine.database.transaction() as session:
            forge("run_succeeded", counts=NONE)(session)
        found = sentences(engine.database)
        assert any("succeeded with other counts" in sentence for sentence in found)
