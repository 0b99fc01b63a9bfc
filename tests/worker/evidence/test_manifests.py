"""Which records a run changed: readable to whoever has a subject's key, and to nobody else."""

from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, select, update

from tests.worker.evidence.manifested import ADA, BOB, details, keys, sales, told, written
from tests.worker.scenario import NOW, TESTER, Scenario, negative_values, old, purge
from worker import holding
from worker.audit.verify import verify
from worker.errors import SubjectHeld, SubjectUnknown
from worker.evidence import manifests
from worker.evidence.manifests import HALF, LINE, NOBODY, Lines, Listed, lines_of
from worker.reconciler import reconcile
from worker.tables import Chunk, Doorbell, Manifest, Process, Run, SubjectKey

pytestmark = pytest.mark.sqlite_control  # evidence is read the same from either
SALES = "mongo/salesData"
ADAS, STORE = ("userId", str(ADA)), ("storeId", "s-1")


@pytest.fixture
def purged(scenario: Scenario) -> Run:
    sales(scenario, ada=33, bob=21)
    run = scenario.run_through(purge())
    assert run.state == "succeeded"
    return scenario.advance(run.id)


def destroy_archive(scenario: Scenario, run_id: int) -> None:
    with scenario.engine.database.transaction() as session:
        session.execute(update(Run).where(Run.id == run_id).values(expires_at=old(9999)))
    scenario.advance(run_id)
    assert scenario.run(run_id).key is None


def test_a_manifest_tells_of_each_record_to_the_keys_of_its_subjects(
    scenario: Scenario, purged: Run
) -> None:
    assert told(scenario, purged.id, ADAS) == {(SALES, "deleted"): 33}
    assert told(scenario, purged.id, ("userId", str(BOB))) == {(SALES, "deleted"): 21}
    assert told(scenario, purged.id, STORE) == {(SALES, "deleted"): 54}


def test_an_entry_bears_the_root_and_the_number_of_lines_of_each_chunk(
    scenario: Scenario, purged: Run
) -> None:
    said = details(scenario, purged.id, "chunk_manifest")
    kept = written(scenario, purged.id)
    assert [one["chunk"] for one in said] == [0, 1, 2]
    assert [(one["root"], one["lines"]) for one in said] == [(m.root, m.lines) for m in kept]
    assert [manifests.root_of(manifests.split(m.payload)) for m in kept] == [m.root for m in kept]
    assert sum(one["counts"][SALES]["deleted"] for one in said) == 54
    assert {one["unreadable"] for one in said} == {0}


def test_lines_repeat_nothing_and_name_nobody(scenario: Scenario, purged: Run) -> None:
    lines = [
        line for each in written(scenario, purged.id) for line in manifests.split(each.payload)
    ]
    assert len({line[:HALF] for line in lines}) == len({line[HALF:] for line in lines}) == 108
    content = b"".join(lines)
    assert ADA.binary not in content
    assert str(ADA).encode() not in content


def test_whoever_looks_twice_writes_no_second_manifest(scenario: Scenario, purged: Run) -> None:
    scenario.advance(purged.id)
    manifests.write_owed(scenario.engine, purged, at_the_end=True)
    assert len(details(scenario, purged.id, "chunk_manifest")) == 3


def test_a_key_that_is_destroyed_leaves_a_log_that_verifies_and_lines_nobody_reads(
    scenario: Scenario, purged: Run
) -> None:
    number = keys(scenario).destroy(ADAS, TESTER)
    with pytest.raises(SubjectUnknown, match="or the key was destroyed"):
        told(scenario, purged.id, ADAS)
    assert told(scenario, purged.id, ("userId", str(BOB))) == {(SALES, "deleted"): 21}
    with scenario.engine.database.transaction() as session:
        row = session.get_one(SubjectKey, number)
        assert (row.digest, row.salt) == (None, None)
    assert verify(scenario.engine.database).findings == []


def test_what_is_deleted_later_of_the_same_subject_is_under_a_new_key(
    scenario: Scenario, purged: Run
) -> None:
    keys(scenario).destroy(ADAS, TESTER)
    sales(scenario, ada=2, bob=0)
    later = scenario.run_through(purge())
    scenario.advance(later.id)
    assert told(scenario, later.id, ADAS) == {(SALES, "deleted"): 2}
    assert told(scenario, purged.id, ADAS) == {}


def test_a_key_stays_while_a_hold_protects_its_subject(scenario: Scenario, purged: Run) -> None:
    db = scenario.engine.database
    holding.add(db, "test", "case-7", ADAS, TESTER, anticipatory=True)
    with pytest.raises(SubjectHeld, match="legal hold case-7"):
        keys(scenario).destroy(ADAS, TESTER)
    assert told(scenario, purged.id, ADAS)
    holding.release(db, "case-7", ADAS, TESTER)
    assert keys(scenario).destroy(ADAS, TESTER)


def test_an_undo_has_manifests_of_what_came_back(scenario: Scenario, purged: Run) -> None:
    undone = scenario.undo(purged)
    scenario.advance(undone.id)
    assert told(scenario, purged.id, ADAS) == {(SALES, "deleted"): 33, (SALES, "restored"): 33}


def test_what_is_repaired_is_listed_as_written(scenario: Scenario) -> None:
    sale = {"userId": ADA, "storeId": "s-1", "quantity": -1, "revenue": -2, "createdAt": NOW}
    scenario.shop.salesData.insert_one(sale)
    run = scenario.run_through(negative_values())
    scenario.advance(run.id)
    assert told(scenario, run.id, ADAS) == {(SALES, "written"): 1}


def test_records_of_no_subject_are_under_a_key_of_their_own(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_many([{"createdAt": old(3000)} for _ in range(3)])
    run = scenario.run_through(purge())
    scenario.advance(run.id)
    assert told(scenario, run.id, NOBODY) == {(SALES, "deleted"): 3}


def test_manifests_are_there_before_the_archive_is_destroyed(
    scenario: Scenario, purged: Run
) -> None:
    with scenario.engine.database.transaction() as session:
        session.execute(delete(Manifest))
        session.execute(update(Chunk).where(Chunk.number == 2).values(state="failed"))
    destroy_archive(scenario, purged.id)
    assert told(scenario, purged.id, ADAS) == {(SALES, "deleted"): 33}


def test_an_archive_object_that_was_altered_is_counted_and_does_not_hide_the_others(
    scenario: Scenario, purged: Run, tmp_path: Path
) -> None:
    with scenario.engine.database.transaction() as session:
        session.execute(delete(Manifest))
    name = scenario.chunks(purged.id)[0].archives[0]["name"]
    path = next(tmp_path.rglob(Path(urlsplit(name).path).name))
    path.write_bytes(b"nothing of the kind")
    scenario.advance(purged.id)
    newest = details(scenario, purged.id, "chunk_manifest")[3:]
    assert [one["unreadable"] for one in newest] == [1, 0, 0]
    assert sum(told(scenario, purged.id, STORE).values()) == 44


def test_a_run_that_owes_manifests_is_rung_for_until_they_are_written(
    scenario: Scenario, purged: Run
) -> None:
    with scenario.engine.database.transaction() as session:
        session.add(Process(id="w", kind="worker", host="h", pid=1, started_at=NOW))
    assert reconcile(scenario.engine.database) == 0
    with scenario.engine.database.transaction() as session:
        session.execute(delete(Manifest).where(Manifest.number == 1))
    assert reconcile(scenario.engine.database) == 1
    with scenario.engine.database.transaction() as session:
        assert session.scalars(select(Doorbell.run_id)).all() == [purged.id]


def test_while_the_archive_is_out_of_reach_manifests_stay_owed(
    scenario: Scenario, purged: Run, tmp_path: Path
) -> None:
    with scenario.engine.database.transaction() as session:
        session.execute(delete(Manifest))
    (tmp_path / "archive").rename(tmp_path / "elsewhere")
    scenario.advance(purged.id)
    assert written(scenario, purged.id) == []
    (tmp_path / "elsewhere").rename(tmp_path / "archive")
    scenario.advance(purged.id)
    assert len(written(scenario, purged.id)) == 3


subjects = st.sampled_from([("userId", str(n)) for n in range(4)] + [NOBODY])
listed = st.builds(
    Listed,
    place=st.sampled_from(["mongo/a", "mongo/b"]),
    became=st.sampled_from(["deleted", "restored"]),
    key=st.binary(max_size=4),
    subjects=st.lists(subjects, min_size=1, max_size=2, unique=True).map(tuple),
)


@given(st.lists(listed, max_size=40))
def test_each_key_finds_exactly_its_own_lines(records: list[Listed]) -> None:
    own = {("userId", str(n)): bytes([n]) * 32 for n in range(4)} | {NOBODY: b"n" * 32}
    lines = Lines()
    for record in records:
        lines.add(record)
    payload = b"".join(lines.made(manifests.name_of(7, "apply", 0), own))
    assert set(lines.subjects) == {each for record in records for each in record.subjects}
    manifest = Manifest(
        run_id=7,
        direction="apply",
        number=0,
        lines=len(payload) // LINE,
        counts=lines.counts,
        payload=payload,
    )
    for subject, key in own.items():
        expected = Counter((r.place, r.became) for r in records if subject in r.subjects)
        found = [(place, became) for place, became, _ in lines_of(manifest, key)]
        assert Counter(found) == expected
    assert list(lines_of(manifest, b"another key")) == []
