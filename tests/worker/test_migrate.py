"""Migrating, and refusing a control database that does not fit the code."""

import multiprocessing
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from worker import migrate, revisions
from worker.database import Database
from worker.errors import DatabaseNotMigrated
from worker.revisions import FOLDER

SECOND_REVISION = '''"""one more table"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table("extra", sa.Column("id", sa.Integer(), primary_key=True))
'''


@pytest.fixture
def empty(empty_database_url: str) -> Iterator[Database]:
    database = Database(empty_database_url)
    yield database
    database.close()


@pytest.fixture
def newer_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The revisions of a later release: those of today and one more."""
    later = tmp_path / "later"
    shutil.copytree(FOLDER, later)
    (later / "versions" / "v0002_one_more_table.py").write_text(SECOND_REVISION)
    monkeypatch.setattr(revisions, "FOLDER", later)


def test_a_migrated_database_is_accepted(empty: Database) -> None:
    assert migrate.upgrade(empty) == ["0001 control database"]
    revisions.require_current(empty)


def test_migrating_twice_applies_nothing_the_second_time(empty: Database) -> None:
    migrate.upgrade(empty)
    assert migrate.upgrade(empty) == []


def test_an_empty_database_is_refused_with_what_to_do(empty: Database) -> None:
    with pytest.raises(DatabaseNotMigrated, match=r"is empty; run `tend migrate`\.$"):
        revisions.require_current(empty)


def test_asking_whether_a_sqlite_file_is_current_does_not_create_it(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    with pytest.raises(DatabaseNotMigrated):
        revisions.require_current(database)
    assert not Path(str(database.engine.url.database)).exists()


def test_the_folder_of_a_sqlite_file_is_made(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/not/there/yet/control.sqlite")
    with pytest.raises(DatabaseNotMigrated, match="is empty"):
        revisions.require_current(database)
    migrate.upgrade(database)
    revisions.require_current(database)
    database.close()


@pytest.mark.usefixtures("newer_code")
def test_a_newer_release_applies_only_what_is_missing(
    empty: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as today:
        today.setattr(revisions, "FOLDER", FOLDER)
        migrate.upgrade(empty)
    with pytest.raises(DatabaseNotMigrated, match="is at revision 0001 and this code needs 0002"):
        revisions.require_current(empty)
    assert migrate.upgrade(empty) == ["0002 one more table"]
    revisions.require_current(empty)


@pytest.mark.usefixtures("newer_code")
def test_a_database_newer_than_the_code_is_refused_and_left_alone(
    empty: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate.upgrade(empty)
    monkeypatch.setattr(revisions, "FOLDER", FOLDER)
    with pytest.raises(DatabaseNotMigrated, match="revision 0002, which this code does not know"):
        revisions.require_current(empty)
    with pytest.raises(DatabaseNotMigrated, match="revision 0002, which this code does not know"):
        migrate.upgrade(empty)
    with empty.transaction() as session:
        assert session.scalar(text("select count(*) from extra")) == 0


def test_a_refusal_does_not_tell_the_password(postgres_url: str) -> None:
    database = Database(postgres_url)
    with pytest.raises(DatabaseNotMigrated) as refused:
        revisions.require_current(database)
    assert str(database.engine.url.password) not in str(refused.value)
    database.close()


@pytest.mark.system
def test_processes_that_migrate_at_once_apply_each_revision_once(empty_database_url: str) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        applied = pool.map(migrate_in_a_process, [empty_database_url] * 3, chunksize=1)
    assert sorted(applied) == [[], [], ["0001 control database"]]


def migrate_in_a_process(url: str) -> list[str]:
    database = Database(url, busy_seconds=migrate.TURN_SECONDS)
    try:
        return migrate.upgrade(database)
    finally:
        database.close()
