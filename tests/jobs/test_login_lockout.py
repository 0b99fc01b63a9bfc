"""From failed logins to locks, blocks and notices, on a real database."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from bson import ObjectId
from sqlalchemy import select, update

import policies
from jobs.base import Record
from jobs.login_lockout import acting, following
from jobs.login_lockout.deciding import LoginLockout
from jobs.login_lockout.options import LockoutOptions
from jobs.login_lockout.tables import LockoutDecision
from policies.models import Policy
from tests.jobs.upset import Upset
from tests.worker.scenario import NOW, TESTER, Scenario
from worker import braking
from worker.registry import Policies
from worker.tables import Alert, Notice, Run
from worker.targets.mongo_documents import MongoGuardedDocuments
from worker.tasks.context import Looking, Performing

POLICY = Policies.load([Path(policies.__path__[0])]).get("login-lockout").policy
ANN, BOB = ObjectId(), ObjectId()
ADDRESS = "203.0.113.7"
MINUTE = timedelta(minutes=1)


def failure(ago: float, who: Any = ANN, address: str = ADDRESS, **more: Any) -> dict[str, Any]:
    return {
        "userId": who,
        "ipAddress": address,
        "outcome": "failure",
        "timestamp": NOW - ago * MINUTE,
        **more,
    }


def arrange(scenario: Scenario) -> None:
    """Ann's account is to be locked, and the address blocked; and Bob's from another one."""
    scenario.shop.users.insert_many(
        [
            {"_id": ANN, "email": "ann@example.org", "isLocked": False},
            {"_id": BOB, "email": "bob@example.org"},
        ]
    )
    scenario.shop.ipblacklists.create_index("ipAddress")
    scenario.shop.loginevents.create_index("timestamp")
    scenario.shop.loginevents.insert_many(
        [
            *(failure(n) for n in range(5)),
            *(failure(n, "bob@example.org", "198.51.100.9") for n in range(5)),
        ]
    )


UPSETS = {"login-lockout": Upset(arrange, 4, ("users", "ipblacklists"))}


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


@pytest.fixture
def shop(scenario: Scenario) -> Scenario:
    scenario.shop.users.insert_many(
        [
            {"_id": ANN, "email": "ann@example.org", "isLocked": False},
            {"_id": BOB, "email": "bob@example.org"},
        ]
    )
    scenario.shop.loginevents.create_index("timestamp")
    return scenario


def locked(scenario: Scenario) -> set[Any]:
    return set(scenario.shop.users.distinct("_id", {"isLocked": True}))


def blocked(scenario: Scenario) -> set[str]:
    return set(scenario.shop.ipblacklists.distinct("ipAddress"))


def run(scenario: Scenario, policy: Policy = POLICY) -> Run:
    found = scenario.run_through(policy)
    assert (found.state, found.error) == ("succeeded", None)
    return found


def decisions(scenario: Scenario) -> list[LockoutDecision]:
    with scenario.engine.database.transaction() as session:
        return list(session.scalars(select(LockoutDecision).order_by(LockoutDecision.id)))


def with_options(**changes: Any) -> Policy:
    options = type(POLICY.options).model_validate({**POLICY.options.model_dump(), **changes})
    return POLICY.model_copy(update={"options": options})


def test_the_fifth_failure_locks_for_half_an_hour_and_blocks_for_a_day(shop: Scenario) -> None:
    shop.shop.loginevents.insert_many([failure(n) for n in range(1, 6)])
    run(shop)
    ann = shop.shop.users.find_one({"_id": ANN}) or {}
    at = NOW - MINUTE
    assert (ann["isLocked"], ann["lockedAt"]) == (True, at)
    assert ann["lockedUntil"] == at + 30 * MINUTE
    (entry,) = shop.shop.ipblacklists.find({}, {"_id": 0})
    assert entry == {
        "ipAddress": ADDRESS,
        "reason": "brute_force_attack",
        "blockedAt": at,
        "expiresAt": at + timedelta(hours=24),
    }
    assert [(each.kind, each.attempts) for each in decisions(shop)] == [("lock", 5), ("block", 5)]
    assert all(each.confirmed_at is not None for each in decisions(shop))


def test_four_failures_do_nothing_and_the_same_again_does_nothing_twice(shop: Scenario) -> None:
    shop.shop.loginevents.insert_many([failure(n) for n in range(1, 5)])
    run(shop)
    assert (locked(shop), blocked(shop)) == (set(), set())
    shop.shop.loginevents.insert_one(failure(0.5))
    run(shop)
    before = shop.contents("users") | shop.contents("ipblacklists")
    assert run(shop).planned == 0
    assert shop.contents("users") | shop.contents("ipblacklists") == before


def test_an_id_and_a_name_are_one_user_and_names_are_one_name(shop: Scenario) -> None:
    names = [ANN, str(ANN), "ann@example.org", "ANN@Example.ORG", " ann@example.org"]
    shop.shop.loginevents.insert_many([failure(n, who) for n, who in enumerate(names, 1)])
    run(shop)
    assert locked(shop) == {ANN}


def test_nobody_by_name_and_names_without_an_account_lock_nobody(shop: Scenario) -> None:
    tries = [
        *(failure(n, None) for n in range(1, 6)),
        *(failure(n, "", "198.51.100.1") for n in range(1, 6)),
        *(failure(n, "nobody@example.org", "198.51.100.2") for n in range(1, 6)),
        *(failure(n, {"$ne": None}, "198.51.100.3") for n in range(1, 6)),
    ]
    shop.shop.loginevents.insert_many(tries)
    run(shop)
    assert locked(shop) == set()
    assert blocked(shop) == {ADDRESS, "198.51.100.1", "198.51.100.2", "198.51.100.3"}


def test_what_arrives_late_counts_and_what_is_from_the_future_does_not(shop: Scenario) -> None:
    shop.shop.loginevents.insert_many([failure(n) for n in (1, 2, 8, 9)])
    shop.shop.loginevents.insert_one(failure(-60))
    run(shop)
    assert locked(shop) == set()
    shop.shop.loginevents.insert_one(failure(5))
    run(shop)
    assert locked(shop) == {ANN}


def test_old_events_make_no_fresh_lock(shop: Scenario) -> None:
    shop.shop.loginevents.insert_many([failure(n) for n in range(11, 16)])
    assert run(shop).planned == 0
    assert locked(shop) == set()


def test_a_persons_lock_stays_as_it_is(shop: Scenario) -> None:
    shop.shop.users.update_one({"_id": ANN}, {"$set": {"isLocked": True}})
    before = shop.contents("users")
    shop.shop.loginevents.insert_many([failure(n) for n in range(1, 6)])
    run(shop)
    assert shop.contents("users") == before
    (lock,) = [each for each in decisions(shop) if each.kind == "lock"]
    assert lock.lifted_by == "another lock stands"


def test_private_trusted_and_shared_addresses_are_not_blocked(shop: Scenario) -> None:
    for address in ("10.0.0.5", "192.0.2.4", "198.51.100.1"):
        shop.shop.loginevents.insert_many([failure(n, "x@y.z", address) for n in range(1, 6)])
    shop.shop.loginevents.insert_many(
        [{**failure(9000, f"user{n}", "198.51.100.1"), "outcome": "success"} for n in range(20)]
    )
    run(shop, with_options(never_block=["192.0.2.0/24"]))
    assert blocked(shop) == set()
    whys = sorted(each.why for each in decisions(shop))
    assert whys == ["not_blocked_private", "not_blocked_shared", "not_blocked_trusted"]


def test_beyond_so_many_locks_in_an_hour_a_person_decides(shop: Scenario) -> None:
    people = [{"_id": f"user{n}"} for n in range(3)]
    shop.shop.users.insert_many(people)
    for n in range(3):
        tries = [failure(5 - m, f"user{n}", f"198.51.100.{n}") for m in range(5)]
        shop.shop.loginevents.insert_many(tries)
    policy = with_options(locks_per_hour=2)
    run(shop, policy)
    assert len(locked(shop)) == 2
    assert [each.why for each in decisions(shop)].count("lock_withheld") == 1
    assert run(shop, policy).planned == 0


def test_an_attack_on_the_accounts_releases_those_that_it_had_locked(shop: Scenario) -> None:
    shop.shop.users.insert_many([{"_id": f"user{n}"} for n in range(3)])
    policy = with_options(attack={"victims": 3, "within": "1h"})
    shop.shop.loginevents.insert_many([failure(5, f"user{n}") for n in range(2) for _ in range(5)])
    run(shop, policy)
    assert locked(shop) == {"user0", "user1"}
    shop.shop.loginevents.insert_many([failure(2, "user2") for _ in range(5)])
    run(shop, policy)
    assert locked(shop) == set()
    assert run(shop, policy).planned == 0


def test_it_is_told_in_the_transaction_that_decides(shop: Scenario) -> None:
    shop.shop.loginevents.insert_many([failure(n) for n in range(1, 6)])
    run(shop)
    run(shop)
    with shop.engine.database.transaction() as session:
        assert len(session.scalars(select(Notice)).all()) == 2


def test_a_brake_for_all_policies_spares_it(shop: Scenario) -> None:
    shop.shop.loginevents.insert_many([failure(n) for n in range(1, 6)])
    braking.pull(shop.engine.database, None, TESTER, everything=False)
    run(shop)
    assert locked(shop) == {ANN}


def test_what_says_nothing_certain_is_counted_as_of_the_latest_look(shop: Scenario) -> None:
    shop.shop.loginevents.insert_many([failure(-60), failure(1, address="nowhere"), failure(1)])
    run(shop)
    assert set_aside(shop) == {"future": 1, "address": 1}
    shop.shop.loginevents.delete_many({})
    run(shop)
    assert set_aside(shop) == {}


def set_aside(scenario: Scenario) -> dict[str, int]:
    with scenario.engine.database.transaction() as session:
        return following.set_aside(session, POLICY.name)


def wide(scenario: Scenario, minutes: float = 1) -> None:
    """Ten addresses, each with one failure of Ann's."""
    tries = [failure(minutes, address=f"198.51.100.{n}") for n in range(10)]
    scenario.shop.loginevents.insert_many(tries)


def test_a_user_tried_from_many_addresses_is_asked_for_more_and_not_locked(shop: Scenario) -> None:
    wide(shop)
    run(shop)
    ann = shop.shop.users.find_one({"_id": ANN}) or {}
    assert (ann["isLocked"], ann["stepUpUntil"]) == (False, NOW + 59 * MINUTE)
    assert [each.why for each in decisions(shop)] == ["distributed"]
    wide(shop, 0.5)
    assert run(shop).planned == 0


def test_a_later_moment_stays_and_a_worker_that_died_before_it_wrote_is_made_good(
    shop: Scenario,
) -> None:
    wide(shop)
    later = NOW + timedelta(days=1)
    shop.shop.users.update_one({"_id": ANN}, {"$set": {"stepUpUntil": later}})
    context = Performing(shop.engine, "login_lockout", NOW)
    (alert,) = LoginLockout().plan(context, POLICY)
    assert acting.perform(context, POLICY, alert).changed == 1
    assert (shop.shop.users.find_one({"_id": ANN}) or {})["stepUpUntil"] == later
    with shop.engine.database.transaction() as session:
        session.execute(update(LockoutDecision).values(confirmed_at=None))
    shop.shop.users.update_one({"_id": ANN}, {"$unset": {"stepUpUntil": ""}})
    assert acting.perform(context, POLICY, alert).changed == 1
    assert (shop.shop.users.find_one({"_id": ANN}) or {})["stepUpUntil"] == NOW + 59 * MINUTE
    assert acting.perform(context, POLICY, alert).changed_since == 1


def test_a_policy_may_say_that_an_alert_is_all(shop: Scenario) -> None:
    wide(shop)
    run(shop, with_options(distributed={"step_up": "0m"}))
    assert [each.why for each in decisions(shop)] == ["distributed"]
    assert "stepUpUntil" not in (shop.shop.users.find_one({"_id": ANN}) or {})


def test_the_shipped_policy_reads_the_log_if_there_is_one_and_says_so_if_not(
    shop: Scenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = cast(LockoutOptions, POLICY.options)
    assert run(shop).planned == 0
    assert following.absent(options) == ["logs/security-*.log"]
    (tmp_path / "logs").mkdir()
    lines = [f"{NOW - n * MINUTE:%Y-%m-%d %H:%M:%S} WARN failed_login {ADDRESS}" for n in range(5)]
    (tmp_path / "logs" / "security-2026-11-22.log").write_text("\n".join(reversed(lines)) + "\n")
    assert following.absent(options) == []
    run(shop)
    assert (locked(shop), blocked(shop)) == (set(), {ADDRESS})


def test_an_address_that_many_users_share_is_asked_about_until_somebody_vouches(
    shop: Scenario,
) -> None:
    crowd = [{**failure(n, f"user{n}"), "outcome": "success"} for n in range(20)]
    few = [{**failure(n, f"user{n}", "198.51.100.9"), "outcome": "success"} for n in range(19)]
    same = [{**failure(n, "Ann", "198.51.100.8"), "outcome": "success"} for n in range(30)]
    home = [{**failure(n, f"user{n}", "10.0.0.5"), "outcome": "success"} for n in range(30)]
    shop.shop.loginevents.insert_many([*crowd, *few, *same, *home])
    context = Looking(shop.engine, "login_lockout", NOW)
    (question,) = LoginLockout().questions(context, POLICY)
    assert question.startswith(f"20 users logged in from {ADDRESS} within 7d: is it a proxy")
    vouched = with_options(never_block=[ADDRESS])
    assert list(LoginLockout().questions(context, vouched)) == []


class Undoing(MongoGuardedDocuments):
    """The target of an application that frees each account as soon as it is locked."""

    def update(
        self,
        collection: str,
        where: Mapping[str, Any],
        fields: Record,
        unset: Sequence[str] = (),
    ) -> bool:
        written = super().update(collection, where, fields, unset)
        super().update(collection, {"isLocked": True}, {"isLocked": False})
        return written


def test_a_lock_that_did_not_take_is_an_alert_until_it_is_lifted(
    shop: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.shop.loginevents.insert_many([failure(n) for n in range(1, 6)])
    plan = shop.plan(POLICY)
    database: Any = shop.shop
    monkeypatch.setattr(Performing, "documents", Undoing(database))
    shop.apply(plan)
    (chunk,) = shop.chunks(plan.id)
    assert (chunk.changed, chunk.failed) == (1, 1)
    (alert,) = alerts(shop)
    assert (alert.event, alert.severity, alert.cleared_at) == ("protection_failed", "P0", None)
    monkeypatch.undo()
    shop.clock.moment += timedelta(days=1)
    release = Policies.load([Path(policies.__path__[0])]).get("lockout-release").policy
    run(shop, release)
    (alert,) = alerts(shop)
    assert alert.cleared_at is not None


def alerts(scenario: Scenario) -> list[Alert]:
    with scenario.engine.database.transaction() as session:
        return list(session.scalars(select(Alert).where(Alert.event == "protection_failed")))


def test_two_workers_that_decide_at_once_make_one_lock(shop: Scenario) -> None:
    """Each has planned on its own; the second finds the decision made."""
    shop.shop.loginevents.insert_many([failure(n) for n in range(1, 6)])
    twins = [POLICY.model_copy(update={"name": name}) for name in ("login-lockout", "a-twin")]
    plans = [shop.plan(twin) for twin in twins]
    assert [plan.planned for plan in plans] == [2, 2]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(shop.apply, plans))
    for plan in plans:
        assert shop.run(plan.id).state == "succeeded"
    assert len(decisions(shop)) == 2
    assert shop.shop.ipblacklists.count_documents({}) == 1
    changed = [sum(chunk.changed for chunk in shop.chunks(plan.id)) for plan in plans]
    assert sum(changed) >= 2


def test_users_and_addresses_lie_sealed_in_the_control_database(
    shop: Scenario,
) -> None:
    shop.shop.loginevents.insert_many([failure(n, "ann@example.org") for n in range(1, 6)])
    run(shop)
    with shop.engine.database.transaction() as session:
        rows = session.scalars(select(LockoutDecision)).all()
        kept = repr([vars(row) for row in rows])
    assert "ann@example" not in kept
    assert ADDRESS not in kept
