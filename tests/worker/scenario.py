"""A small OrderNimbus with an engine beside it, and the few steps that every engine test takes."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bson.codec_options import CodecOptions, DatetimeConversion
from bson.raw_bson import RawBSONDocument
from pymongo.database import Database as MongoDatabase
from sqlalchemy import select, update

import policies
from policies.models import Policy
from policies.subjects import load_subjects
from worker import advance, identity, operations, runs
from worker.archive import ArchiveStore
from worker.audit.entries import canonical
from worker.claims import WORKING
from worker.database import Database, rows_changed
from worker.engine import Engine
from worker.identity import Actor
from worker.keys import Keyring
from worker.operations import Person
from worker.registry import frozen_policy
from worker.states import State
from worker.tables import Chunk, Entry, Run
from worker.targets.base import Target

RAW: CodecOptions[RawBSONDocument] = CodecOptions(
    RawBSONDocument, tz_aware=True, datetime_conversion=DatetimeConversion.DATETIME_AUTO
)
NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
TESTER = Person(Actor("tester", "token", account="tester@here"), "a test")
ANOTHER = Person(Actor("another", "token", account="another@there"), "a second pair of eyes")
TRIES = 10
"""How often a run may meet a fault that passes."""
AMPLE = {"max_records": 1_000_000, "max_percent": 100}
PATIENCE = 300.0
"""Seconds of one `advance`: on a slow machine a shift of ten does not see a run to its end."""


@dataclass
class Clock:
    """A clock that stands still until a test moves it."""

    moment: datetime = NOW

    def __call__(self) -> datetime:
        return self.moment


@dataclass
class Scenario:
    """An engine, its target as the application sees it, and shorthands for a person's wishes."""

    engine: Engine
    shop: MongoDatabase[dict[str, Any]]
    clock: Clock

    def request(self, policy: Policy, *, apply: bool = True, **narrowing: Any) -> int:
        return operations.request(
            self.engine.database,
            policy,
            "test",
            TESTER,
            apply_after_plan=apply,
            inline=True,
            narrowing=narrowing,
        )

    def advance(self, run_id: int) -> Run:
        advance.advance(self.engine, run_id, seconds=PATIENCE)
        return self.run(run_id)

    def work_off(self, run_id: int) -> Run:
        """The same past faults that pass, without the waits between two tries.

        A busy server may end a transaction at any time, and an engine that then tries again is
        no failure.
        """
        run = self.advance(run_id)
        for _ in range(TRIES):
            if not self._is_tried_again(run):
                break
            run = self.advance(run_id)
        return run

    def _is_tried_again(self, run: Run) -> bool:
        """Whether the run only waits for its next try; if so it waits no longer."""
        if run.state not in {State.VERIFYING, *WORKING.values()}:
            return False
        waits = update(Chunk).where(Chunk.run_id == run.id, Chunk.not_before.is_not(None))
        slowed = update(Run).where(Run.id == run.id, Run.throttled_until.is_not(None))
        with self.engine.database.transaction() as session:
            ended = rows_changed(session, waits.values(not_before=None))
            ended += rows_changed(session, slowed.values(throttled_until=None))
        return run.state == State.VERIFYING or ended > 0

    def run_through(self, policy: Policy, **narrowing: Any) -> Run:
        return self.work_off(self.request(policy, **narrowing))

    def plan(self, policy: Policy, **narrowing: Any) -> Run:
        return self.advance(self.request(policy, apply=False, **narrowing))

    def apply(self, run: Run) -> Run:
        self.apply_later(run)
        return self.work_off(run.id)

    def apply_later(self, run: Run) -> None:
        """A person says yes; the work is left to whoever looks at the run."""
        today = frozen_policy(run.policy_text)
        operations.apply(self.engine.database, run.id, today, TESTER, inline=True)

    def undo(self, run: Run) -> Run:
        self.undo_later(run)
        return self.work_off(run.id)

    def undo_later(self, run: Run) -> None:
        operations.undo(self.engine.database, run.id, TESTER, inline=True)

    def resume(self, run: Run) -> Run:
        self.reopen(run.id)
        return self.advance(run.id)

    def reopen(self, run_id: int) -> None:
        operations.resume(self.engine.database, run_id, TESTER, inline=True)

    def run(self, run_id: int) -> Run:
        with self.engine.database.transaction() as session:
            return runs.get(session, run_id)

    def chunks(self, run_id: int, direction: str = "apply") -> list[Chunk]:
        with self.engine.database.transaction() as session:
            return list(
                session.scalars(
                    select(Chunk)
                    .where(Chunk.run_id == run_id, Chunk.direction == direction)
                    .order_by(Chunk.number)
                )
            )

    def entries(self, run_id: int) -> list[Entry]:
        with self.engine.database.transaction() as session:
            return list(
                session.scalars(select(Entry).where(Entry.run_id == run_id).order_by(Entry.id))
            )

    def expire_leases(self) -> None:
        """What fifteen seconds without a sign of life do."""
        past = datetime(2000, 1, 1, tzinfo=UTC)
        with self.engine.database.transaction() as session:
            session.execute(update(Chunk).where(Chunk.state == "claimed").values(lease_until=past))
            session.execute(
                update(Run).where(Run.lease_until.is_not(None)).values(lease_until=past)
            )

    def contents(self, collection: str) -> dict[Any, bytes]:
        """Every record by its key, to the byte."""
        raw = self.shop.with_options(codec_options=RAW)[collection]
        return {record["_id"]: bytes(record.raw) for record in raw.find()}


def inline_engine(
    database: Database, targets: dict[str, Target], keyring: Keyring, folder: Path, clock: Clock
) -> Engine:
    return Engine(
        database=database,
        targets=targets,
        archive=ArchiveStore(f"file://{folder}/archive"),
        keyring=keyring,
        actor=identity.service("worker"),
        worker="this test",
        subjects=load_subjects([Path(policies.__path__[0])]),
        is_inline=True,
        clock=clock,
    )


def old(days: float) -> datetime:
    return NOW - timedelta(days=days)


def policy_text(**parts: Any) -> str:
    """The canonical text of a policy with ample guards; `parts` replace or add keys."""
    whole = {
        "name": "under-test",
        "description": "A policy of a test.",
        "guards": AMPLE,
        "batch": {"records": 10},
        "chunk": 25,
        "undo": "7d",
        **parts,
    }
    return canonical(whole).decode()


def purge(**parts: Any) -> Policy:
    """`salesData` older than 2555 days goes."""
    options = {
        "collection": "salesData",
        "select": {"older_than": {"field": "createdAt", "age": "2555d"}},
    }
    return frozen_policy(policy_text(job="retention_purge", options=options, **parts))


def sessions(**parts: Any) -> Policy:
    return frozen_policy(
        policy_text(job="session_cleanup", options={"collection": "sessions"}, **parts)
    )


def negative_values(**parts: Any) -> Policy:
    repairs = [{"field": name, "when": "negative", "set": 0} for name in ("quantity", "revenue")]
    options = {
        "collection": "salesData",
        "repairs": repairs,
        "unless": {"equals": {"field": "type", "value": "return"}},
    }
    return frozen_policy(policy_text(job="value_repair", options=options, **parts))


def text_dates(**parts: Any) -> Policy:
    repair = {"field": "date", "when": "text_date", "parse": ["%Y-%m-%d", "iso8601"]}
    options = {"collection": "salesData", "repairs": [repair]}
    return frozen_policy(policy_text(job="value_repair", options=options, **parts))
