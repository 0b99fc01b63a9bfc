"""Windows: their edges one by one, and 20,000 random sequences against the oracle."""

from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from jobs.login_lockout.events import Event
from jobs.login_lockout.windows import Decision, Facts, Span
from tests.jobs.login_lockout.oracle import Oracle
from tests.jobs.login_lockout.rules import (
    MINUTE,
    NOON,
    RULES,
    decide,
    fails,
    kinds,
    logs_in,
)

SEQUENCES = 20_000
LOCK = ("lock", "failures", "ann")
BLOCK = ("block", "failures", "203.0.113.7")


def random_events(random: Random) -> list[Event]:
    """A few users and addresses, on a grid so coarse that times are often equal or on an edge."""
    minutes = sorted(random.randrange(0, 60) for _ in range(random.randrange(1, 26)))
    people = ["ann", "bob", None]
    places = ["203.0.113.7", "198.51.100.9"]
    return [
        Event(
            NOON + minute * MINUTE,
            random.choice(people),
            random.choice(places),
            random.random() < 0.85,
            random.choice([1, 1, 1, 1, 2, 7]),
        )
        for minute in minutes
    ]


@pytest.mark.parametrize("part", range(4))
def test_no_decision_is_missed_and_none_is_wrong_in_random_sequences(part: int) -> None:
    random = Random(part)
    decided = 0
    for _ in range(SEQUENCES // 4):
        events = random_events(random)
        failures = random.choice([2, 3, 5])
        ladder = [random.choice([3, 10, 30]) * MINUTE for _ in range(random.choice([1, 2]))]
        block = random.choice([5, 24 * 60]) * MINUTE
        rules: dict[str, Any] = {"failures": failures, "ladder": ladder, "block": block}
        found = [
            (each.kind, each.subject, each.at, each.attempts) for each in decide(*events, **rules)
        ]
        found = [each for each in found if each[0] != "alert"]
        said = Oracle(replace(RULES, **rules)).judge(events)
        assert sorted(found) == sorted(said), events
        decided += len(found)
    assert decided > SEQUENCES // 4


def test_five_within_ten_minutes_lock_and_block_and_the_fifth_may_come_at_exactly_ten() -> None:
    at_ten = decide(*map(fails, [0, 1, 2, 3, 10]))
    assert kinds(at_ten) == [LOCK, BLOCK]
    lock, block = at_ten
    assert (lock.attempts, lock.at, lock.until) == (5, NOON + 10 * MINUTE, NOON + 40 * MINUTE)
    assert block.until == NOON + 10 * MINUTE + timedelta(hours=24)
    just_after = decide(*map(fails, [0, 1, 2, 3]), fails(10 + 1 / 60))
    assert just_after == []


def test_equal_times_count_each() -> None:
    assert kinds(decide(*[fails(0)] * 4)) == []
    assert kinds(decide(*[fails(0)] * 5)) == [LOCK, BLOCK]


def test_a_line_that_tells_of_several_counts_them_all() -> None:
    assert kinds(decide(fails(0), fails(1, tries=3))) == []
    assert kinds(decide(fails(0), fails(1, tries=4))) == [LOCK, BLOCK]


def test_tries_while_locked_count_towards_the_block_and_never_extend_the_lock() -> None:
    first = list(map(fails, range(5)))
    meanwhile = [fails(10 + n, address="198.51.100.9") for n in range(5)]
    lock, block, other = decide(*first, *meanwhile)
    assert (lock.kind, lock.until) == ("lock", NOON + 34 * MINUTE)
    assert [block.subject, other.subject] == ["203.0.113.7", "198.51.100.9"]
    assert other.kind == "block"


def test_a_success_clears_only_that_users_own_failures() -> None:
    mixed = [*map(fails, range(4)), *(fails(n, "bob") for n in range(4))]
    after = sorted([*mixed, logs_in(5, "bob"), fails(6), fails(6, "bob")], key=lambda each: each.at)
    assert kinds(decide(*after)) == [LOCK, BLOCK]


def test_a_login_after_the_failures_that_lock_is_the_alarm() -> None:
    decisions = decide(*map(fails, range(5)), logs_in(6))
    assert kinds(decisions)[-1] == ("alert", "success_after_failures", "ann")
    assert kinds(decide(*map(fails, range(4)), logs_in(6))) == []


def test_a_try_that_names_nobody_feeds_the_address_alone() -> None:
    assert kinds(decide(*(fails(n, None) for n in range(5)))) == [BLOCK]
    two = [fails(n, None, f"203.0.113.{n}") for n in range(5)]
    assert kinds(decide(*two)) == []


def test_many_users_from_one_address_are_spraying() -> None:
    spray = [fails(n / 2, f"user{n}") for n in range(10)]
    (block,) = decide(*spray, spray_users=10)
    assert (block.kind, block.why, block.attempts) == ("block", "spraying", 10)
    assert decide(*spray[:9], logs_in(4.6, "user0"), spray[9], spray_users=10) == []


def test_many_addresses_at_one_user_alert_and_do_not_lock() -> None:
    wide = [fails(n / 2, address=f"203.0.113.{n}") for n in range(10)]
    (alert,) = decide(*wide, wide_addresses=10)
    assert kinds([alert]) == [("alert", "distributed", "ann")]


def test_an_address_that_must_not_be_blocked_is_told_of_and_the_account_is_locked() -> None:
    decisions = decide(*map(fails, range(6)), may_block=lambda _address, _at: "shared")
    assert kinds(decisions) == [LOCK, ("alert", "not_blocked_shared", "203.0.113.7")]


def test_an_account_for_emergencies_is_told_of_once_and_not_locked() -> None:
    decisions = decide(*map(fails, range(8)), break_glass=frozenset({"ann"}))
    assert kinds(decisions) == [("alert", "break_glass", "ann"), BLOCK]


def test_the_ladder_is_climbed_and_its_last_step_stays() -> None:
    ladder = [30 * MINUTE, 120 * MINUTE]
    bursts = [fails(start + n) for start in (0, 60, 300) for n in range(5)]
    locks = [each for each in decide(*bursts, ladder=ladder) if each.kind == "lock"]
    assert [each.until - each.at for each in locks] == [ladder[0], ladder[1], ladder[1]]


def test_one_address_that_gets_account_after_account_locked_releases_its_victims() -> None:
    bursts = [fails(n + m / 10, f"user{n}") for n in range(3) for m in range(5)]
    decisions = decide(*bursts, victims=3)
    alert = decisions[-1]
    assert (alert.why, alert.users) == ("attack_on_accounts", ("user0", "user1"))
    assert [each.subject for each in decisions if each.kind == "lock"] == ["user0", "user1"]
    more = [fails(5 + m / 10, "user9") for m in range(5)]
    after = decide(*bursts, *more, victims=3)
    assert "user9" not in [each.subject for each in after if each.kind == "lock"]


def test_what_is_older_than_the_window_locks_nobody_and_hides_nothing_fresh() -> None:
    old = [fails(n - 60) for n in range(5)]
    fresh = [fails(n - 40) for n in range(5)]
    decisions = decide(*old, *fresh, not_before=NOON - 40 * MINUTE)
    assert [(each.kind, each.at) for each in decisions] == [
        ("lock", NOON - 36 * MINUTE),
        ("block", NOON - 36 * MINUTE),
    ]


def test_late_events_do_not_make_a_second_lock_of_one_burst() -> None:
    burst = list(map(fails, range(5)))
    lock, block = decide(*burst)
    spans = tuple(as_span(each) for each in (lock, block))
    late = sorted([*burst, fails(0.5), fails(1.5)], key=lambda each: each.at)
    assert decide(*late, facts=Facts(spans)) == []


def test_a_pardon_ends_what_came_before_it_and_nothing_after() -> None:
    pardoned = Facts(users_pardoned={"ann": NOON + 3 * MINUTE})
    assert "lock" not in [each.kind for each in decide(*map(fails, range(5)), facts=pardoned)]
    after = [fails(4 + n) for n in range(5)]
    assert LOCK in kinds(decide(*map(fails, range(4)), *after, facts=pardoned))


def as_span(decision: Decision) -> Span:
    return Span(
        decision.kind,
        decision.subject,
        decision.since,
        decision.at,
        decision.until,
        decision.address,
    )
