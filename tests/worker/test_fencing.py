"""The fence: whoever lost the claim is stopped by the target itself."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pymongo import MongoClient

from tests.worker.scenario import NOW, TESTER, Scenario, old, purge
from worker import advance, applying, claims, operations
from worker.claims import Claim, Leave
from worker.errors import ClaimLost, TargetUnreachable
from worker.targets.base import ArchiveRef, Fence, Images
from worker.targets.mongo_batch import MongoBatch
from worker.targets.mongo_fence import MongoFence


@pytest.fixture
def run_id(scenario: Scenario) -> int:
    scenario.shop.salesData.insert_many(
        [{"_id": number, "createdAt": old(3000)} for number in range(40)]
    )
    run_id = scenario.request(purge(chunk=40))
    assert advance.plan(scenario.engine, run_id)
    return run_id


def claim(scenario: Scenario, run_id: int) -> Claim:
    claimed = claims.claim(scenario.engine.database, run_id, "w", scenario.engine.actor)
    assert claimed is not None
    return claimed


def fence_of(scenario: Scenario, held: Claim) -> Fence:
    def archive(_: Images) -> ArchiveRef:
        raise AssertionError("nothing is written through this fence")

    target = scenario.engine.targets["mongo"]
    return target.fence(held.fence, "salesData", NOW, 1_000_000, archive)


@contextmanager
def during_the_second_batch(
    monkeypatch: pytest.MonkeyPatch, what: Any
) -> Iterator[list[BaseException]]:
    """Do `what` while a batch's transaction is open: its fence is written, its records are read."""
    original = MongoBatch.delete
    calls: list[int] = []
    raised: list[BaseException] = []

    def delete(self: MongoBatch, keys: list[Any], condition: Any, *collection: str) -> None:
        calls.append(1)
        if len(calls) == 2:
            try:
                what()
            except BaseException as error:  # noqa: BLE001 - looked at by the test
                raised.append(error)
        original(self, keys, condition, *collection)

    with monkeypatch.context() as patch:
        patch.setattr(MongoBatch, "delete", delete)
        yield raised


def test_a_second_claim_waits_for_the_lease(scenario: Scenario, run_id: int) -> None:
    claim(scenario, run_id)
    assert claims.claim(scenario.engine.database, run_id, "other", scenario.engine.actor) is None
    scenario.expire_leases()
    assert claim(scenario, run_id).attempt == 2


def test_an_attempt_that_was_overtaken_in_the_middle_of_a_batch_changes_nothing_more(
    scenario: Scenario, run_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = claim(scenario, run_id)

    def overtake() -> None:
        scenario.expire_leases()
        second = claim(scenario, run_id)
        assert applying.work_on(scenario.engine, second)

    with during_the_second_batch(monkeypatch, overtake) as raised:
        assert not applying.work_on(scenario.engine, first)
    assert raised == []
    run = scenario.advance(run_id)
    assert run.state == "succeeded"
    chunk = scenario.chunks(run_id)[0]
    assert (chunk.changed, chunk.gone, chunk.attempt) == (40, 0, 2)
    fence = scenario.shop.tend_fences.find_one({})
    assert fence is not None
    assert [batch["attempt"] for batch in fence["batches"]] == [1, 2, 2, 2]
    assert scenario.shop.salesData.count_documents({}) == 0


def test_an_attempt_is_stopped_though_its_successor_has_written_nothing_yet(
    scenario: Scenario, run_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = claim(scenario, run_id)

    def overtake() -> None:
        scenario.expire_leases()
        second = claim(scenario, run_id)
        with fence_of(scenario, second) as fence:
            assert len(fence.take(second.attempt)) == 1

    with during_the_second_batch(monkeypatch, overtake) as raised:
        assert not applying.work_on(scenario.engine, first)
    assert raised == []
    assert scenario.shop.salesData.count_documents({}) == 30
    scenario.expire_leases()
    assert scenario.advance(run_id).state == "succeeded"
    chunk = scenario.chunks(run_id)[0]
    assert (chunk.changed, chunk.gone, chunk.attempt) == (40, 0, 3)


def test_what_a_lost_worker_committed_is_counted_once(scenario: Scenario, run_id: int) -> None:
    """The worker dies after the target's commit and before the control database's."""
    first = claim(scenario, run_id)
    original = claims.progress
    seen: list[int] = []

    def dies(db: Any, held: Claim, batches: Any) -> Leave | None:
        seen.append(len(batches))
        if len(batches) == 2:
            raise SystemExit("killed")
        return original(db, held, batches)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(claims, "progress", dies)
        with pytest.raises(SystemExit):
            applying.work_on(scenario.engine, first)
    assert scenario.chunks(run_id)[0].changed == 10
    assert scenario.shop.salesData.count_documents({}) == 20
    scenario.shop.salesData.delete_one({"_id": 35})
    scenario.expire_leases()
    run = scenario.advance(run_id)
    chunk = scenario.chunks(run_id)[0]
    assert run.state == "succeeded"
    assert (chunk.changed, chunk.gone) == (39, 1)


def test_a_cancel_in_the_middle_of_a_batch_lets_it_change_nothing(
    scenario: Scenario, run_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = claim(scenario, run_id)

    def cancel() -> None:
        operations.cancel(scenario.engine, run_id, TESTER)
        assert scenario.shop.salesData.count_documents({}) == 30

    with during_the_second_batch(monkeypatch, cancel) as raised:
        assert not applying.work_on(scenario.engine, first)
    assert raised == []
    assert scenario.shop.salesData.count_documents({}) == 30
    chunk = scenario.chunks(run_id)[0]
    assert (chunk.state, chunk.changed) == ("stopped", 10)
    assert scenario.run(run_id).state == "cancelled"


def test_a_worker_that_wakes_after_an_undo_is_refused(
    scenario: Scenario, run_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = scenario.contents("salesData")
    first = claim(scenario, run_id)

    def undo() -> None:
        operations.cancel(scenario.engine, run_id, TESTER)
        scenario.undo(scenario.run(run_id))

    with during_the_second_batch(monkeypatch, undo) as raised:
        assert not applying.work_on(scenario.engine, first)
    assert raised == []
    assert scenario.run(run_id).state == "undone"
    assert scenario.contents("salesData") == before


def test_a_late_attempt_cannot_end_the_session_of_its_successor(
    scenario: Scenario, run_id: int
) -> None:
    first = claim(scenario, run_id)
    scenario.expire_leases()
    second = claim(scenario, run_id)
    results: list[bool] = []
    thread = threading.Thread(
        target=lambda: results.append(applying.work_on(scenario.engine, second))
    )
    thread.start()
    assert not applying.work_on(scenario.engine, first)
    thread.join()
    assert results == [True]
    assert scenario.chunks(run_id)[0].changed == 40


def test_a_write_of_the_application_in_the_same_moment_is_not_lost(
    scenario: Scenario, run_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The application revives a record that the open batch has read and is about to delete."""

    def revive() -> None:
        scenario.shop.salesData.update_one({"_id": 12}, {"$set": {"createdAt": old(1)}})

    with during_the_second_batch(monkeypatch, revive) as raised:
        run = scenario.advance(run_id)
    assert raised == []
    chunk = scenario.chunks(run_id)[0]
    assert run.state == "succeeded"
    assert (chunk.changed, chunk.changed_since) == (39, 1)
    assert [record["_id"] for record in scenario.shop.salesData.find()] == [12]


def test_a_chunk_that_loses_its_worker_four_times_fails_the_run(
    scenario: Scenario, run_id: int
) -> None:
    for _ in range(4):
        claim(scenario, run_id)
        scenario.expire_leases()
    assert claims.claim(scenario.engine.database, run_id, "w", scenario.engine.actor) is None
    run = scenario.run(run_id)
    assert run.state == "failed"
    assert run.error == "chunk 0: its worker was lost 4 times"
    assert scenario.resume(run).state == "succeeded"


def test_a_claim_that_was_lost_cannot_record(scenario: Scenario, run_id: int) -> None:
    first = claim(scenario, run_id)
    scenario.expire_leases()
    claim(scenario, run_id)
    with pytest.raises(ClaimLost, match="overtaken"):
        claims.progress(scenario.engine.database, first, ())


def test_draining_gives_the_chunk_back_without_a_rescue(scenario: Scenario, run_id: int) -> None:
    first = claim(scenario, run_id)
    scenario.engine.draining.set()
    assert not applying.work_on(scenario.engine, first)
    scenario.engine.draining.clear()
    chunk = scenario.chunks(run_id)[0]
    assert (chunk.state, chunk.rescues, chunk.retries) == ("pending", 0, 0)
    assert scenario.advance(run_id).state == "succeeded"


def test_every_intent_has_one_outcome(scenario: Scenario, run_id: int) -> None:
    claim(scenario, run_id)
    scenario.expire_leases()
    scenario.advance(run_id)
    actions = [entry.action for entry in scenario.entries(run_id)]
    assert actions.count("chunk_intent") == actions.count("chunk_outcome") == 2


def test_the_fence_lives_in_the_target(scenario: Scenario, run_id: int, mongo_url: str) -> None:
    scenario.advance(run_id)
    with MongoClient[dict[str, Any]](mongo_url) as client:
        fence = client.get_default_database().tend_fences.find_one({})
    assert fence is not None
    assert (fence["attempt"], fence["cursor"], fence["closed"]) == (1, 40, False)


def test_a_target_that_is_gone_at_the_start_of_a_claim_takes_no_count_away(
    scenario: Scenario, run_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with during_the_second_batch(monkeypatch, scenario.engine.draining.set):
        scenario.advance(run_id)
    scenario.engine.draining.clear()
    assert scenario.chunks(run_id)[0].changed == 20

    def unreachable(*_: Any) -> Any:
        raise TargetUnreachable("MongoDB does not answer.")

    with monkeypatch.context() as patch:
        patch.setattr(MongoFence, "take", unreachable)
        assert not applying.work_on(scenario.engine, claim(scenario, run_id))
    chunk = scenario.chunks(run_id)[0]
    assert (chunk.state, chunk.changed, chunk.retries) == ("pending", 20, 1)
    assert len(chunk.archives) == 2


def test_settling_counts_and_records_what_only_the_fence_knew(
    scenario: Scenario, run_id: int
) -> None:
    """The worker's last batch is in the target, and its chunk was given back without it."""
    first = claim(scenario, run_id)

    def forgets(db: Any, held: Claim, batches: Any, actor: Any, error: str) -> None:
        original(db, held, batches[:-1], actor, error)

    original = claims.fail
    seen: list[int] = []

    def breaks(db: Any, held: Claim, batches: Any) -> Leave | None:
        seen.append(1)
        if len(seen) == 3:
            raise ZeroDivisionError
        return progress(db, held, batches)

    progress = claims.progress
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(claims, "fail", forgets)
        patch.setattr(claims, "progress", breaks)
        assert not applying.work_on(scenario.engine, first)
    assert scenario.chunks(run_id)[0].changed == 10
    operations.cancel(scenario.engine, run_id, TESTER)
    assert scenario.chunks(run_id)[0].changed == 20
    last = scenario.entries(run_id)[-1]
    assert b'"result":"stopped"' in last.body
    assert b'"changed":20' in last.body


def test_a_session_that_somebody_ends_is_begun_again(
    scenario: Scenario,
    run_id: int,
    mongo_admin: MongoClient[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def end() -> None:
        fence = scenario.shop.tend_fences.find_one({})
        assert fence is not None
        mongo_admin.admin.command("killAllSessions", [])

    with during_the_second_batch(monkeypatch, end) as raised:
        run = scenario.advance(run_id)
    assert raised == []
    assert run.state == "succeeded"
    chunk = scenario.chunks(run_id)[0]
    assert (chunk.changed, chunk.gone, chunk.attempt) == (40, 0, 1)


def test_a_session_that_was_given_back_is_no_longer_on_record(
    scenario: Scenario, run_id: int
) -> None:
    """The driver lends it to another chunk, which a takeover of this one must not end."""
    scenario.engine.draining.set()
    applying.work_on(scenario.engine, claim(scenario, run_id))
    scenario.engine.draining.clear()
    fence = scenario.shop.tend_fences.find_one({})
    assert fence is not None
    assert fence["attempt"] == 1
    assert "session" not in fence


def test_no_more_chunks_are_written_at_once_than_the_policy_allows(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_many([{"createdAt": old(3000)} for _ in range(40)])
    run_id = scenario.request(purge(chunk=10, writers=2))
    assert advance.plan(scenario.engine, run_id)
    first, second = claim(scenario, run_id), claim(scenario, run_id)
    assert claims.claim(scenario.engine.database, run_id, "w", scenario.engine.actor) is None
    assert applying.work_on(scenario.engine, first)
    assert claim(scenario, run_id).number == 2
    assert second.number == 1
