"""Connections to a SQL database, and transactions on them that end in time.

PostgreSQL's settings are local to each transaction, so that nothing is left behind in a
connection which a pooler gives to somebody else. SQLite begins a write as IMMEDIATE.
"""

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import (
    URL,
    Connection,
    CursorResult,
    Engine,
    Executable,
    create_engine,
    event,
    make_url,
)
from sqlalchemy.exc import DBAPIError

from worker.errors import DeadlineExceeded, TargetError, TargetUnreachable
from worker.targets.deadline import seconds_left
from worker.targets.sql_errors import UNKNOWN_COMMIT, translated

CONNECT_SECONDS = 5
LOCK_SECONDS = 3
_READ_ONLY = "tend_read_only"
_STEPS = 10_000
"""SQLite looks at the clock every so many steps of its program."""

# As pg_dump pins them: a value's text must mean the same whenever it is read back.
_STYLES = {
    "timezone": "UTC",
    "datestyle": "ISO, MDY",
    "intervalstyle": "postgres",
    "extra_float_digits": "3",
    "bytea_output": "hex",
}


class Transaction:
    """An open transaction; every statement in it ends before the same moment."""

    def __init__(self, connection: Connection, where: str, ends: float) -> None:
        self.connection = connection
        self.where = where
        self._ends = ends
        self._allowed = float("inf")

    @property
    def dialect(self) -> str:
        return self.connection.dialect.name

    def execute(
        self, statement: Executable, rows: Sequence[Mapping[str, Any]] | None = None
    ) -> CursorResult[Any]:
        self._hurry()
        return self.connection.execute(statement, rows)

    def stream(self, statement: Executable) -> CursorResult[Any]:
        """As `execute`, but the rows come a few at a time: they may be many or large."""
        self._hurry()
        return self.connection.execute(statement, execution_options={"stream_results": True})

    def set(self, settings: Mapping[str, str]) -> None:
        """Settings of PostgreSQL for this transaction alone; SET takes no snapshot yet."""
        local = "; ".join(f"SET LOCAL {name} = '{value}'" for name, value in settings.items())
        self.connection.exec_driver_sql(local)

    def _hurry(self) -> None:
        left = self._ends - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded(f"{self.where} took longer than allowed; it is tried again.")
        if self.dialect == "postgresql" and left < self._allowed - 1:
            self._allowed = left
            self.set({"statement_timeout": str(max(1, int(left * 1000)))})


class SqlServer:
    """One database, for reading and for writing; safe to share between threads."""

    def __init__(self, url: str, read_url: str | None = None) -> None:
        with translated("The SQL database"):
            self._writes = _engine(make_url(url))
            self._reads = _engine(make_url(read_url or url))
        self.dialect = self._writes.dialect.name
        database = self._writes.url.database or ""
        self.name = (
            f"SQLite database {Path(database).name}"
            if self.dialect == "sqlite"
            else f"PostgreSQL database {database}"
        )

    def close(self) -> None:
        self._writes.dispose()
        self._reads.dispose()

    @contextmanager
    def reading(self, where: str, seconds: float, *, primary: bool) -> Iterator[Transaction]:
        """A transaction that cannot write: on the read URL, or where the writes go."""
        seconds = seconds_left(seconds)
        engine = self._writes if primary else self._reads
        with translated(where), engine.connect() as connection:
            connection.execution_options(**{_READ_ONLY: True})
            transaction = Transaction(connection, where, time.monotonic() + seconds)
            _begin(transaction, seconds, {"transaction_read_only": "on"})
            yield transaction

    @contextmanager
    def writing(
        self, where: str, ends: float, *, session: str | None = None
    ) -> Iterator[Transaction]:
        """A transaction that commits at the end.

        One with a session's name sees one snapshot throughout, and bears the name while it runs.
        """
        with translated(where), self._writes.connect() as connection:
            settings = {"synchronous_commit": "on"}
            if session is not None:
                settings["application_name"] = session
                if self.dialect == "postgresql":
                    connection.execution_options(isolation_level="REPEATABLE READ")
            transaction = Transaction(connection, where, ends)
            _begin(transaction, ends - time.monotonic(), settings)
            yield transaction
            _commit(transaction)

    @contextmanager
    def alone(self, where: str) -> Iterator[Connection]:
        """For what PostgreSQL does outside any transaction; the connection ends with it."""
        with translated(where), self._writes.connect() as connection:
            try:
                yield connection.execution_options(isolation_level="AUTOCOMMIT")
            finally:
                connection.invalidate()


def _begin(transaction: Transaction, seconds: float, settings: Mapping[str, str]) -> None:
    if transaction.dialect == "postgresql":
        milliseconds = {
            "lock_timeout": str(int(LOCK_SECONDS * 1000)),
            # For a client that is gone; one that is late rolls back by itself.
            "idle_in_transaction_session_timeout": str(int((seconds + 1) * 1000)),
        }
        transaction.set({**_STYLES, **milliseconds, **settings})
        return
    ends = time.monotonic() + seconds
    driver: Any = transaction.connection.connection.driver_connection
    driver.set_progress_handler(lambda: time.monotonic() > ends, _STEPS)


def _commit(transaction: Transaction) -> None:
    try:
        transaction.connection.commit()
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
        raise TargetUnreachable(UNKNOWN_COMMIT.format(where=transaction.where)) from error


def _engine(url: URL) -> Engine:
    if url.drivername == "sqlite":
        return _sqlite(url)
    if url.drivername != "postgresql+psycopg":
        raise TargetError("TEND_SQL_URL must begin with sqlite:/// or postgresql://.")
    return create_engine(
        url,
        connect_args={
            "connect_timeout": CONNECT_SECONDS,
            "application_name": "tend",
            "client_encoding": "utf8",
            "keepalives_idle": 10,  # or a server that is cut off would never be missed
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "prepare_threshold": None,  # a migration or a pooler would break prepared statements
        },
        pool_pre_ping=True,
        hide_parameters=True,
    )


def _sqlite(url: URL) -> Engine:
    if url.database in {None, "", ":memory:"}:
        raise TargetError("TEND_SQL_URL must name a file, such as sqlite:////srv/shop.sqlite.")
    path = quote(str(Path(str(url.database)).absolute()))

    def connect() -> sqlite3.Connection:
        """By a URI that does not create the file: a mistyped path must not be an empty database."""
        connection = sqlite3.connect(
            f"file:{path}?mode=rw",
            uri=True,
            timeout=LOCK_SECONDS,
            isolation_level=None,  # we say BEGIN ourselves
            check_same_thread=False,
        )
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        return connection

    engine = create_engine(url, creator=connect, hide_parameters=True)

    @event.listens_for(engine, "begin")
    def _say_begin(connection: Connection) -> None:
        reads = connection.get_execution_options().get(_READ_ONLY, False)
        connection.exec_driver_sql(f"PRAGMA query_only={'ON' if reads else 'OFF'}")
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine
