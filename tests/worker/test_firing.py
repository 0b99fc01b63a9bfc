"""Firing: every slot becomes one row, whoever fires it and whatever the clock does."""

import random
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from policies.models import Policy
from tests.worker.scenario import sessions
from worker import firing
from worker.database import Database
from worker.firing import fire_due
from worker.slots import due_slots
from worker.states import State
from worker.tables import Doorbell, Entry, Run, RunCollection, ScheduleCursor, Switch

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def hourly(**parts: Any) -> Policy:
    return sessions(**{"schedule": {"every": "1h"}, **parts})


def fire(control: Database, policy: Policy, *moments: datetime) -> list[Run]:
    """Tick at each moment; the first only shows the schedule to the scheduler."""
    for moment in moments:
        fire_due(control, [policy], "test", moment)
    return rows(control)


def rows(control: Database) -> list[Run]:
    with control.transaction() as session:
        return list(session.scalars(select(Run).order_by(Run.scheduled_for)))


def switch(control: Database, **columns: Any) -> None:
    with control.transaction() as session:
        session.add(
            Switch(policy="under-test", actor="ann@here", reason="a test", at=NOON, **columns)
        )


def finish(control: Database, state: State) -> None:
    with control.transaction() as session:
        session.execute(update(Run).where(Run.state != State.SKIPPED).values(state=state))


def test_a_schedule_seen_for_the_first_time_fires_nothing_that_lies_before(
    control: Database,
) -> None:
    assert fire(control, hourly(), NOON, NOON + MINUTE) == []


def test_a_slot_becomes_a_queued_run_with_its_entry_and_a_doorbell(control: Database) -> None:
    fire_due(control, [hourly()], "test", NOON + MINUTE)
    assert fire_due(control, [hourly()], "test", NOON + HOUR) == 1
    (run,) = rows(control)
    assert (run.state, run.trigger, run.actor) == (State.QUEUED, "schedule", "tend-scheduler")
    assert (run.scheduled_for, run.not_before) == (NOON + HOUR, None)
    assert (run.environment, run.policy_version) == ("test", hourly().version)
    with control.transaction() as session:
        assert session.scalars(select(Doorbell.run_id)).all() == [run.id]
        assert session.scalars(select(Entry.action)).all() == ["run_created"]


def test_a_policy_without_a_schedule_never_fires(control: Database) -> None:
    assert fire(control, sessions(), NOON, NOON + 100 * HOUR) == []


def test_firing_again_at_the_same_moment_adds_nothing(control: Database) -> None:
    assert len(fire(control, hourly(), NOON, NOON + HOUR, NOON + HOUR)) == 1


def test_many_schedulers_at_once_fire_each_slot_once(control: Database) -> None:
    policy = hourly(catchup="all")
    fire_due(control, [policy], "test", NOON)
    fired: list[int] = []
    barrier = threading.Barrier(4)

    def scheduler() -> None:
        barrier.wait()
        fired.append(fire_due(control, [policy], "test", NOON + 5 * HOUR))

    threads = [threading.Thread(target=scheduler) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(fired) == [0, 0, 0, 5]
    assert [run.scheduled_for for run in rows(control)] == [NOON + n * HOUR for n in range(1, 6)]


def test_many_schedulers_may_see_a_schedule_for_the_first_time_at_once(control: Database) -> None:
    fired: list[int] = []
    barrier = threading.Barrier(4)

    def scheduler() -> None:
        barrier.wait()
        fired.append(fire_due(control, [hourly()], "test", NOON))

    threads = [threading.Thread(target=scheduler) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fired == [0, 0, 0, 0]
    assert len(fire(control, hourly(), NOON + HOUR)) == 1


def test_after_an_outage_the_newest_slot_fires_and_the_others_say_why_not(
    control: Database,
) -> None:
    runs = fire(control, hourly(), NOON, NOON + 3 * HOUR + MINUTE)
    assert [(run.state, run.refusal) for run in runs] == [
        (State.SKIPPED, "missed: 7260 s late, catchup is latest"),
        (State.SKIPPED, "missed: 3660 s late, catchup is latest"),
        (State.QUEUED, None),
    ]


def test_catchup_skip_fires_only_what_is_less_than_a_minute_late(control: Database) -> None:
    policy = hourly(catchup="skip")
    late = fire(control, policy, NOON, NOON + HOUR + timedelta(seconds=61))
    assert [run.refusal for run in late] == ["missed: 61 s late, catchup is skip"]
    *_, run = fire(control, policy, NOON + 2 * HOUR + MINUTE)
    assert run.state == State.QUEUED


def test_catchup_all_fires_every_slot(control: Database) -> None:
    runs = fire(control, hourly(catchup="all"), NOON, NOON + 4 * HOUR)
    assert [run.state for run in runs] == [State.QUEUED] * 4


def test_a_long_outage_is_worked_off_in_bounded_steps_and_only_its_newest_slot_fires(
    control: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(firing, "MAX_SLOTS", 4)
    back = NOON + 10 * HOUR
    steps = [len(fire(control, hourly(), moment)) for moment in (NOON, back, back, back, back)]
    assert steps == [0, 4, 8, 10, 10]
    assert [run.state for run in rows(control)] == [State.SKIPPED] * 9 + [State.QUEUED]


@pytest.mark.parametrize("catchup", ["latest", "skip"])
@pytest.mark.parametrize("state", [State.QUEUED, State.APPLYING, State.AWAITING_APPROVAL])
def test_a_slot_is_skipped_while_a_run_of_its_policy_goes_on(
    control: Database, catchup: str, state: State
) -> None:
    policy = hourly(catchup=catchup)
    (first,) = fire(control, policy, NOON, NOON + HOUR)
    finish(control, state)
    _, second = fire(control, policy, NOON + 2 * HOUR)
    words = str(state).replace("_", " ")
    assert (second.state, second.refusal) == (State.SKIPPED, f"r-{first.id} is still {words}")


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED, State.PLANNED, State.REFUSED])
def test_a_run_that_is_over_or_only_observed_does_not_hold_back_the_next(
    control: Database, state: State
) -> None:
    fire(control, hourly(), NOON, NOON + HOUR)
    finish(control, state)
    _, second = fire(control, hourly(), NOON + 2 * HOUR)
    assert second.state == State.QUEUED


def test_an_unfinished_run_of_another_policy_holds_back_nothing(control: Database) -> None:
    policies = [hourly(), hourly(name="another")]
    fire_due(control, policies, "test", NOON)
    assert fire_due(control, policies, "test", NOON + HOUR) == 2


def test_a_paused_schedule_says_who_paused_it_and_why(control: Database) -> None:
    switch(control, schedule_paused=True)
    (run,) = fire(control, hourly(), NOON, NOON + HOUR)
    assert (run.state, run.refusal) == (State.SKIPPED, "schedule paused by ann@here: a test")


def test_a_skipped_slot_rings_nobody_and_is_recorded(control: Database) -> None:
    switch(control, schedule_paused=True)
    fire(control, hourly(), NOON, NOON + HOUR)
    with control.transaction() as session:
        assert session.scalars(select(Doorbell)).all() == []
        assert session.scalars(select(Entry.action)).all() == ["run_skipped"]


def test_only_a_policy_enabled_in_its_present_text_may_change_data(control: Database) -> None:
    switch(control, enabled_version=hourly().version)
    changed = hourly(description="The same, in other words.")
    fire(control, hourly(), NOON, NOON + HOUR)
    finish(control, State.SUCCEEDED)
    fire(control, changed, NOON + 2 * HOUR)
    assert [run.apply_after_plan for run in rows(control)] == [True, False]


def test_a_policy_nobody_has_enabled_observes(control: Database) -> None:
    (run,) = fire(control, hourly(), NOON, NOON + HOUR)
    assert run.apply_after_plan is False


def test_jitter_delays_the_start_alike_for_every_scheduler_and_never_the_slot(
    control: Database,
) -> None:
    policy = hourly(schedule={"every": "1h", "jitter": "10m"}, catchup="all")
    fired = fire(control, policy, NOON, NOON + 6 * HOUR)
    with control.transaction() as session:
        due = {bell.run_id: bell.due_at for bell in session.scalars(select(Doorbell))}
        for table in (Doorbell, Entry, RunCollection, Run):
            session.execute(delete(table))
        session.execute(update(ScheduleCursor).values(through=NOON))
    again = fire(control, policy, NOON + 6 * HOUR)
    starts = [run.not_before - run.scheduled_for for run in fired]  # type: ignore[operator]  # both are set, or the test fails here
    assert [run.scheduled_for for run in fired] == [NOON + n * HOUR for n in range(1, 7)]
    assert all(timedelta() <= delay < 10 * MINUTE for delay in starts)
    assert len(set(starts)) == 6
    assert [run.not_before for run in again] == [run.not_before for run in fired]
    assert [due[run.id] for run in fired] == [run.not_before for run in fired]


def test_a_changed_schedule_starts_anew_from_now(control: Database) -> None:
    fire(control, hourly(), NOON, NOON + HOUR)
    minutely = hourly(schedule={"every": "1m"}, catchup="all")
    later = NOON + 5 * HOUR
    runs = fire(control, minutely, later, later + MINUTE)
    assert [run.scheduled_for for run in runs] == [NOON + HOUR, later + MINUTE]


def test_a_schedule_that_was_taken_away_for_a_while_starts_anew(control: Database) -> None:
    fire(control, hourly(), NOON)
    fire(control, sessions(), NOON + HOUR)
    runs = fire(control, hourly(), NOON + 9 * HOUR, NOON + 10 * HOUR)
    assert [run.scheduled_for for run in runs] == [NOON + 10 * HOUR]


def test_a_clock_that_jumps_backwards_fires_nothing_twice(control: Database) -> None:
    policy = hourly(catchup="all")
    back_and_forth = (NOON, NOON + 3 * HOUR, NOON - HOUR, NOON + HOUR, NOON + 4 * HOUR)
    runs = fire(control, policy, *back_and_forth)
    assert [run.scheduled_for for run in runs] == [NOON + n * HOUR for n in range(1, 5)]


def test_a_cursor_that_was_set_back_meets_slots_that_are_done_and_goes_on(
    control: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(firing, "MAX_SLOTS", 2)
    policy = hourly(catchup="all")
    fire(control, policy, NOON, NOON + 2 * HOUR)
    with control.transaction() as session:
        session.execute(update(ScheduleCursor).values(through=NOON))
    runs = fire(control, policy, NOON + 3 * HOUR, NOON + 3 * HOUR)
    assert [run.scheduled_for for run in runs] == [NOON + n * HOUR for n in range(1, 4)]


@pytest.mark.parametrize("catchup", ["latest", "skip", "all"])
def test_every_slot_ends_as_one_row_whenever_the_schedulers_tick(
    control: Database, monkeypatch: pytest.MonkeyPatch, catchup: str
) -> None:
    monkeypatch.setattr(firing, "MAX_SLOTS", 5)
    dice = random.Random(catchup)
    policy = sessions(schedule={"cron": "*/7 * * * *", "timezone": "UTC"}, catchup=catchup)
    fire(control, policy, NOON)
    latest = moment = NOON
    for _ in range(40):
        moment += timedelta(seconds=dice.choice([-900, 1, 1, 60, 420, 2400]))
        latest = max(latest, moment)
        fire(control, policy, moment)
        if dice.random() < 0.5:
            finish(control, State.SUCCEEDED)
    while True:
        before = len(rows(control))
        if len(fire(control, policy, latest)) == before:
            break
    slots = [run.scheduled_for for run in rows(control)]
    assert policy.schedule is not None
    assert slots == list(due_slots(policy.schedule, NOON, latest))
