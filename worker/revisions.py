"""Whether the control database is at this code's revision; every process asks, so it asks fast.

A revision is a file `v<revision>_<words>.py`, and they form one line: names tell all that is needed
here, and Alembic is loaded only by what migrates.
"""

from pathlib import Path

from sqlalchemy import Connection, inspect, text

import migrations
from worker.database import Database
from worker.errors import DatabaseNotMigrated

FOLDER = Path(migrations.__path__[0])


def known() -> list[str]:
    """The revisions of this code, oldest first."""
    return sorted(
        file.name.removeprefix("v").partition("_")[0]
        for file in (FOLDER / "versions").glob("v*_*.py")
    )


def current(connection: Connection) -> str | None:
    """The revision that the database is at, or None if it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("select version_num from alembic_version"))
    return revision


def require_current(database: Database) -> None:
    """Raise `DatabaseNotMigrated` unless the tables are those that this code was written for."""
    file = file_of(database)
    if file is not None and not file.exists():
        raise _empty(database)  # asking SQLite would create the file
    with database.transaction() as session:
        revision = current(session.connection())
    if revision is None:
        raise _empty(database)
    refuse_newer(database, revision)
    head = known()[-1]
    if revision != head:
        raise DatabaseNotMigrated(
            f"The control database {_name(database)} is at revision {revision} and this code needs "
            f"{head}; run `tend migrate`."
        )


def refuse_newer(database: Database, revision: str | None) -> None:
    """Raise `DatabaseNotMigrated` if the database is at a revision that this code lacks."""
    if revision is not None and revision not in known():
        raise DatabaseNotMigrated(
            f"The control database {_name(database)} is at revision {revision}, which this code "
            "does not know: a newer Tend migrated it; deploy that version, or restore a backup "
            "from before."
        )


def file_of(database: Database) -> Path | None:
    """The file of an SQLite database."""
    name = database.engine.url.database
    return Path(name) if database.dialect == "sqlite" and name else None


def _empty(database: Database) -> DatabaseNotMigrated:
    return DatabaseNotMigrated(
        f"The control database {_name(database)} is empty; run `tend migrate`."
    )


def _name(database: Database) -> str:
    return database.engine.url.render_as_string(hide_password=True)
