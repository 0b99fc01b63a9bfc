"""`tend migrate`, which goes before every process; only it loads Alembic."""

from contextlib import closing

from worker import migrate as migrations
from worker.cli import context, options, output
from worker.cli.output import heading
from worker.database import Database
from worker.errors import DatabaseUnreachable


def migrate(as_json: options.Json = False) -> None:
    """Bring the control database to this version of Tend; does nothing if it is there."""
    settings = context.load_settings()
    url = context.as_owner(settings).need("database_url")
    with closing(Database(url, busy_seconds=migrations.TURN_SECONDS)) as database:
        try:
            applied = migrations.upgrade(database)
        except OSError as error:
            raise DatabaseUnreachable(
                f"The folder of the control database cannot be made ({error.strerror}); check "
                "TEND_DATABASE_URL."
            ) from error
    if as_json:
        output.print_json({"applied": applied})
        return
    out = output.console()
    heading(out, settings.env, "migrated" if applied else "nothing to migrate")
    for revision in applied:
        out.print(f"  {revision}")
