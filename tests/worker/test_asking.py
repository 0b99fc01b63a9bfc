"""Every command in every state: taken where the table says so, and else one sentence."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from policies.errors import TendError
from tests.worker.scenario import ANOTHER, TESTER, Scenario, purge
from worker import approval, database, operations, runs
from worker.asking import COMMANDS, INSTEAD
from worker.errors import ForbiddenArrow
from worker.keys import RunKey
from worker.picking import Selection
from worker.registry import frozen_policy
from worker.states import State
from worker.tables import Entry, Run

pytestmark = pytest.mark.sqlite_control

HOW: dict[str, Callable[[Scenario, Run], object]] = {
    "apply": lambda scenario, run: operations.apply(
        scenario.engine.database, run.id, frozen_policy(run.policy_text), TESTER, inline=True
    ),
    "approve": lambda scenario, run: approval.approve(
        scenario.engine.database, run.id, frozen_policy(run.policy_text), ANOTHER, inline=True
    ),
    "reject": lambda scenario, run: approval.reject(scenario.engine.database, run.id, ANOTHER),
    "override": lambda scenario, run: approval.override(
        scenario.engine.database, run.id, "max_records", frozen_policy(run.policy_text), TESTER
    ),
    "cancel": lambda scenario, run: operations.cancel(scenario.engine, run.id, TESTER),
    "pause": lambda scenario, run: operations.pause(scenario.engine.database, run.id, TESTER),
    "resume": lambda scenario, run: operations.resume(
        scenario.engine.database, run.id, TESTER, inline=True
    ),
    "undo": lambda scenario, run: operations.undo(
        scenario.engine.database, run.id, TESTER, inline=True
    ),
    "undo --only": lambda scenario, run: operations.undo(
        scenario.engine.database, run.id, TESTER, inline=True, only=Selection((), 0)
    ),
}


def run_in(scenario: Scenario, state: State) -> Run:
    """A run in this state in which nothing but the state can stand in a command's way."""
    run_id = scenario.request(purge())
    with scenario.engine.database.transaction() as session:
        moment = database.now(session)
        columns = {
            "state": state,
            "applying_at": moment,
            "phase": "undo" if state == State.UNDOING else "apply",
            "expires_at": moment + timedelta(hours=1),
            "key": scenario.engine.keyring.wrap(RunKey.new()),
            "digest": "0" * 64,
            "preview": {"guards": [{"guard": "max_records", "tripped": state == State.REFUSED}]},
            "refusal": "max_records allows 1 records and the plan has 2 records",
        }
        session.execute(update(Run).where(Run.id == run_id).values(columns))
    return scenario.run(run_id)


def entries(scenario: Scenario) -> int:
    with scenario.engine.database.transaction() as session:
        return session.scalar(select(func.count()).select_from(Entry)) or 0


def contents(scenario: Scenario, run_id: int) -> dict[str, object]:
    with scenario.engine.database.transaction() as session:
        run = runs.get(session, run_id)
        return {column.key: getattr(run, column.key) for column in Run.__table__.columns}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_taken_where_the_table_says_so_and_else_changes_nothing(
    scenario: Scenario, command: str, state: State
) -> None:
    run = run_in(scenario, state)
    before, entries_before = contents(scenario, run.id), entries(scenario)
    if state in COMMANDS[command].accepted:
        HOW[command](scenario, run)
        assert entries(scenario) > entries_before
        return
    with pytest.raises(TendError) as refused:
        HOW[command](scenario, run)
    assert contents(scenario, run.id) == before
    assert entries(scenario) == entries_before
    _is_one_sentence_that_names_the_state(str(refused.value), run)


def _is_one_sentence_that_names_the_state(says: str, run: Run) -> None:
    assert says.startswith(f"r-{run.id} ")
    assert run.state.replace("_", " ") in says
    assert says.endswith(".")
    assert "\n" not in says


def test_every_state_says_what_to_do_instead() -> None:
    assert set(INSTEAD) == set(State)


def test_a_refusal_names_the_state_and_what_to_do(scenario: Scenario) -> None:
    run = run_in(scenario, State.VERIFYING)
    says = (
        f"r-{run.id} is verifying and cannot be cancelled: wait until it is verified; then "
        f"`tend undo r-{run.id}` takes it back."
    )
    with pytest.raises(ForbiddenArrow) as refused:
        operations.cancel(scenario.engine, run.id, TESTER)
    assert str(refused.value) == says
