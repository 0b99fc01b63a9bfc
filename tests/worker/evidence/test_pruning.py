"""Old entries go: a beginning of the log that a verified bundle holds, and nothing else."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, func, select, update

from policies.durations import Age
from tests.worker.evidence.bundles import (
    SIGNER,
    checked,
    sequence,
    unpacked,
    wanted,
    written,
)
from tests.worker.scenario import ANOTHER, TESTER, Scenario, purge
from worker import holding, operations
from worker.audit import tree
from worker.audit.verify import verify
from worker.database import Database
from worker.errors import NotPrunable, UsageError
from worker.evidence import bundle, pruning
from worker.evidence.pruning import Pruned
from worker.own_data import BELONGING
from worker.tables import Entry, Hold, Manifest, Position, Run

NOW, YEARS = Age(0, "s"), Age(7, "y")


@pytest.fixture
def scenario(happened: Scenario) -> Scenario:
    return happened


@pytest.fixture
def packed(scenario: Scenario, tmp_path: Path) -> Path:
    """A bundle of everything; no run and no hold that it tells of is there any longer."""
    db = scenario.engine.database
    holding.release(db, "case-7", None, TESTER)
    sequence(scenario)
    with db.transaction() as session:
        for column in BELONGING:
            session.execute(delete(column.table))
        session.execute(delete(Run))
    return written(scenario, tmp_path)


def prune(scenario: Scenario, path: Path, keep: Age = NOW, environment: str = "test") -> Pruned:
    return pruning.prune(scenario.engine.database, SIGNER, environment, keep, path, TESTER)


def count(db: Database, table: type[Entry | Position | Manifest]) -> int:
    with db.transaction() as session:
        return int(session.scalar(select(func.count()).select_from(table)) or 0)


def aged(db: Database, positions: int, years: int) -> None:
    """As if the first of the log's entries had been written so long ago."""
    past = datetime.now(UTC) - timedelta(days=366 * years)
    old = select(Position.entry_id).where(Position.position < positions)
    with db.transaction() as session:
        session.execute(update(Entry).where(Entry.id.in_(old)).values(at=past))


@pytest.mark.system
def test_what_a_bundle_holds_goes_and_every_root_stays_as_it_was(
    scenario: Scenario, packed: Path
) -> None:
    db = scenario.engine.database
    size = count(db, Entry)
    with db.transaction() as session:
        before = tree.root(session, size)
    assert prune(scenario, packed) == Pruned(size, size, 2)
    assert (count(db, Entry), count(db, Position), count(db, Manifest)) == (1, size, 0)
    with db.transaction() as session:
        assert tree.root(session, size) == before
        (entry,) = session.scalars(select(Entry))
    assert entry.action == "log_pruned"
    assert verify(db).findings == []
    sequence(scenario)
    now = datetime.now(UTC)
    after = bundle.Wanted("test", now - timedelta(hours=2), now)
    path = packed.with_name("after.zip")
    assert bundle.write(db, SIGNER, after, path)["entries"]["first"] == size
    assert checked(unpacked(path))[0] == 0
    assert checked(unpacked(packed))[0] == 0


def test_only_what_is_old_enough_goes(scenario: Scenario, packed: Path) -> None:
    db = scenario.engine.database
    size = count(db, Entry)
    with pytest.raises(NotPrunable, match="No entry of the bundle is older than"):
        prune(scenario, packed, YEARS)
    aged(db, 5, 8)
    assert prune(scenario, packed, YEARS) == Pruned(5, 5, 0)
    assert count(db, Entry) == size - 5 + 1
    with db.transaction() as session:
        assert pruning.kept_from(session) == 5


def test_the_next_bundle_continues_where_the_last_one_ended(
    scenario: Scenario, packed: Path
) -> None:
    db = scenario.engine.database
    aged(db, 5, 8)
    prune(scenario, packed, YEARS)
    sequence(scenario)
    aged(db, 9, 8)
    assert prune(scenario, packed, YEARS) == Pruned(9, 4, 0)


def test_nothing_goes_while_a_hold_stands(scenario: Scenario, packed: Path) -> None:
    db = scenario.engine.database
    with db.transaction() as session:
        session.execute(update(Hold).values(released_at=None))
    before = count(db, Entry)
    with pytest.raises(NotPrunable, match="A legal hold stands"):
        prune(scenario, packed)
    assert count(db, Entry) == before


def test_nothing_goes_of_a_run_whose_row_is_there(scenario: Scenario, tmp_path: Path) -> None:
    holding.release(scenario.engine.database, "case-7", None, TESTER)
    sequence(scenario)
    with pytest.raises(NotPrunable, match="The entries of r-1 are among these"):
        prune(scenario, written(scenario, tmp_path))


def test_a_bundle_that_was_altered_lets_nothing_go(scenario: Scenario, packed: Path) -> None:
    folder = unpacked(packed)
    (folder / "exceptions.json").write_text("{}")
    before = count(scenario.engine.database, Entry)
    with pytest.raises(NotPrunable, match=r"does not verify: exceptions\.json is not the file"):
        prune(scenario, folder)
    assert count(scenario.engine.database, Entry) == before


def test_a_bundle_of_one_policy_of_elsewhere_or_of_later_lets_nothing_go(
    scenario: Scenario, packed: Path, tmp_path: Path
) -> None:
    (tmp_path / "one").mkdir()
    with pytest.raises(NotPrunable, match="of one policy alone"):
        prune(scenario, written(scenario, tmp_path / "one", policy="careful"))
    with pytest.raises(NotPrunable, match="is of test, and this is production"):
        prune(scenario, packed, environment="production")
    with pytest.raises(UsageError, match="is no bundle"):
        prune(scenario, Path(__file__))
    db = scenario.engine.database
    operations.enable(db, purge(), ANOTHER)
    sequence(scenario)
    late = wanted().until
    aged(db, 5, 8)
    path = tmp_path / "late.zip"
    bundle.write(db, SIGNER, bundle.Wanted("test", late - timedelta(hours=2), late), path)
    with pytest.raises(NotPrunable, match="does not begin where the log does, at position 0"):
        prune(scenario, path)


def test_a_bundle_of_another_log_lets_nothing_go(scenario: Scenario, packed: Path) -> None:
    with scenario.engine.database.transaction() as session:
        session.execute(update(Position).where(Position.position == 3).values(leaf_hash=bytes(32)))
    with pytest.raises(NotPrunable, match="is of another log"):
        prune(scenario, packed)
