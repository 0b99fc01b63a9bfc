"""Single records, previews, undos begun anew: counts add up, and nothing is overwritten."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from bson import Int64, ObjectId
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies.errors import TendError
from policies.models import Policy
from tests.examples import examples
from tests.worker.scenario import TESTER, Scenario, negative_values, old, purge
from worker import advance, applying, claims, operations, picking, undoing
from worker.audit.verify import verify
from worker.claims import totals
from worker.errors import ArchiveExpired, ForbiddenArrow, UnknownRecord, UsageError
from worker.picking import Selection
from worker.states import State
from worker.tables import Run

pytestmark = pytest.mark.sqlite_control

SMALL = purge(batch={"records": 4}, chunk=10)


def load(scenario: Scenario, keys: list[Any]) -> dict[Any, bytes]:
    scenario.shop.salesData.insert_many([{"_id": key, "createdAt": old(3000)} for key in keys])
    return scenario.contents("salesData")


def pick(scenario: Scenario, run: Run, *texts: str) -> Selection:
    engine = scenario.engine
    return picking.pick(engine.database, engine.archive, engine.keyring, run.id, texts)


def undo_only(scenario: Scenario, run: Run, *texts: str) -> Run:
    only = pick(scenario, run, *texts)
    operations.undo(scenario.engine.database, run.id, TESTER, inline=True, only=only)
    return scenario.advance(run.id)


def counts(scenario: Scenario, run: Run) -> tuple[int, int]:
    with scenario.engine.database.transaction() as session:
        found = totals(session, run.id, "undo")
    return found.changed, found.changed_since


def previewed(scenario: Scenario, run: Run, *texts: str) -> Counter[str]:
    only = pick(scenario, run, *texts).picked if texts else ()
    found = undoing.preview(scenario.engine, scenario.run(run.id), only)
    return Counter(record.outcome for record in found)


def test_one_record_comes_back_and_the_run_is_what_it_was(scenario: Scenario) -> None:
    before = load(scenario, list(range(30)))
    run = scenario.run_through(SMALL)
    after = undo_only(scenario, run, "17")
    assert (after.state, after.finished_at) == ("succeeded", run.finished_at)
    assert scenario.contents("salesData") == {17: before[17]}
    assert counts(scenario, run) == (1, 0)
    assert verify(scenario.engine.database).findings == []


def test_the_rest_can_be_undone_later_and_every_record_counts_once(scenario: Scenario) -> None:
    before = load(scenario, list(range(30)))
    run = scenario.run_through(SMALL)
    undo_only(scenario, run, "3", "17")
    scenario.shop.salesData.insert_one({"_id": 5, "mine": "new"})
    assert previewed(scenario, run) == {"restored": 27, "conflict": 1}
    assert scenario.undo(run).state == "undone"
    assert counts(scenario, run) == (29, 1)
    assert {k: v for k, v in scenario.contents("salesData").items() if k != 5} == {
        key: value for key, value in before.items() if key != 5
    }
    assert verify(scenario.engine.database).findings == []


def test_a_record_that_is_back_is_not_undone_twice(scenario: Scenario) -> None:
    load(scenario, list(range(12)))
    run = scenario.run_through(SMALL)
    undo_only(scenario, run, "4")
    with pytest.raises(ForbiddenArrow, match=r"The record 4 of r-1 is back already"):
        undo_only(scenario, run, "4")
    with pytest.raises(ForbiddenArrow, match="back already"):
        undo_only(scenario, run, "5", "4")
    assert counts(scenario, run) == (1, 0)
    assert scenario.shop.salesData.distinct("_id") == [4]


def test_a_conflict_may_be_tried_again_and_counts_once(scenario: Scenario) -> None:
    load(scenario, list(range(12)))
    run = scenario.run_through(SMALL)
    scenario.shop.salesData.insert_one({"_id": 4, "mine": "new"})
    assert previewed(scenario, run, "4") == {"conflict": 1}
    assert undo_only(scenario, run, "4").state == "succeeded"
    assert counts(scenario, run) == (0, 1)
    undo_only(scenario, run, "4")
    assert counts(scenario, run) == (0, 1)
    scenario.shop.salesData.delete_one({"_id": 4})
    undo_only(scenario, run, "4")
    assert counts(scenario, run) == (1, 0)


KINDS: list[tuple[Any, str]] = [
    (ObjectId("65f000000000000000000007"), "65f000000000000000000007"),
    ("65f000000000000000000008", "65f000000000000000000008"),
    (7, "7"),
    (Int64(2**40), str(2**40)),
    (-3, "-3"),
    ("seven", "seven"),
    ({"region": "eu", "n": 1}, '{"region": "eu", "n": 1}'),
    (2.5, '{"$numberDouble": "2.5"}'),
]


@pytest.mark.parametrize(("key", "text"), KINDS, ids=[text for _, text in KINDS])
def test_a_key_is_found_in_whatever_type_it_has(scenario: Scenario, key: Any, text: str) -> None:
    shop = scenario.shop.salesData
    shop.insert_many([{"_id": each, "createdAt": old(3000)} for each, _ in KINDS])
    run = scenario.run_through(SMALL)
    undo_only(scenario, run, text)
    assert [record["_id"] for record in shop.find()] == [key]


def test_a_key_that_means_two_records_is_asked_for_exactly(scenario: Scenario) -> None:
    load(scenario, [7, "7", 8])
    run = scenario.run_through(SMALL)
    with pytest.raises(UsageError, match="means more than one record"):
        pick(scenario, run, "7")
    undo_only(scenario, run, '"7"')
    assert scenario.shop.salesData.distinct("_id") == ["7"]
    undo_only(scenario, run, '{"$numberInt": "7"}')
    assert scenario.shop.salesData.count_documents({}) == 2


def test_what_the_run_did_not_change_is_a_sentence_and_nothing_happens(scenario: Scenario) -> None:
    load(scenario, list(range(12)))
    plan = scenario.plan(SMALL)
    scenario.shop.salesData.delete_one({"_id": 2})
    scenario.shop.salesData.update_one({"_id": 3}, {"$set": {"createdAt": old(1)}})
    run = scenario.apply(plan)
    for text, says in [
        ("99", "planned no record"),
        ("2", r"did not change the record 2 \(gone\)"),
        ("3", r"\(changed_since\)"),
    ]:
        with pytest.raises(UnknownRecord, match=says):
            pick(scenario, run, "1", text)
    for text in ['{"$oid": 5}', '"open', "[1,"]:
        with pytest.raises(UsageError, match="extended JSON"):
            pick(scenario, run, text)
    with pytest.raises(UsageError, match="twice"):
        pick(scenario, run, "1", "1")
    assert scenario.run(run.id).state == "succeeded"
    assert scenario.chunks(run.id, "undo") == []


def test_of_two_who_ask_at_once_the_second_is_told(scenario: Scenario) -> None:
    load(scenario, list(range(12)))
    run = scenario.run_through(SMALL)
    late = pick(scenario, run, "4")
    undo_only(scenario, run, "4")
    with pytest.raises(ForbiddenArrow, match="Somebody else has taken back"):
        operations.undo(scenario.engine.database, run.id, TESTER, inline=True, only=late)
    assert counts(scenario, run) == (1, 0)


def test_a_record_of_a_cancelled_run_comes_back_and_the_run_stays_cancelled(
    scenario: Scenario,
) -> None:
    load(scenario, list(range(20)))
    run_id = scenario.request(SMALL)
    engine = scenario.engine
    assert advance.plan(engine, run_id)
    claim = claims.claim(engine.database, run_id, "w", engine.actor)
    assert claim is not None
    assert applying.work_on(engine, claim)
    operations.cancel(engine, run_id, TESTER)
    after = undo_only(scenario, scenario.run(run_id), "4")
    assert after.state == "cancelled"
    assert counts(scenario, after) == (1, 0)
    with pytest.raises(UnknownRecord, match="not_reached"):
        pick(scenario, after, "15")
    assert scenario.undo(after).state == "undone"
    assert scenario.shop.salesData.count_documents({}) == 20
    assert verify(engine.database).findings == []


def test_a_failed_run_is_ended_before_single_records_are_taken_back(scenario: Scenario) -> None:
    load(scenario, list(range(12)))
    run = scenario.run_through(SMALL)
    only = pick(scenario, run, "4")
    with scenario.engine.database.transaction() as session:
        session.get_one(Run, run.id).state = State.FAILED
    with pytest.raises(ForbiddenArrow, match=r"cannot be undone in part: `tend resume r-1`"):
        operations.undo(scenario.engine.database, run.id, TESTER, inline=True, only=only)


def damaged(scenario: Scenario, run: Run) -> tuple[Any, bytes]:
    """Alter the archive object of a chunk in the middle."""
    archive = scenario.engine.archive
    chunk = scenario.chunks(run.id)[1]
    path = archive._root + "/" + chunk.archives[0]["name"]  # noqa: SLF001 - where it is
    original = archive._files.cat_file(path)  # noqa: SLF001 - the same
    archive._files.pipe_file(path, b"?")  # noqa: SLF001 - the same
    return path, original


def test_an_undo_that_failed_can_be_asked_for_anew_and_leaves_out_what_is_back(
    scenario: Scenario,
) -> None:
    before = load(scenario, list(range(30)))
    run = scenario.run_through(SMALL)
    scenario.shop.salesData.insert_one({"_id": 0, "mine": "new"})
    path, original = damaged(scenario, run)
    assert scenario.undo(run).state == "failed"
    assert counts(scenario, run) == (15, 1)
    scenario.engine.archive._files.pipe_file(path, original)  # noqa: SLF001 - brought back
    scenario.shop.salesData.delete_one({"_id": 0})
    assert previewed(scenario, run) == {"restored": 15}
    assert scenario.undo(run).state == "undone"
    assert counts(scenario, run) == (30, 0)
    assert scenario.contents("salesData") == before
    assert verify(scenario.engine.database).findings == []


def test_after_half_of_a_whole_undo_single_records_wait_for_the_rest(scenario: Scenario) -> None:
    load(scenario, list(range(30)))
    run = scenario.run_through(SMALL)
    path, original = damaged(scenario, run)
    scenario.undo(run)
    operations.cancel(scenario.engine, run.id, TESTER)
    with pytest.raises(ForbiddenArrow, match="was being taken back as a whole"):
        pick(scenario, run, "25")
    scenario.engine.archive._files.pipe_file(path, original)  # noqa: SLF001 - brought back
    assert scenario.undo(run).state == "undone"
    assert counts(scenario, run) == (30, 0)


def test_a_preview_knows_what_a_dead_worker_changed_last(scenario: Scenario) -> None:
    """Its row says nothing of the batch that its fence committed."""
    load(scenario, list(range(10)))
    run_id = scenario.request(SMALL)
    engine = scenario.engine
    assert advance.plan(engine, run_id)
    claim = claims.claim(engine.database, run_id, "w", engine.actor)
    assert claim is not None
    lost = replace(claim, worker="one that dies")
    assert applying.work_on(engine, lost)
    with engine.database.transaction() as session:
        run = session.get_one(Run, run_id)
        claims.fail_run(session, run, engine.actor, "a test")
    (chunk,) = scenario.chunks(run_id)
    with engine.database.transaction() as session:
        row = session.merge(chunk)
        row.archives, row.changed, row.cursor, row.state = [], 0, 0, "claimed"
    assert previewed(scenario, scenario.run(run_id)) == {"restored": 10}
    assert scenario.undo(scenario.run(run_id)).state == "undone"
    assert counts(scenario, run) == (10, 0)


def test_a_preview_writes_nothing(scenario: Scenario) -> None:
    load(scenario, list(range(30)))
    run = scenario.run_through(SMALL)
    before = scenario.contents("salesData"), scenario.contents("tend_fences")
    entries = len(scenario.entries(run.id))
    assert previewed(scenario, run) == {"restored": 30}
    assert (scenario.contents("salesData"), scenario.contents("tend_fences")) == before
    assert len(scenario.entries(run.id)) == entries
    assert scenario.run(run.id).state == "succeeded"


def test_what_is_past_its_time_cannot_be_picked(scenario: Scenario) -> None:
    load(scenario, list(range(5)))
    run = scenario.run_through(SMALL)
    with scenario.engine.database.transaction() as session:
        session.get_one(Run, run.id).expires_at = old(1)
    scenario.advance(run.id)
    with pytest.raises(ArchiveExpired):
        pick(scenario, run, "1")


KEYS = range(9)
STEP = st.one_of(
    st.tuples(st.just("only"), st.lists(st.sampled_from(KEYS), min_size=1, max_size=3)),
    st.tuples(st.just("put"), st.sampled_from(KEYS)),
    st.tuples(st.just("remove"), st.sampled_from(KEYS)),
)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("kind", ["purge", "repair"])
@settings(
    max_examples=examples(15),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=st.lists(STEP, max_size=6))
def test_against_an_oracle_no_undo_overwrites_and_counts_always_add_up(
    scenario: Scenario, kind: str, steps: list[tuple[str, Any]]
) -> None:
    shop = scenario.shop.salesData
    shop.delete_many({})
    shop.insert_many([{"_id": key, "createdAt": old(3000), "quantity": -key - 1} for key in KEYS])
    before = {record["_id"]: record for record in shop.find()}
    parts: dict[str, Any] = {"batch": {"records": 2}, "chunk": 4}
    policy: Policy = purge(**parts) if kind == "purge" else negative_values(**parts)
    run = scenario.run_through(policy)
    written = {record["_id"]: record for record in shop.find()}
    oracle = dict(written)
    back: set[int] = set()
    left: set[int] = set()

    def comes_back(key: int) -> None:
        if oracle.get(key) == written.get(key):
            oracle[key] = before[key]
            back.add(key)
            left.discard(key)
        else:
            left.add(key)

    for what, which in [*steps, ("all", list(KEYS))]:
        if what == "put":
            record = {"_id": which, "quantity": 5, "mine": len(oracle)}
            shop.replace_one({"_id": which}, record, upsert=True)
            oracle[which] = record
        elif what == "remove":
            shop.delete_one({"_id": which})
            oracle.pop(which, None)
        elif what == "only" and (back & set(which) or len(set(which)) < len(which)):
            with pytest.raises(TendError):
                undo_only(scenario, run, *map(str, which))
        else:
            texts = [] if what == "all" else [str(key) for key in which]
            preview = previewed(scenario, run, *texts)
            already = len(back)
            for key in sorted(set(which) - back):
                comes_back(key)
            state = scenario.undo(run) if what == "all" else undo_only(scenario, run, *texts)
            assert state.state == ("undone" if what == "all" else "succeeded")
            assert preview["restored"] == len(back) - already
        assert counts(scenario, run) == (len(back), len(left))
        assert {record["_id"]: record for record in shop.find()} == oracle
    assert len(back) + len(left) == len(KEYS)
    assert verify(scenario.engine.database).findings == []
