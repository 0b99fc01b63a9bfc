"""The control database: one engine, short transactions, its own clock.

SQLite means one host. SQLAlchemy's defaults lose updates there, and a plain BEGIN starves
writers, so every transaction begins IMMEDIATE (measured, see DESIGN.md).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Connection,
    CursorResult,
    Engine,
    Select,
    UpdateBase,
    create_engine,
    event,
    func,
    select,
)
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker

from worker.audit import writers
from worker.audit.writers import Writers
from worker.errors import DatabaseNotMigrated, DatabaseUnreachable

LARGEST_ID = 2**31 - 1
"""Of a row; PostgreSQL cannot even be asked for a larger one."""
BUSY_SECONDS = 15
"""So long a transaction waits for another one of SQLite's."""
POOL_SECONDS = 5
"""A thread that finds every connection in use gives up before its claim's lease ends."""
_CLOCK: Select[datetime] = select(func.clock_timestamp())


class Database:
    """The one way to the control database; safe to share between threads."""

    def __init__(
        self, url: str, revision: str | None = None, busy_seconds: float | None = None
    ) -> None:
        self.engine = _engine(url, BUSY_SECONDS if busy_seconds is None else busy_seconds)
        self._writers = Writers()
        said = {"revision": revision, "writers": self._writers}
        self._sessions = sessionmaker(self.engine, expire_on_commit=False, info=said)
        relaxed = self.engine.execution_options(durable=False)
        reading = self.engine.execution_options(reading=True)
        self._reading_sessions = sessionmaker(reading, expire_on_commit=False)
        self._relaxed_sessions = sessionmaker(relaxed, expire_on_commit=False, info=said)
        for sessions in (self._sessions, self._relaxed_sessions):
            event.listen(sessions, "after_soft_rollback", writers.retire)

    @property
    def dialect(self) -> str:
        return self.engine.dialect.name

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[Session]:
        """One transaction: committed at the end, rolled back on any error.

        One that is not durable commits without waiting for the disk: it outlives every process,
        but a power failure may take it back until the next durable one. It is for what can be
        known again elsewhere. Raises `DatabaseUnreachable` when the database does not answer.
        """
        sessions = self._sessions if durable else self._relaxed_sessions
        with self._answering(), sessions.begin() as session:
            yield session
        self._writers.give_back(session)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """One transaction that only reads: no writer of SQLite waits for it, nor it for one.

        Raises `DatabaseUnreachable` when the database does not answer.
        """
        with self._answering(), self._reading_sessions.begin() as session:
            yield session

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except OperationalError as error:
            if "no such table" in str(error.orig):
                raise DatabaseNotMigrated(
                    "The control database lacks a table; run `tend migrate`."
                ) from error
            raise _unreachable(self.engine) from error
        except PoolTimeout as error:
            raise DatabaseUnreachable(
                "Every connection of this process to the control database is in use; let the "
                "process have fewer --threads."
            ) from error
        except DBAPIError as error:
            if error.connection_invalidated:
                raise _unreachable(self.engine) from error
            raise

    def close(self) -> None:
        self.engine.dispose()


def revision(session: Session) -> str | None:
    """TEND_REVISION of this process: entries and runs say which code and policies made them."""
    found: str | None = session.info.get("revision")
    return found


def now(session: Session) -> datetime:
    """The control database's own clock, in UTC: leases of every host are measured by it.

    SQLite's is that of its only host, read once the transaction has its turn.
    """
    if session.connection().dialect.name == "sqlite":
        moment = datetime.now(UTC)
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    return session.execute(_CLOCK).scalar_one().astimezone(UTC)


def rows_changed(session: Session, statement: UpdateBase) -> int:
    """Execute a compare-and-set and say how many rows it found as expected."""
    result = session.execute(statement)
    if not isinstance(result, CursorResult):
        raise TypeError("only a statement that changes rows has a row count")
    return int(result.rowcount)


def _unreachable(engine: Engine) -> DatabaseUnreachable:
    where = engine.url.render_as_string(hide_password=True)
    return DatabaseUnreachable(
        f"The control database {where} does not answer; check TEND_DATABASE_URL and the server."
    )


def _engine(url: str, busy_seconds: float) -> Engine:
    if not url.startswith("sqlite"):
        engine = create_engine(
            url,
            pool_pre_ping=True,
            pool_size=5,
            max_overflow=10,
            pool_timeout=POOL_SECONDS,
            hide_parameters=True,
        )

        @event.listens_for(engine, "begin")
        def _relax(connection: Connection) -> None:
            if connection.get_execution_options().get("reading"):
                connection.exec_driver_sql("SET TRANSACTION READ ONLY")
            if not _is_durable(connection):
                connection.exec_driver_sql("SET LOCAL synchronous_commit TO off")

        return engine
    engine = create_engine(url, connect_args={"timeout": busy_seconds}, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if connection.get_execution_options().get("reading"):
            _set(connection, "query_only", "ON")
            connection.exec_driver_sql("BEGIN")
            return
        _set(connection, "query_only", "OFF")
        _set(connection, "synchronous", "FULL" if _is_durable(connection) else "NORMAL")
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _set(connection: Connection, pragma: str, value: str) -> None:
    """Most transactions find their connection as the one before them left it."""
    if connection.info.get(pragma) != value:
        connection.exec_driver_sql(f"PRAGMA {pragma}={value}")
        connection.info[pragma] = value


def _is_durable(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get("durable", True))
