import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import pytest
from sqlalchemy import select

from worker import identity, runs
from worker.database import Database, now
from worker.errors import ForbiddenArrow
from worker.states import ALLOWED, ARROWS, UNFINISHED, State
from worker.states_doc import FIRST, document
from worker.tables import Entry, Run

DOCUMENT = Path(__file__).parents[2] / "docs" / "states.md"
ACTOR = identity.service("test")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url)
    yield opened
    opened.close()


def run_in(database: Database, state: State) -> int:
    with database.transaction() as session:
        run = Run(
            policy="a-test",
            policy_version="0" * 64,
            policy_text="{}",
            environment="test",
            state=state,
            trigger="manual",
            apply_after_plan=False,
            actor=ACTOR.name,
            actor_proof=ACTOR.proof,
            reason="to try the arrows",
            created_at=now(session),
        )
        session.add(run)
        session.flush()
        return run.id


def state_and_actions(database: Database, number: int) -> tuple[State, list[str]]:
    with database.transaction() as session:
        actions = session.scalars(select(Entry.action).where(Entry.run_id == number)).all()
        return runs.get(session, number).state, list(actions)


def move(database: Database, seen: Run, to: State) -> bool:
    """Move the run from the state it was seen in; whether the arrow was taken."""
    try:
        with database.transaction() as session:
            session.add(seen)
            runs.move(session, seen, to, ACTOR)
    except ForbiddenArrow:
        return False
    return True


def look(database: Database, number: int) -> Run:
    with database.transaction() as session:
        return runs.get(session, number)


def test_every_arrow_of_the_table_is_taken_with_an_entry_and_no_other_writes_anything(
    database: Database,
) -> None:
    for start, end in product(State, State):
        number = run_in(database, start)
        is_allowed = (start, end) in ALLOWED
        assert move(database, look(database, number), end) == is_allowed, f"{start} to {end}"
        expected = (end, [f"run_{end}"]) if is_allowed else (start, [])
        assert state_and_actions(database, number) == expected, f"{start} to {end}"


def test_of_two_racing_moves_exactly_one_wins(database: Database) -> None:
    for _ in range(5):
        number = run_in(database, State.QUEUED)
        both_have_looked = threading.Barrier(2)

        def race(
            to: State, number: int = number, looked: threading.Barrier = both_have_looked
        ) -> bool:
            seen = look(database, number)
            looked.wait(timeout=30)
            return move(database, seen, to)

        wanted = [State.PLANNING, State.CANCELLED]
        with ThreadPoolExecutor(2) as racers:
            won = list(racers.map(race, wanted))
        assert sum(won) == 1
        winner = wanted[won.index(True)]
        assert state_and_actions(database, number) == (winner, [f"run_{winner}"])


def test_a_refused_move_says_where_the_run_is(database: Database) -> None:
    number = run_in(database, State.SUCCEEDED)
    says = rf"^Run r-{number} is succeeded; from there it cannot become applying\.$"
    with database.transaction() as session, pytest.raises(ForbiddenArrow, match=says):
        runs.move(session, runs.get(session, number), State.APPLYING, ACTOR)


def test_an_error_after_a_move_takes_back_the_move_and_its_entry(database: Database) -> None:
    number = run_in(database, State.QUEUED)

    def move_and_stumble() -> None:
        with database.transaction() as session:
            runs.move(session, runs.get(session, number), State.PLANNING, ACTOR)
            raise InterruptedError

    with pytest.raises(InterruptedError):
        move_and_stumble()
    assert state_and_actions(database, number) == (State.QUEUED, [])


def test_every_state_can_be_reached_and_every_state_with_work_can_be_left() -> None:
    reached = set(FIRST) | {arrow.end for arrow in ARROWS}
    assert reached == set(State)
    assert {arrow.start for arrow in ARROWS} >= UNFINISHED


def test_the_documentation_of_the_states_is_current() -> None:
    assert DOCUMENT.read_text() == document(), "python -m worker.states_doc > docs/states.md"
