"""Reading the whole control database as it stands at one moment, while others write."""

from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.orm import sessionmaker

from worker.audit.writers import Writers
from worker.database import BUSY_SECONDS, Database


class Snapshot(Database):
    """The same database, to read from: one transaction sees one moment and makes nobody wait."""

    def __init__(self, database: Database) -> None:
        self.engine = _reading(database.engine)
        self._writers = Writers()
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)


def _reading(writing: Engine) -> Engine:
    if writing.dialect.name != "sqlite":
        return create_engine(
            writing.url,
            isolation_level="REPEATABLE READ",
            execution_options={"postgresql_readonly": True},
        )
    engine = create_engine(writing.url, connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        connection.execute("PRAGMA query_only=ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")  # not IMMEDIATE: that would be the one writer

    return engine
