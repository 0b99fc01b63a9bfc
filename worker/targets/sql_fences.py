"""The table of fences in the target database: one row per chunk, made when first needed."""

import functools
import hashlib
import json
import time

import structlog
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    MetaData,
    Table,
    Text,
    delete,
    inspect,
    not_,
    select,
    text,
    true,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from jobs.base import Outcomes
from worker.errors import TargetRefused
from worker.targets.base import ArchiveRef, BatchRecord
from worker.targets.sql_server import SqlServer, Transaction

log = structlog.get_logger()

SECONDS = 10
FENCES = Table(
    "tend_fences",
    MetaData(),
    Column("name", Text, primary_key=True),
    Column("attempt", BigInteger, nullable=False),
    Column("closed", Boolean, nullable=False),
    Column("cursor", BigInteger, nullable=False),
    Column("batches", Text, nullable=False),  # a line of JSON for each, so that one is appended
)
_END = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = :session"
)


class SqlFences:
    """The fences of one database, by name."""

    def __init__(self, server: SqlServer) -> None:
        self._server = server
        self._where = f"{server.name}, table {FENCES.name}"

    def take(self, name: str, attempt: int) -> tuple[BatchRecord, ...] | None:
        """Stand in the place of an older attempt; None if there is a newer one or an end."""
        older = (FENCES.c.attempt < attempt) & not_(FENCES.c.closed)
        return self._stand_in(name, {"attempt": attempt}, older)

    def committed(self, name: str) -> tuple[BatchRecord, ...]:
        with self._server.reading(self._where, SECONDS, primary=True) as transaction:
            if not inspect(transaction.connection).has_table(FENCES.name):
                return ()
            query = select(FENCES.c.batches).where(FENCES.c.name == name)
            batches = transaction.execute(query).scalar_one_or_none()
        return tuple(map(_batch, (batches or "").splitlines()))

    def close(self, name: str) -> tuple[BatchRecord, ...]:
        return self._stand_in(name, {"closed": True}, true()) or ()

    def forget(self, prefix: str) -> None:
        with self._server.writing(self._where, time.monotonic() + SECONDS) as transaction:
            if inspect(transaction.connection).has_table(FENCES.name):
                ours = FENCES.c.name.startswith(prefix, autoescape=True)
                transaction.execute(delete(FENCES).where(ours))

    def stands(self, transaction: Transaction, name: str, attempt: int, cursor: int) -> bool:
        """Write the fence before anything else, so that a newer attempt and this one collide."""
        ours = (FENCES.c.name == name) & (FENCES.c.attempt == attempt) & not_(FENCES.c.closed)
        statement = update(FENCES).where(ours, FENCES.c.cursor == cursor)
        return transaction.execute(statement.values(cursor=cursor)).rowcount == 1

    def record(self, transaction: Transaction, name: str, batch: BatchRecord) -> None:
        transaction.execute(
            update(FENCES)
            .where(FENCES.c.name == name)
            .values(cursor=batch.end, batches=FENCES.c.batches + _line(batch))
        )

    def _stand_in(
        self, name: str, values: dict[str, object], may: ColumnElement[bool]
    ) -> tuple[BatchRecord, ...] | None:
        ends = time.monotonic() + SECONDS
        with self._server.writing(self._where, ends) as transaction:
            self._make(transaction)
            query = select(FENCES.c.attempt, may.label("may")).where(FENCES.c.name == name)
            standing = transaction.execute(query).one_or_none()
        if standing is not None:
            # Who wakes late must not disturb its successor, nor wait for it.
            if not standing.may:
                return None
            self._end_session(session_name(name, standing.attempt), ends)
        insert = postgresql.insert if self._server.dialect == "postgresql" else sqlite.insert
        new = {"name": name, "attempt": 0, "closed": False, "cursor": 0, "batches": "", **values}
        statement = (
            insert(FENCES)
            .values(new)
            .on_conflict_do_update(index_elements=["name"], set_=values, where=may)
            .returning(FENCES.c.batches)
        )
        with self._server.writing(self._where, ends) as transaction:
            batches = transaction.execute(statement).scalar_one_or_none()
        return None if batches is None else tuple(map(_batch, batches.splitlines()))

    def _make(self, transaction: Transaction) -> None:
        if inspect(transaction.connection).has_table(FENCES.name):
            return
        if self._server.dialect == "postgresql":  # two that create it at once would collide
            transaction.execute(text("SELECT pg_advisory_xact_lock(hashtext('tend_fences'))"))
        FENCES.create(transaction.connection, checkfirst=True)

    def _end_session(self, session: str, ends: float) -> None:
        """A client killed in a long write leaves a server that goes on: end that session first."""
        if self._server.dialect != "postgresql":
            return
        try:
            with self._server.writing(self._where, ends) as transaction:
                transaction.execute(_END, [{"session": session}])
        except TargetRefused:
            _say_once(self._server.name)


def session_name(name: str, attempt: int) -> str:
    """The name under which PostgreSQL lists the session of an attempt: it cuts long ones."""
    return f"tend {hashlib.sha256(f'{name}#{attempt}'.encode()).hexdigest()[:40]}"


@functools.cache
def _say_once(where: str) -> None:
    log.warning(
        "a dead attempt's session cannot be ended; its locks end with its time",
        target=where,
        remedy="allow Tend's user pg_terminate_backend",
    )


def _line(record: BatchRecord) -> str:
    archive = record.archive
    return (
        json.dumps(
            [
                record.number,
                record.start,
                record.end,
                record.attempt,
                record.outcomes.counts,
                [archive.name, archive.sha256, archive.size],
            ]
        )
        + "\n"
    )


def _batch(line: str) -> BatchRecord:
    number, start, end, attempt, counts, archive = json.loads(line)
    return BatchRecord(number, start, end, attempt, Outcomes(*counts), ArchiveRef(*archive))
