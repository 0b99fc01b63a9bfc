"""Every planned record has one outcome, and listing a larger run takes no more memory."""

import tracemalloc
from collections import Counter
from typing import Any

import pytest
from bson import ObjectId

from policies.models import Policy
from tests.worker.scenario import TESTER, Scenario, negative_values, old, purge, sessions
from worker import advance, applying, claims, listing, operations
from worker.errors import ArchiveExpired
from worker.present import run_as_json
from worker.tables import Run

SMALL = purge(batch={"records": 4}, chunk=10)
PRIVATE = "ada@example.org"


def rows(scenario: Scenario, run: Run, *, is_revealed: bool = False) -> list[dict[str, Any]]:
    engine = scenario.engine
    found = listing.listing(
        engine.database, engine.archive, engine.keyring, run.id, is_revealed=is_revealed
    )
    return list(found.rows())


def by_outcome(scenario: Scenario, run: Run) -> Counter[str]:
    return Counter(row["outcome"] for row in rows(scenario, run))


def document(scenario: Scenario, run: Run) -> dict[str, Any]:
    with scenario.engine.database.transaction() as session:
        return run_as_json(session, session.get_one(Run, run.id))


def test_each_planned_record_is_listed_once_with_what_became_of_it(scenario: Scenario) -> None:
    shop = scenario.shop.salesData
    shop.insert_many([{"_id": key, "createdAt": old(3000)} for key in range(30)])
    plan = scenario.plan(SMALL)
    shop.delete_one({"_id": 2})
    shop.update_one({"_id": 13}, {"$set": {"createdAt": old(1)}})
    run = scenario.apply(plan)
    found = {row["key"]: (row["outcome"], row["code"]) for row in rows(scenario, run)}
    assert found[2] == ("skipped", "gone")
    assert found[13] == ("skipped", "changed_since")
    assert {found[key] for key in set(range(30)) - {2, 13}} == {("changed", "deleted")}
    assert len(rows(scenario, run)) == len(found) == 30


def test_what_an_undo_did_is_the_last_word(scenario: Scenario) -> None:
    shop = scenario.shop.salesData
    shop.insert_many([{"_id": key, "createdAt": old(3000)} for key in range(30)])
    run = scenario.run_through(SMALL)
    shop.insert_one({"_id": 7, "mine": "new"})
    scenario.undo(run)
    assert by_outcome(scenario, run) == {"restored": 29, "conflict": 1}
    (conflict,) = [row for row in rows(scenario, run) if row["outcome"] == "conflict"]
    assert (conflict["key"], conflict["code"]) == (7, "key_taken")
    said = document(scenario, run)
    assert (said["restored"], said["conflicts"]) == (29, 1)


def test_what_nobody_reached_is_listed_too(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_many([{"_id": key, "createdAt": old(3000)} for key in range(25)])
    run_id = scenario.request(SMALL)
    engine = scenario.engine
    assert advance.plan(engine, run_id)
    claim = claims.claim(engine.database, run_id, "w", engine.actor)
    assert claim is not None
    assert applying.work_on(engine, claim)
    operations.cancel(engine, run_id, TESTER)
    run = scenario.run(run_id)
    assert by_outcome(scenario, run) == {"changed": 10, "not_reached": 15}
    assert document(scenario, run)["skipped"]["not_reached"] == 15


def test_a_repair_shows_the_fields_before_and_after_and_no_others(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_one({"_id": 1, "quantity": -4, "revenue": 2.5, "buyer": PRIVATE})
    run = scenario.run_through(negative_values())
    (row,) = rows(scenario, run)
    assert (row["outcome"], row["code"]) == ("changed", "written")
    assert row["before"]["quantity"] == -4
    assert row["after"] == {"quantity": 0}
    assert PRIVATE not in str(row)


def test_values_are_masked_like_samples_until_they_are_revealed(scenario: Scenario) -> None:
    key = "5f2c9a7700d1e8b3"
    policy: Policy = sessions()
    scenario.shop.sessions.insert_one({"_id": key, "isActive": False, "expiresAt": old(1)})
    run = scenario.run_through(policy)
    (masked,) = rows(scenario, run)
    assert masked["key"] == "5f2c•••"
    (shown,) = rows(scenario, run, is_revealed=True)
    assert (shown["key"], shown["before"]["isActive"]) == (key, False)


def test_a_key_that_is_a_document_is_revealed_as_one(scenario: Scenario) -> None:
    key = {"region": "eu", "of": ObjectId("65f000000000000000000007")}
    scenario.shop.salesData.insert_one({"_id": key, "createdAt": old(3000)})
    run = scenario.run_through(SMALL)
    assert rows(scenario, run)[0]["key"] == "<document of 2 fields>"
    shown = rows(scenario, run, is_revealed=True)[0]["key"]
    assert shown == '{"region": "eu", "of": {"$oid": "65f000000000000000000007"}}'


def test_what_has_expired_is_a_sentence(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_one({"createdAt": old(3000)})
    run = scenario.run_through(SMALL)
    with scenario.engine.database.transaction() as session:
        session.get_one(Run, run.id).expires_at = old(1)
    scenario.advance(run.id)
    with pytest.raises(ArchiveExpired, match=r"`tend show r-1` still has its counts"):
        rows(scenario, run)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_run_five_times_as_large_takes_no_more_memory(scenario: Scenario) -> None:
    policy = purge(batch={"records": 200}, chunk=400)
    engine = scenario.engine
    peaks = []
    for count in (800, 4000):
        scenario.shop.salesData.insert_many(
            [{"createdAt": old(3000), "text": "x" * 200} for _ in range(count)]
        )
        run = scenario.run_through(policy)
        found = listing.listing(
            engine.database, engine.archive, engine.keyring, run.id, is_revealed=False
        )
        tracemalloc.start()
        assert sum(1 for _ in found.rows()) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.3
