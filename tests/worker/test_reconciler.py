"""The reconciler: whatever is unfinished is rung for again, and nothing else."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from tests.worker.scenario import TESTER, sessions
from worker import database, operations
from worker.database import Database
from worker.heartbeat import Heartbeat
from worker.reconciler import BATCH, TIDY_EVERY, UNFINISHED_EVERY, WORKER_GONE, reconcile
from worker.states import UNFINISHED, State
from worker.tables import Chunk, Doorbell, Process, Run

SECOND = timedelta(seconds=1)
AT_REST = sorted(set(State) - UNFINISHED)
EVERY = {"unfinished": UNFINISHED_EVERY, "untidy": TIDY_EVERY}
Make = Callable[..., int]


@pytest.fixture
def moment(control: Database) -> datetime:
    """Now, on the clock of the database, with a worker that has just given a sign of life."""
    Heartbeat(control, "worker").beat()
    with control.transaction() as session:
        return database.now(session)


@pytest.fixture
def run(control: Database) -> Make:
    """Makes a run with no doorbell, rung for long ago unless told otherwise."""

    def make(**columns: Any) -> int:
        run_id = operations.request(
            control, sessions(), "test", TESTER, apply_after_plan=True, inline=False, narrowing={}
        )
        with control.transaction() as session:
            session.execute(delete(Doorbell).where(Doorbell.run_id == run_id))
            session.execute(
                update(Run).where(Run.id == run_id).values(**{"rung_at": None, **columns})
            )
        return run_id

    return make


def owed(control: Database) -> list[int]:
    with control.transaction() as session:
        return list(session.scalars(select(Doorbell.run_id).order_by(Doorbell.id)))


@pytest.mark.parametrize("state", sorted(UNFINISHED))
@pytest.mark.usefixtures("moment")
def test_an_unfinished_run_without_a_doorbell_is_rung_for(
    control: Database, run: Make, state: State
) -> None:
    run_id = run(state=state)
    assert reconcile(control) == 1
    assert owed(control) == [run_id]


@pytest.mark.parametrize("state", AT_REST)
def test_a_run_that_waits_for_a_person_or_is_over_is_left_alone(
    control: Database, run: Make, moment: datetime, state: State
) -> None:
    run(state=state, mirrored_at=moment)
    assert reconcile(control) == 0
    assert owed(control) == []


@pytest.mark.usefixtures("moment")
def test_a_run_that_has_a_doorbell_gets_no_second_one(control: Database, run: Make) -> None:
    run_id = run()
    assert [reconcile(control), reconcile(control)] == [1, 0]
    assert owed(control) == [run_id]


@pytest.mark.parametrize(("ago", "rung"), [(-SECOND, 1), (SECOND, 0)])
@pytest.mark.parametrize("kind", EVERY)
def test_a_run_is_rung_for_again_only_after_a_while(
    control: Database, run: Make, moment: datetime, kind: str, ago: timedelta, rung: int
) -> None:
    state = State.APPLYING if kind == "unfinished" else State.SUCCEEDED
    run(state=state, rung_at=moment - EVERY[kind] + ago)
    assert reconcile(control) == rung


LEASES = [
    ("chunk", 9, 2, 1),
    ("chunk", 1, 2, 0),
    ("chunk", 9, -2, 0),
    ("chunk", -60, 2, 1),
    ("chunk", -60, -2, 0),
    ("run", 9, 2, 1),
    ("run", 1, 2, 0),
    ("run", 9, -2, 0),
]
"""Who held it, how many seconds ago it was rung for and the lease ended, and the rings owed."""


@pytest.mark.parametrize(("holder", "rung_ago", "ended_ago", "rings"), LEASES)
def test_a_run_whose_lease_has_ended_is_rung_for_at_once_and_once(
    control: Database,
    run: Make,
    moment: datetime,
    holder: str,
    rung_ago: int,
    ended_ago: int,
    rings: int,
) -> None:
    """Also if a bell is owed later, for another chunk's next try."""
    rung_at, lease_until = moment - rung_ago * SECOND, moment - ended_ago * SECOND
    run_id = run(state=State.APPLYING, rung_at=rung_at)
    claim = {"run_id": run_id, "direction": "apply", "number": 0, "items": 1, "state": "claimed"}
    with control.transaction() as session:
        if rung_ago < 0:
            session.add(Doorbell(run_id=run_id, due_at=rung_at))
        if holder == "chunk":
            session.add(Chunk(**claim, lease_until=lease_until))
        else:
            session.execute(update(Run).values(lease_until=lease_until))
    assert [reconcile(control), reconcile(control)] == [rings, 0]


@pytest.mark.usefixtures("moment")
def test_a_run_of_an_inline_process_is_left_to_it(control: Database, run: Make) -> None:
    run(state=State.APPLYING, inline=True)
    assert reconcile(control) == 0


@pytest.mark.parametrize(("delay", "rung"), [(-SECOND, 1), (timedelta(minutes=1), 0)])
def test_a_run_is_not_rung_for_before_its_start(
    control: Database, run: Make, moment: datetime, delay: timedelta, rung: int
) -> None:
    run(not_before=moment + delay)
    assert reconcile(control) == rung


def test_without_a_living_worker_nothing_is_rung(
    control: Database, run: Make, moment: datetime
) -> None:
    """A queue that fills for a night would take the workers an hour to drain."""
    run()
    with control.transaction() as session:
        session.execute(update(Process).values(seen_at=moment - WORKER_GONE - SECOND))
    Heartbeat(control, "scheduler").beat()
    assert reconcile(control) == 0
    Heartbeat(control, "worker").beat()
    assert reconcile(control) == 1


@pytest.mark.parametrize(
    "state", [State.SUCCEEDED, State.FAILED, State.CANCELLED, State.UNDONE, State.REFUSED]
)
@pytest.mark.usefixtures("moment")
def test_a_run_that_is_over_is_rung_for_until_its_summary_is_mirrored(
    control: Database, run: Make, state: State
) -> None:
    run(state=state)
    assert reconcile(control) == (state != State.REFUSED)


@pytest.mark.parametrize(
    ("key", "expired", "rung"), [(b"wrapped", True, 1), (b"wrapped", False, 0), (None, True, 0)]
)
def test_an_archive_past_its_time_is_rung_for_until_its_key_is_destroyed(
    control: Database, run: Make, moment: datetime, key: bytes | None, *, expired: bool, rung: int
) -> None:
    expires_at = moment - SECOND if expired else moment + timedelta(hours=1)
    run(state=State.SUCCEEDED, mirrored_at=moment, key=key, expires_at=expires_at)
    assert reconcile(control) == rung


@pytest.mark.parametrize(
    ("chunk", "rung"),
    [
        ({"state": "claimed", "attempt": 1}, 1),
        ({"state": "pending", "attempt": 1}, 1),
        ({"state": "failed", "attempt": 1}, 1),
        ({"state": "stopped", "attempt": 1}, 0),
        ({"state": "done", "attempt": 1}, 0),
        ({"state": "pending", "attempt": 0}, 0),
        ({"state": "claimed", "attempt": 1, "direction": "undo"}, 1),
    ],
)
def test_a_cancelled_run_is_rung_for_until_the_fences_of_its_chunks_are_closed(
    control: Database, run: Make, moment: datetime, chunk: dict[str, Any], rung: int
) -> None:
    run_id = run(state=State.CANCELLED, mirrored_at=moment)
    with control.transaction() as session:
        session.add(
            Chunk(**{"run_id": run_id, "direction": "apply", "number": 0, **chunk}, items=1)
        )
    assert reconcile(control) == rung


@pytest.mark.usefixtures("moment")
def test_more_runs_than_one_look_takes_get_their_turn_the_oldest_first(
    control: Database, run: Make
) -> None:
    ids = [run() for _ in range(BATCH + 1)]
    assert [reconcile(control), reconcile(control), reconcile(control)] == [BATCH, 1, 0]
    assert owed(control) == ids
