"""Migrations of the control database; any number of processes may ask for them at once."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from worker.database import Database
from worker.errors import DatabaseNotMigrated

LOCATION = "migrations:"
_LOCK = 0x7E4D  # any number will do, as long as every process that migrates takes the same


def upgrade(database: Database) -> list[str]:
    """Bring the database to this code's revision; returns what was applied, oldest first."""
    file = _file(database)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
    with database.transaction() as session:
        connection = session.connection()
        if database.dialect == "postgresql":
            # On SQLite, BEGIN IMMEDIATE has already made everybody else wait.
            connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        settings = config(connection)
        current = _current(connection)
        _refuse_newer(database, settings, current)
        pending = _script(settings).iterate_revisions("head", current or "base")
        applied = [f"{revision.revision} {revision.doc}" for revision in pending]
        command.upgrade(settings, "head")
        return applied[::-1]


def require_current(database: Database) -> None:
    """Raise `DatabaseNotMigrated` unless the tables are those that this code was written for."""
    file = _file(database)
    if file is not None and not file.exists():
        raise _empty(database)  # asking SQLite would create the file
    with database.transaction() as session:
        connection = session.connection()
        settings = config(connection)
        current = _current(connection)
    if current is None:
        raise _empty(database)
    _refuse_newer(database, settings, current)
    head = _script(settings).get_current_head()
    if current != head:
        raise DatabaseNotMigrated(
            f"The control database {_name(database)} is at revision {current} and this code needs "
            f"{head}; run `tend migrate`."
        )


def config(connection: Connection) -> Config:
    """Alembic's settings for our revisions, on a connection whose transaction is the caller's."""
    settings = Config()
    settings.set_main_option("script_location", LOCATION)
    settings.attributes["connection"] = connection
    return settings


def _script(settings: Config) -> ScriptDirectory:
    return ScriptDirectory.from_config(settings)


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _refuse_newer(database: Database, settings: Config, current: str | None) -> None:
    known = {revision.revision for revision in _script(settings).walk_revisions()}
    if current is not None and current not in known:
        raise DatabaseNotMigrated(
            f"The control database {_name(database)} is at revision {current}, which this code "
            "does not know: a newer Tend migrated it; deploy that version, or restore a backup "
            "from before."
        )


def _empty(database: Database) -> DatabaseNotMigrated:
    return DatabaseNotMigrated(
        f"The control database {_name(database)} is empty; run `tend migrate`."
    )


def _name(database: Database) -> str:
    return database.engine.url.render_as_string(hide_password=True)


def _file(database: Database) -> Path | None:
    name = database.engine.url.database
    return Path(name) if database.dialect == "sqlite" and name else None
