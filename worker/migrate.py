"""Migrations of the control database; any number of processes may ask for them at once."""

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from worker import revisions
from worker.database import Database

_LOCK = 0x7E4D  # any number will do, as long as every process that migrates takes the same
TURN_SECONDS = 600
"""Whoever migrates waits for whoever does so already, which may take longer than any transaction
of a process that works; on PostgreSQL they wait for the lock as long as it takes."""


def upgrade(database: Database) -> list[str]:
    """Bring the database to this code's revision; returns what was applied, oldest first.

    On SQLite it waits as long for its turn as the database was opened to.
    """
    file = revisions.file_of(database)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
    with database.transaction() as session:
        connection = session.connection()
        if database.dialect == "postgresql":
            # On SQLite, BEGIN IMMEDIATE has already made everybody else wait.
            connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        settings = config(connection)
        current = revisions.current(connection)
        revisions.refuse_newer(database, current)
        script = ScriptDirectory.from_config(settings)
        pending = script.iterate_revisions("head", current or "base")
        applied = [f"{revision.revision} {revision.doc}" for revision in pending]
        command.upgrade(settings, "head")
        return applied[::-1]


def config(connection: Connection) -> Config:
    """Alembic's settings for our revisions, on a connection whose transaction is the caller's."""
    settings = Config()
    settings.set_main_option("script_location", str(revisions.FOLDER).replace("%", "%%"))
    settings.attributes["connection"] = connection
    return settings
