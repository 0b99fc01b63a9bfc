"""The migrated schema and the models are one and the same."""

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

import migrations
from worker import migrate, revisions
from worker.database import Database
from worker.tables import Table


def test_the_migrated_schema_equals_the_models(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    migrate.upgrade(database)
    with database.transaction() as session:
        context = MigrationContext.configure(session.connection())
        assert compare_metadata(context, Table.metadata) == []
    database.close()


def test_columns_defaults_and_keys_are_those_of_the_models(empty_database_url: str) -> None:
    """What the comparison above leaves out: server defaults, primary keys, autoincrement."""
    migrated, modelled = Database(empty_database_url), Database(empty_database_url)
    migrate.upgrade(migrated)
    by_migration = described(migrated)
    with migrated.transaction() as session:
        command.downgrade(migrate.config(session.connection()), "base")
    Table.metadata.create_all(modelled.engine)
    assert by_migration == described(modelled)
    assert "seen_at" in str(by_migration)
    migrated.close()
    modelled.close()


def test_a_downgrade_leaves_nothing_behind(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    migrate.upgrade(database)
    with database.transaction() as session:
        command.downgrade(migrate.config(session.connection()), "base")
    assert inspect(database.engine).get_table_names() == ["alembic_version"]
    database.close()


def test_ids_on_sqlite_are_never_used_again(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    migrate.upgrade(database)
    with database.transaction() as session:
        created = session.scalars(
            text("select name from sqlite_master where sql like '%AUTOINCREMENT%'")
        ).all()
    assert sorted(created) == [
        "alerts",
        "checkpoints",
        "console_sessions",
        "entries",
        "holds",
        "runs",
        "subject_keys",
        "tokens",
        "verifications",
    ]
    database.close()


def test_revisions_do_not_depend_on_the_application() -> None:
    revisions = list((Path(migrations.__file__).parent / "versions").glob("v*.py"))
    assert revisions
    assert [file.name for file in revisions if "worker" in file.read_text()] == []


def test_the_names_of_the_revisions_say_what_alembic_reads_in_them(sqlite_url: str) -> None:
    """A process that starts knows the revisions by these names alone."""
    database = Database(sqlite_url)
    with database.transaction() as session:
        script = ScriptDirectory.from_config(migrate.config(session.connection()))
    read = [revision.revision for revision in script.walk_revisions()][::-1]
    assert revisions.known() == read
    assert script.get_heads() == [read[-1]]
    database.close()


def described(database: Database) -> dict[str, object]:
    tables = inspect(database.engine)
    return {
        name: (
            [{**column, "type": str(column["type"])} for column in tables.get_columns(name)],
            tables.get_pk_constraint(name),
        )
        for name in sorted(Table.metadata.tables)
    }
