"""A control database with a bit of everything in it, made by the real engine."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from pymongo.database import Database as Records
from sqlalchemy import update

from policies.models import Batch, Guards, Policy
from policies.subjects import Subjects
from tests.worker.scenario import Clock, Scenario
from worker import claims, identity, migrate, operations, runs
from worker.archive import ArchiveStore
from worker.database import Database, now
from worker.engine import Engine
from worker.keys import Keyring
from worker.operations import Person
from worker.registry import jobs
from worker.tables import Chunk
from worker.targets.mongo import MongoTarget

PERSON = Person(identity.Actor("ada@console", "claimed"), "ticket 4711")
POLICY = Policy(
    name="sessions",
    job="session_cleanup",
    description="Sessions go when they have expired or were ended.",
    options=jobs()["session_cleanup"].Options.model_validate({"collection": "sessions"}),
    guards=Guards(max_records=100, max_percent=100),
    batch=Batch(records=4),
    chunk=10,
    undo="7d",
)
REFUSING = POLICY.model_copy(
    update={"name": "careful", "guards": Guards(max_records=0, max_percent=0)}
)


@contextmanager
def engine_for(url: str, mongo_url: str, folder: Path) -> Iterator[Engine]:
    """An engine on a control database that it migrates."""
    database = Database(url)
    migrate.upgrade(database)
    target = MongoTarget(mongo_url)
    try:
        yield Engine(
            database=database,
            targets={"mongo": target},
            archive=ArchiveStore(str(folder / "archive")),
            keyring=Keyring(Fernet.generate_key().decode()),
            actor=identity.service("worker"),
            worker="test/1",
            subjects=Subjects({}),
            is_inline=True,
        )
    finally:
        target.close()
        database.close()


EXPIRED = datetime(2024, 3, 1, 12, 30, tzinfo=UTC)


def expired_session(number: int) -> dict[str, Any]:
    return {
        "sessionId": f"secret-session-{number:04}",
        "userId": f"person-{number:04}@example.com",
        "isActive": number % 2 == 0,
        "expiresAt": EXPIRED,
    }


def expired_sessions(records: Records[dict[str, Any]], number: int) -> None:
    """Put expired sessions there, with the people they belong to."""
    records["sessions"].create_index("expiresAt")
    records["sessions"].create_index("isActive")
    records["sessions"].insert_many([expired_session(each) for each in range(number)])


def make_history(engine: Engine, records: Records[dict[str, Any]]) -> None:
    """Runs that succeeded (r-1), were undone after a lost worker (r-2), were cancelled midway
    (r-3), refused (r-4) and skipped (r-5), and one that a worker holds a claim on now (r-6)."""
    operations.enable(engine.database, POLICY, PERSON)
    shop = Scenario(engine, records, Clock())
    expired_sessions(records, 25)
    shop.work_off(request(engine))
    expired_sessions(records, 12)
    _lose_a_worker_and_undo(shop, request(engine, apply=False))
    cancelled = _claimed(shop, request(engine, apply=False))
    operations.cancel(engine, cancelled.run_id, PERSON)
    shop.work_off(request(engine, REFUSING))
    with engine.database.transaction() as session:
        runs.create(session, wanted(POLICY, trigger="schedule"), skipped="the run before is busy")
    _claimed(shop, request(engine, apply=False))


def wanted(policy: Policy, *, trigger: str = "manual", apply: bool = True) -> runs.Request:
    return runs.Request(
        policy=policy,
        environment="test",
        trigger=trigger,
        actor=PERSON.actor,
        reason=PERSON.reason,
        apply_after_plan=apply,
        inline=True,
    )


def request(engine: Engine, policy: Policy = POLICY, *, apply: bool = True) -> int:
    with engine.database.transaction() as session:
        return runs.create(session, wanted(policy, apply=apply)).id


def _claimed(shop: Scenario, run_id: int) -> claims.Claim:
    """Plan, begin to apply, and claim the first chunk."""
    database = shop.engine.database
    shop.work_off(run_id)
    operations.apply(database, run_id, POLICY, PERSON, inline=True)
    claim = claims.claim(database, run_id, "test/2", shop.engine.actor)
    assert claim is not None
    return claim


def _lose_a_worker_and_undo(shop: Scenario, run_id: int) -> None:
    database = shop.engine.database
    lost = _claimed(shop, run_id)
    with database.transaction() as session:
        past = now(session) - timedelta(seconds=1)
        session.execute(update(Chunk).where(Chunk.run_id == lost.run_id).values(lease_until=past))
    shop.work_off(run_id)
    operations.undo(database, run_id, PERSON, inline=True)
    shop.work_off(run_id)
