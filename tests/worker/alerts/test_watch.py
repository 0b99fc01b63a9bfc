"""What raises alerts by itself, and that each clears when its cause is gone."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

import policies
from policies.thresholds import Thresholds, load_thresholds
from tests.worker.alerts.conftest import PassTime
from tests.worker.scenario import ANOTHER, TESTER, purge
from worker import database, identity, operations, runs
from worker.alerts import answering
from worker.alerts.conditions import ALL, SCHEDULERS
from worker.alerts.watch import Watch
from worker.database import Database
from worker.heartbeat import Heartbeat
from worker.keys import Keyring
from worker.measuring import Measures
from worker.runs import Request
from worker.states import State
from worker.tables import Backlog, Entry, Process, Run

pytestmark = pytest.mark.sqlite_control

HOUR = timedelta(hours=1)
POLICY = purge(schedule={"every": "1h"})
WORKER = identity.service("worker")


class Frugal(Measures):
    """Uses little; the process of a long test run holds more than one of Tend's ever should."""

    def now(self) -> dict[str, Any]:
        return {**super().now(), "memory_bytes": 2**20, "cpu": 0.0}


@pytest.fixture
def site(control: Database, keyring: Keyring, pass_time: PassTime) -> "Site":
    return Site(control, keyring, pass_time)


class Site:
    """An installation whose processes beat, and whose scheduler looks, when a test says so."""

    def __init__(self, control: Database, keyring: Keyring, pass_time: PassTime) -> None:
        self.control = control
        self.keyring = keyring
        self.pass_time = pass_time
        self.watch = Watch(control, keyring, [POLICY], Thresholds())

    def beat(self, *kinds: str) -> None:
        for kind in kinds or ("scheduler", "worker"):
            Heartbeat(self.control, kind, Frugal()).beat()

    def stands(self) -> list[str]:
        """Look, while scheduler and worker live; the events that stand then."""
        self.beat()
        self.watch.look()
        return self.standing()

    def standing(self) -> list[str]:
        return [each["event"] for each in self.listed()]

    def listed(self) -> list[answering.Document]:
        with self.control.transaction() as session:
            return answering.listed(session, self.keyring)

    def scheduled(self, *states: State, slot: datetime | None = None) -> int:
        """A run that a schedule made and that took these arrows."""
        with self.control.transaction() as session:
            moment = database.now(session)
            wanted = Request(
                policy=POLICY,
                environment="test",
                trigger="schedule",
                actor=WORKER,
                reason="scheduled",
                apply_after_plan=True,
                scheduled_for=slot or moment,
            )
            run = runs.create(session, wanted)
            for state in states:
                is_over = state in {State.SUCCEEDED, State.FAILED}
                runs.move(session, run, state, WORKER, finished_at=moment if is_over else None)
            return run.id

    def succeeded(self) -> int:
        return self.scheduled(*THROUGH, State.SUCCEEDED)

    def failed(self) -> int:
        return self.scheduled(*THROUGH, State.FAILED)

    def measured(self, **said: object) -> None:
        with self.control.transaction() as session:
            workers = update(Process).where(Process.kind == "worker")
            session.execute(workers.values(measured=said))


THROUGH = (State.PLANNING, State.PLANNED, State.APPLYING, State.VERIFYING)


def test_where_all_is_well_nothing_stands(site: Site) -> None:
    site.succeeded()
    assert site.stands() == []


def test_a_failed_run_stands_until_the_policy_succeeds_again(site: Site) -> None:
    run = site.failed()
    assert site.stands() == ["run_failed"]
    assert site.listed()[0]["next"] == f"tend show r-{run}"
    site.failed()
    assert site.stands() == ["run_failed"]
    site.succeeded()
    assert site.stands() == []


def test_a_failed_run_that_a_person_ends_stands_no_longer(site: Site) -> None:
    run = site.failed()
    assert site.stands() == ["run_failed"]
    with site.control.transaction() as session:
        runs.move(session, runs.get(session, run), State.CANCELLED, WORKER)
    assert site.stands() == []


def test_a_refused_plan_stands_until_the_schedule_gets_further(site: Site) -> None:
    site.scheduled(State.PLANNING, State.REFUSED)
    assert site.stands() == ["guard_refused"]
    site.succeeded()
    assert site.stands() == []


def test_a_plan_that_waits_too_long_for_approval_stands_until_somebody_decides(
    site: Site,
) -> None:
    run = site.scheduled(State.PLANNING, State.PLANNED, State.AWAITING_APPROVAL)
    assert site.stands() == []
    with site.control.transaction() as session:
        long_ago = database.now(session) - 5 * HOUR
        session.execute(update(Entry).values(at=long_ago))
    assert site.stands() == ["approval_waiting"]
    with site.control.transaction() as session:
        runs.move(session, runs.get(session, run), State.REJECTED, ANOTHER.actor)
    assert site.stands() == []


def test_an_enabled_policy_that_does_not_succeed_after_its_due_time_is_overdue(
    site: Site,
) -> None:
    operations.enable(site.control, POLICY, TESTER)
    run = site.scheduled(*THROUGH)
    assert site.stands() == []
    site.pass_time(7 * HOUR)
    assert site.stands() == ["policy_overdue"]
    with site.control.transaction() as session:
        moment = database.now(session)
        runs.move(session, runs.get(session, run), State.SUCCEEDED, WORKER, finished_at=moment)
    assert site.stands() == []


def test_a_policy_that_nobody_enabled_is_never_overdue(site: Site) -> None:
    site.scheduled(State.PLANNING, State.PLANNED)
    site.pass_time(7 * HOUR)
    assert site.stands() == []


@pytest.mark.parametrize(("days", "stands"), [(2, []), (4, ["records_overdue"])])
def test_records_kept_too_long_stand(site: Site, days: int, stands: list[str]) -> None:
    operations.enable(site.control, POLICY, TESTER)
    with site.control.transaction() as session:
        session.add(
            Backlog(
                policy=POLICY.name,
                at=database.now(session),
                records=7,
                at_least=False,
                late_seconds=days * 86400,
                problem=None,
            )
        )
    assert site.stands() == stands


@pytest.mark.parametrize(("failed", "stands"), [(2, []), (3, ["error_rate"])])
def test_too_many_failures_stand_though_each_was_made_good(
    site: Site, failed: int, stands: list[str]
) -> None:
    for _ in range(failed):
        site.failed()
    assert "error_rate" not in site.stands()
    for _ in range(12 - failed):
        site.succeeded()
    assert site.stands() == stands


def test_a_process_that_uses_too_much_stands_until_it_does_no_longer(site: Site) -> None:
    site.beat()
    site.measured(memory_bytes=600 * 2**20, cpu=0.01)
    site.watch.look()
    assert site.standing() == ["resources"]
    site.measured(memory_bytes=80 * 2**20, cpu=0.01)
    site.watch.look()
    assert site.standing() == []


@pytest.mark.parametrize(
    ("seconds", "failing_minutes", "stands"),
    [
        (0.1, None, []),
        (2.5, None, ["target_slow"]),
        (None, 1, []),
        (None, 3, ["target_unreachable"]),
        (None, None, []),
    ],
)
def test_a_target_that_answers_slowly_or_not_at_all_stands(
    site: Site, seconds: float | None, failing_minutes: int | None, stands: list[str]
) -> None:
    with site.control.transaction() as session:
        moment = database.now(session)
    since = None
    if failing_minutes is not None:
        since = (moment - timedelta(minutes=failing_minutes)).isoformat()
    site.beat()
    site.measured(targets={"mongo": {"seconds": seconds, "failing_since": since}})
    site.watch.look()
    assert site.standing() == stands


def test_one_worker_that_reaches_the_target_is_enough(site: Site) -> None:
    site.beat()
    site.measured(
        targets={"mongo": {"seconds": None, "failing_since": "2020-01-01T00:00:00+00:00"}}
    )
    site.beat("worker")
    with site.control.transaction() as session:
        newest = session.scalars(select(Process).where(Process.measured != {})).all()[-1]
        answers = {"mongo": {"seconds": 0.01, "failing_since": None}}
        newest.measured = {**newest.measured, "targets": answers}
    site.watch.look()
    assert site.standing() == []


def test_no_worker_for_a_quarter_of_an_hour_stands_until_one_is_back(site: Site) -> None:
    site.beat()
    site.pass_time(timedelta(minutes=14))
    site.beat("scheduler")
    site.watch.look()
    assert site.standing() == []
    site.pass_time(timedelta(minutes=2))
    site.beat("scheduler")
    site.watch.look()
    assert site.standing() == ["worker_missing"]
    assert site.stands() == []


def test_a_worker_notices_that_no_scheduler_lives_and_nothing_else(site: Site) -> None:
    site.failed()
    site.beat()
    site.pass_time(timedelta(minutes=14))
    site.watch.look([SCHEDULERS])
    assert site.standing() == []
    site.pass_time(timedelta(minutes=2))
    site.watch.look([SCHEDULERS])
    (only,) = site.listed()
    assert (only["event"], only["severity"]) == ("scheduler_missing", "P0")


def test_where_none_was_ever_seen_a_worker_counts_from_its_own_beginning(site: Site) -> None:
    site.watch.look([SCHEDULERS])
    assert site.standing() == []
    site.pass_time(timedelta(minutes=16))
    site.watch.look([SCHEDULERS])
    assert site.standing() == ["scheduler_missing"]


def test_a_worker_that_starts_anew_does_not_take_back_what_another_noticed(site: Site) -> None:
    site.watch.look([SCHEDULERS])
    site.pass_time(timedelta(minutes=16))
    site.watch.look([SCHEDULERS])
    Watch(site.control, site.keyring, (), Thresholds()).look([SCHEDULERS])
    assert site.standing() == ["scheduler_missing"]
    site.beat("scheduler")
    Watch(site.control, site.keyring, (), Thresholds()).look([SCHEDULERS])
    assert site.standing() == []


def test_a_condition_that_cannot_be_looked_at_keeps_no_other_from_it(
    site: Site,
) -> None:
    site.beat()
    site.failed()
    site.measured(targets="not what a worker writes")
    site.watch.look()
    assert site.standing() == ["run_failed"]
    with site.control.transaction() as session:
        session.execute(update(Run).values(state=State.CANCELLED))
    site.watch.look()
    assert site.standing() == []


def test_each_event_belongs_to_one_condition() -> None:
    owned = [event for condition in ALL for event in condition.events]
    assert len(owned) == len(set(owned))


def test_the_shipped_file_says_what_the_defaults_are() -> None:
    assert load_thresholds([Path(policies.__path__[0])]) == Thresholds()


def test_an_overlay_changes_one_threshold_and_leaves_the_others(tmp_path: Path) -> None:
    (tmp_path / "alerts").mkdir()
    (tmp_path / "alerts" / "thresholds.yaml").write_text("error_rate: {percent: 50}\n")
    found = load_thresholds([Path(policies.__path__[0]), tmp_path])
    assert found.error_rate.percent == 50
    assert found.error_rate.runs == Thresholds().error_rate.runs
    assert found.policy_overdue == Thresholds().policy_overdue
