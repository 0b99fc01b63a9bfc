"""The audit log: appends beside a hash chain under one lock, and how long verifying takes."""

import hashlib
import multiprocessing
import time
from datetime import datetime
from pathlib import Path
from statistics import median

from sqlalchemy import insert, text

from benchmarks.rounds import ratios, told
from demo.servers import postgres
from worker import database as control_database
from worker import identity, migrate
from worker.audit import entries, verify
from worker.audit.sequencer import Sequencer
from worker.audit.signing import Signer
from worker.audit.writers import Writer
from worker.database import Database
from worker.tables import Entry, Unsequenced

WRITERS, HELD_SECONDS, SECONDS = 8, 0.02, 6.0
NEW = 10_000
_ACTOR = identity.service("worker")
_KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


def measure(folder: Path, count: int, rounds: int) -> None:
    """Appends by eight processes on PostgreSQL, then a log of `count` entries."""
    with postgres(folder) as server:
        rates: dict[str, list[float]] = {"log": [], "chain": []}
        for number in range(rounds):
            for kind, of_kind in rates.items():
                of_kind.append(_appended(server.create_database(f"{kind}{number}"), kind))
        print(f"{WRITERS} writers that hold each transaction for {HELD_SECONDS * 1000:.0f} ms")
        for kind, of_kind in rates.items():
            print(f"{kind:6} {told(of_kind, 'appends/s', 0)}")
        speed = told(ratios(rates["log"], rates["chain"]), "")
        print(f"log against chain {speed}: at least 5 is wanted, and 300 appends/s")
        _verified(server.create_database("verified"), count)


def _appended(url: str, kind: str) -> float:
    """Appends a second."""
    database = Database(url)
    migrate.upgrade(database)
    with database.transaction() as session:
        session.execute(text("CREATE TABLE chain (id serial PRIMARY KEY, hash text)"))
    begin = multiprocessing.Barrier(WRITERS + 1)
    done: multiprocessing.Queue[int] = multiprocessing.Queue()
    writers = [
        multiprocessing.Process(target=_write, args=(url, kind, begin, done))
        for _ in range(WRITERS)
    ]
    for writer in writers:
        writer.start()
    begin.wait()
    sequencer, until = Sequencer(database, _signer()), time.monotonic() + SECONDS
    while time.monotonic() < until:
        if kind == "log":
            sequencer.sequence()
        time.sleep(0.2)
    total = sum(done.get() for _ in writers)
    for writer in writers:
        writer.join()
    database.close()
    return float(total / SECONDS)


def _write(url: str, kind: str, begin: object, done: object) -> None:
    database, written = Database(url), 0
    append = _into_log if kind == "log" else _into_chain
    append(database)
    begin.wait()  # type: ignore[attr-defined] # multiprocessing's types are made at run time
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        append(database)
        written += 1
    done.put(written)  # type: ignore[attr-defined] # the same
    database.close()


def _into_log(database: Database) -> None:
    with database.transaction() as session:
        entries.append(session, "policy_enabled", _ACTOR, policy="bench", detail={"n": 1})
        session.flush()
        time.sleep(HELD_SECONDS)


def _into_chain(database: Database) -> None:
    """What a log with a hash chain does: whoever appends must know the last hash."""
    with database.transaction() as session:
        session.execute(text("SELECT pg_advisory_xact_lock(1)"))
        last = session.scalar(text("SELECT hash FROM chain ORDER BY id DESC LIMIT 1"))
        digest = hashlib.sha256(str(last).encode()).hexdigest()
        session.execute(text("INSERT INTO chain (hash) VALUES (:hash)"), {"hash": digest})
        time.sleep(HELD_SECONDS)


def _verified(url: str, count: int) -> None:
    database = Database(url)
    migrate.upgrade(database)
    _fill(database, count)
    seconds = [_timed(database, full=True)]
    print(
        f"verifying {count:,} entries: {median(seconds):.1f} s; under 60 s is wanted of 1,000,000"
    )
    _fill(database, NEW)
    print(f"{NEW:,} new ones: {_timed(database, full=False):.2f} s; under 1 s is wanted")
    database.close()


def _fill(database: Database, count: int) -> None:
    """Entries as `entries.append` writes them, many at once."""
    sequencer, writer = Sequencer(database, _signer()), Writer()
    for begin in range(0, count, 2_000):
        with database.transaction() as session:
            moment = control_database.now(session)
            rows = [_row(writer, moment, begin + each) for each in range(min(2_000, count - begin))]
            made = session.scalars(insert(Entry).returning(Entry.id), rows)
            session.execute(insert(Unsequenced), [{"entry_id": each} for each in made])
        sequencer.sequence()


def _row(writer: Writer, moment: datetime, number: int) -> dict[str, object]:
    said = {
        "v": 1,
        "writer": writer.name,
        "sequence": writer.number(),
        "at": entries.stamp(moment),
        "action": "policy_enabled",
        "actor": _ACTOR.name,
        "actor_proof": _ACTOR.proof,
        "policy": "bench",
        "detail": {"n": number},
        **dict.fromkeys(("actor_token", "on_behalf_of", "run", "policy_version", "revision")),
        **dict.fromkeys(("environment", "trigger")),
    }
    body = entries.canonical(said)
    return {
        "at": moment,
        "action": "policy_enabled",
        "policy": "bench",
        "actor": _ACTOR.name,
        "body": body,
        "leaf_hash": entries.leaf_hash(body),
    }


def _timed(database: Database, *, full: bool) -> float:
    begin = time.monotonic()
    report = verify.verify(database, _signer(), full=full)
    seconds = time.monotonic() - begin
    if report.faults:
        raise SystemExit(f"the log does not verify: {report.findings[0].says}")
    verify.remember(database, report)
    return seconds


def _signer() -> Signer:
    return Signer.of("bench", _KEY)
