"""Every attack of somebody who may write to the control database and has not the key."""

import shutil
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from pydantic import SecretStr
from sqlalchemy import select

from tests.examples import examples
from tests.worker.audit import attacks
from tests.worker.audit.attacks import ANCHORED, ENTRIES, MALLORY, Named
from tests.worker.audit.history import PERSON
from tests.worker.audit.keeping import KEY, SIGNER, ids, sequence, write
from worker.audit import checkpoints, keeping, reanchoring, sequencer, verify
from worker.audit.anchors import Anchors
from worker.audit.checkpoints import Head
from worker.audit.findings import Report
from worker.audit.keeping import Keeper
from worker.audit.sequencer import Sequencer
from worker.database import Database
from worker.errors import LogAltered
from worker.settings import Settings
from worker.tables import Checkpoint, Entry, Position, Table, Verification


class Site:
    """A control database on SQLite, and its anchors beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.anchors = Anchors(str(folder / "anchors"))
        self.url = f"sqlite:///{folder / 'control.sqlite'}"

    def open(self) -> closing[Database]:
        return closing(Database(self.url))

    def verified(self, *, full: bool = True) -> Report:
        with self.open() as database:
            report = verify.verify(database, SIGNER, self.anchors, full=full)
            verify.remember(database, report)
            return report

    @property
    def settings(self) -> Settings:
        return Settings(
            env="test",
            database_url=SecretStr(self.url),
            audit_keys=SecretStr(KEY),
            anchor_url=SecretStr(str(self.folder / "anchors")),
        )

    def begin(self) -> None:
        """What a process asks before it changes anything."""
        with self.open() as database:
            keeping.require_anchored(self.settings, database)


def keep(database: Database, anchors: Anchors | None) -> None:
    Keeper(Sequencer(database, SIGNER), anchors).keep()


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 entries under three checkpoints, of which the last but one is anchored."""
    site = Site(tmp_path_factory.mktemp("site"))
    with site.open() as database:
        Table.metadata.create_all(database.engine)
        write(database, 100, "run_succeeded")
        keep(database, site.anchors)
        write(database, ANCHORED - 100, "run_succeeded")
        keep(database, site.anchors)
        write(database, ENTRIES - ANCHORED, "run_succeeded")
        sequence(database)
    return site.folder


@pytest.fixture
def site(original: Path, tmp_path: Path) -> Site:
    """A copy of it, to be attacked."""
    return copy_of(original, tmp_path / "site")


def copy_of(original: Path, folder: Path) -> Site:
    shutil.copytree(original, folder)
    return Site(folder)


def test_a_log_that_nobody_touched_has_nothing_off(site: Site) -> None:
    report = site.verified()
    assert report.findings == []
    assert (report.entries, report.positions, report.checkpoints) == (ENTRIES, ENTRIES, 3)
    assert report.exposed == ENTRIES - ANCHORED
    site.begin()


@settings(
    max_examples=examples(40),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(attack=attacks.attacks())
def test_every_attack_is_found(
    attack: Named, original: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("attacked")
    site = copy_of(original, folder / "site")
    with site.open() as database:
        with database.transaction() as session:
            attack.attack(session)
        with suppress(LogAltered):  # whoever keeps the log goes on with it, not knowing
            sequence(database)
    assert site.verified().faults
    shutil.rmtree(folder)


@pytest.mark.parametrize(("model", "column"), attacks.EDITABLE)
def test_another_value_in_any_field_is_found(site: Site, model: type[Table], column: str) -> None:
    with site.open() as database, database.transaction() as session:
        attacks.edit(session, model, column, 1)
    assert site.verified().integrity


def test_a_dropped_tail_is_found_up_to_the_last_anchor_and_what_is_after_it_is_told(
    site: Site,
) -> None:
    with site.open() as database, database.transaction() as session:
        attacks.drop_tail(session, ANCHORED)
    report = site.verified()
    assert (report.faults, report.exposed) == (0, 0)
    with site.open() as database, database.transaction() as session:
        attacks.drop_tail(session, ANCHORED - 1)
    report = site.verified()
    assert (report.integrity, report.completeness) == (0, 1)
    assert "is over 280 entries, and the log has 279" in report.findings[0].says


def test_a_rewrite_that_agrees_with_itself_is_found_by_its_signatures(site: Site) -> None:
    with site.open() as database, database.transaction() as session:
        attacks.rewrite(session, 5, MALLORY)
    said = " ".join(finding.says for finding in site.verified().findings)
    assert "Checkpoint c-1 was signed by no key of TEND_AUDIT_KEYS" in said
    assert "The checkpoint anchored at" in said
    with pytest.raises(LogAltered, match="is not what it was then"):
        site.begin()


def test_whoever_has_the_key_too_is_found_by_the_anchor(site: Site) -> None:
    with site.open() as database, database.transaction() as session:
        attacks.rewrite(session, 5, SIGNER)
    first, last = site.verified().findings
    assert first.says.startswith("The checkpoint anchored at")
    assert "is not over the first 100 entries as they are" in first.says
    assert "is not over the first 280 entries as they are" in last.says


def test_whoever_anchors_a_rewritten_log_with_the_key_is_found_by_an_older_anchor(
    site: Site,
) -> None:
    with site.open() as database:
        with database.transaction() as session:
            attacks.rewrite(session, 5, SIGNER)
        write(database, 5, "run_succeeded")
        made = sequence(database)
        assert made is not None
        site.anchors.write(checkpoints.head_of(made), made.note)
    site.begin()
    for full in (False, True):
        report = site.verified(full=full)
        assert [finding.says[-39:] for finding in report.findings] == [
            "over the first 100 entries as they are.",
            "over the first 280 entries as they are.",
        ]
        assert report.anchors == 3


def test_a_new_generation_that_nobody_asked_for_is_found(site: Site) -> None:
    with site.open() as database, database.transaction() as session:
        attacks.rewrite(session, 5, SIGNER)
        made = sequencer.begin_anew(session, SIGNER, 2)
        site.anchors.write(checkpoints.head_of(made), made.note)
    site.begin()
    (found,) = site.verified().findings
    assert "goes on as generation 2, and no entry says why" in found.says


def test_every_anchor_of_two_days_is_compared_and_of_each_day_before_the_last(
    tmp_path: Path,
) -> None:
    anchors = Anchors(str(tmp_path / "days"))
    begin = datetime(2026, 3, 1, 23, tzinfo=UTC)
    for hours in range(72):
        head = Head("tend/test/1", hours, bytes(32), begin + timedelta(hours=hours))
        anchors.write(head, SIGNER.sign(head.text, head.origin))

    def sizes(at_least: int) -> list[int]:
        kept = anchors.kept(SIGNER, at_least)
        return [each.size for each in kept if isinstance(each, Head)]

    assert sizes(0) == [*range(71, 24, -1), 24, 0]
    assert sizes(60) == [*range(71, 59, -1)]
    assert sizes(71) == sizes(10_000) == [71]
    older = Head("tend/test/2", 5, bytes(32), begin)
    anchors.write(older, SIGNER.sign(older.text, older.origin))
    assert sizes(0) == [5, 71]
    (tmp_path / "days" / "000001" / "2026-03-04" / f"{71:015}-220000000000.note").write_text("x")
    assert [type(each) for each in anchors.kept(SIGNER, 0)] == [Head, LogAltered]


def test_an_anchor_of_another_key_stops_who_begins_and_is_found(site: Site) -> None:
    (newest,) = [path for path in site.folder.rglob("*.note") if f"{ANCHORED:015}" in path.name]
    head = checkpoints.opened(newest.read_text(), SIGNER)
    assert head is not None
    newest.write_text(MALLORY.sign(head.text, head.origin))
    with pytest.raises(LogAltered, match="a key was swapped"):
        site.begin()
    (found,) = site.verified().findings
    assert "a key was swapped" in found.says


@pytest.fixture
def restored(original: Path, tmp_path: Path) -> Site:
    """The database as it was before the second half, and the anchors of today."""
    site = copy_of(original, tmp_path / "site")
    with site.open() as database, database.transaction() as session:
        attacks.drop_tail(session, 100)
    return site


def test_with_an_old_backup_nothing_begins_until_somebody_says_why(restored: Site) -> None:
    with pytest.raises(LogAltered, match=r"which has 100, .* `tend audit reanchor --reason"):
        restored.begin()
    assert restored.verified().completeness
    with restored.open() as database:
        head = reanchoring.reanchor(database, SIGNER, restored.anchors, PERSON)
    assert (head.origin, head.size) == ("tend/test/2", 101)
    restored.begin()
    assert restored.verified().findings == []
    with restored.open() as database:
        write(database, 5, "run_succeeded")
        keep(database, restored.anchors)
    restored.begin()
    report = restored.verified()
    assert (report.findings, report.exposed) == ([], 0)


def test_a_backup_from_before_the_log_was_anchored_anew_is_refused(
    restored: Site, tmp_path: Path
) -> None:
    shutil.copy(restored.folder / "control.sqlite", tmp_path / "backup")
    with restored.open() as database:
        reanchoring.reanchor(database, SIGNER, restored.anchors, PERSON)
    shutil.copy(tmp_path / "backup", restored.folder / "control.sqlite")
    with pytest.raises(LogAltered, match="audit entries of tend/test/2"):
        restored.begin()
    assert any("anchored anew" in found.says for found in restored.verified().findings)


def test_an_altered_log_that_goes_on_tells_for_ever_what_its_old_signatures_say(
    site: Site,
) -> None:
    with site.open() as database:
        with database.transaction() as session:
            attacks.swap(session, 3, 4)
        reanchoring.reanchor(database, SIGNER, site.anchors, PERSON)
        write(database)
        sequence(database)
        assert len(ids(database)) == ENTRIES + 2
    report = site.verified()
    assert report.findings == []
    assert any("c-1 is not over the first 100 entries" in note for note in report.notes)


def test_a_log_without_some_of_its_positions_cannot_go_on(site: Site) -> None:
    with site.open() as database:
        with database.transaction() as session:
            session.delete(session.get_one(Position, 7))
        with pytest.raises(LogAltered, match="restore a backup"):
            reanchoring.reanchor(database, SIGNER, site.anchors, PERSON)
        assert len(ids(database)) == ENTRIES


def test_a_process_that_runs_while_the_log_is_cut_adds_nothing_to_it(site: Site) -> None:
    with site.open() as database:
        running = Sequencer(database, SIGNER)
        running.sequence()
        with database.transaction() as session:
            attacks.drop_tail(session, 290)
        write(database)
        with pytest.raises(LogAltered, match="it became shorter while this process ran"):
            running.sequence()


def test_a_verification_begins_where_the_last_good_one_ended(site: Site) -> None:
    assert site.verified(full=False).verified_from == 0
    with site.open() as database:
        write(database, 20, "run_succeeded")
        keep(database, site.anchors)
    report = site.verified(full=False)
    assert (report.findings, report.verified_from) == ([], ENTRIES)
    assert (report.entries, report.positions, report.exposed) == (20, ENTRIES + 20, 0)
    with site.open() as database, database.transaction() as session:
        attacks.edit(session, Checkpoint, "root", 3)
    assert site.verified(full=False).verified_from == ENTRIES + 20
    assert site.verified().integrity


def test_after_a_verification_that_found_something_the_next_one_begins_no_later(
    site: Site,
) -> None:
    site.verified()
    with site.open() as database:
        write(database, 20, "run_succeeded")
        keep(database, site.anchors)
        with database.transaction() as session:
            attacks.edit(session, Entry, "actor", ENTRIES + 3)
    for _ in range(2):
        report = site.verified(full=False)
        assert (report.integrity, report.verified_from) == (1, ENTRIES)


def test_what_was_verified_and_is_altered_since_is_found_by_its_root(site: Site) -> None:
    site.verified()
    with site.open() as database, database.transaction() as session:
        attacks.rewrite(session, 5, MALLORY)
    report = site.verified(full=False)
    assert report.verified_from == 0
    assert "are no longer those that were verified" in report.findings[0].says


def test_a_forged_point_to_begin_at_is_refused(site: Site) -> None:
    site.verified()
    with site.open() as database, database.transaction() as session:
        row = session.scalars(select(Verification)).one()
        row.note = MALLORY.sign(f"{row.note}", "tend/test/1/verified")
    report = site.verified(full=False)
    assert report.verified_from == 0
    assert "The last verification was signed by no key" in report.findings[0].says


def test_anchors_are_written_once_and_a_failed_one_is_tried_again(
    site: Site, tmp_path: Path
) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("no folder")
    with site.open() as database:
        write(database, action="run_succeeded")
        keeper = Keeper(Sequencer(database, SIGNER), Anchors(str(blocked)))
        with pytest.raises(Exception, match="anchor of the audit log cannot be written"):
            keeper.keep()
        blocked.unlink()
        keeper.keep()
        before = sorted(blocked.rglob("*"))
        keep(database, keeper.anchors)
        assert sorted(blocked.rglob("*")) == before
        with database.transaction() as session:
            newest = session.scalars(select(Checkpoint).order_by(Checkpoint.id.desc())).first()
        assert newest is not None
        assert keeper.anchors is not None
        assert keeper.anchors.newest(SIGNER) == checkpoints.head_of(newest)


def test_an_entry_of_now_after_a_checkpoint_of_now_is_not_called_back_dated(site: Site) -> None:
    with site.open() as database:
        with database.transaction() as session:
            attacks.insert(session, hours=0, waits=True)
        sequence(database)
    assert site.verified().findings == []
