"""On PostgreSQL entries are removed by the owner of the tables, and not by whoever works."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import delete, func, select, update

from policies.durations import Age
from tests.worker.audit.keeping import SIGNER, ids, sequence, write
from tests.worker.scenario import TESTER
from worker import holding
from worker.audit.verify import verify
from worker.cli.context import as_owner
from worker.database import Database
from worker.errors import NotPrunable
from worker.evidence import bundle, pruning
from worker.evidence.pruning import Pruned
from worker.settings import Settings
from worker.tables import Entry, Hold, Position

OLD, ALL = 8, 20
YEARS = Age(7, "y")


@pytest.fixture
def packed(working: Database, owner: Database, tmp_path: Path) -> Path:
    """A bundle of a log whose first entries are more than seven years old."""
    write(working, ALL, "run_succeeded")
    sequence(working)
    now = datetime.now(UTC)
    path = tmp_path / "log.zip"
    wanted = bundle.Wanted("test", now - timedelta(hours=1), now + timedelta(hours=1))
    bundle.write(working, SIGNER, wanted, path)
    old = select(Position.entry_id).where(Position.position < OLD)
    with owner.transaction() as session:
        past = now - timedelta(days=366 * OLD)
        session.execute(update(Entry).where(Entry.id.in_(old)).values(at=past))
    return path


def prune(database: Database, path: Path) -> Pruned:
    return pruning.prune(database, SIGNER, "test", YEARS, path, TESTER)


def test_the_owner_of_the_tables_prunes_and_the_worker_does_not(
    working: Database, owner: Database, packed: Path
) -> None:
    with pytest.raises(NotPrunable, match="name the owner of the tables in TEND_DATABASE_OWNER"):
        prune(working, packed)
    assert len(ids(working)) == ALL
    settings = Settings(
        database_url=SecretStr(working.engine.url.render_as_string(hide_password=False)),
        database_owner_url=SecretStr(owner.engine.url.render_as_string(hide_password=False)),
    )
    with closing(Database(as_owner(settings).need("database_url"))) as named:
        assert prune(named, packed) == Pruned(OLD, OLD, 0)
    assert len(ids(working)) == ALL - OLD + 1


def test_what_remains_verifies_and_goes_on(
    working: Database, owner: Database, packed: Path
) -> None:
    prune(owner, packed)
    write(working, 3, "run_succeeded")
    sequence(working)
    with owner.transaction() as session:
        size = session.scalar(select(func.count()).select_from(Position))
    for full in (False, True):
        report = verify(working, SIGNER, full=full)
        assert (report.positions, report.entries) == (size, ALL - OLD + 1 + 3)
        assert report.findings == []


def test_nothing_goes_under_a_hold_whoever_asks(owner: Database, packed: Path) -> None:
    holding.add(owner, "test", "case-7", ("userId", "7"), TESTER, anticipatory=True)
    with pytest.raises(NotPrunable, match="A legal hold stands"):
        prune(owner, packed)
    with owner.transaction() as session:
        session.execute(delete(Hold))
    assert prune(owner, packed).entries == OLD
