"""`kill -9` between an account's children: each record goes once, or comes back once."""

import signal
from collections import Counter
from typing import Any

import pytest

from policies.models import Batch
from tests.faults.invariants import archived
from tests.faults.processes import PATIENCE
from tests.faults.victim import start
from tests.mongo_databases import Indexes
from tests.worker import accounts
from tests.worker.accounts import add, cascade, everything, left, owned
from tests.worker.scenario import NOW, Scenario
from worker.audit.verify import verify

pytestmark = pytest.mark.sqlite_control

SMALL = Batch(records=10)
STEPS = (
    "before the fence",
    "after the archive",
    "after the change",
    "after the target's commit",
    "before the control commit",
)


@pytest.fixture
def mongo_indexes() -> Indexes:
    return accounts.PREPARED


@pytest.fixture
def run_id(scenario: Scenario) -> int:
    """Two accounts: one with many sales, and one with few records; seven batches in all."""
    add(scenario, "large", children={"sessions": 8, "salesData": 41})
    add(scenario, "small", children={"sessions": 3, "stores": 1})
    plan = scenario.plan(cascade(batch=SMALL))
    scenario.apply_later(plan)
    return plan.id


def by_collection(contents: dict[str, dict[Any, bytes]]) -> Counter[tuple[str, Any]]:
    return Counter((name, key) for name, images in contents.items() for key in images)


def as_archived(contents: dict[str, dict[Any, bytes]]) -> Counter[tuple[str | None, Any]]:
    """The same, with None for the collection that the policy names."""
    places = by_collection(contents)
    return Counter((None if name == "users" else name, key) for name, key in places)


@pytest.mark.parametrize("step", STEPS)
def test_a_worker_killed_among_the_children_leaves_exact_work(
    scenario: Scenario, environment: dict[str, str], run_id: int, step: str
) -> None:
    before = everything(scenario)
    victim = start(environment, run_id, step, 3, signal.SIGKILL)
    assert victim.wait(PATIENCE) == -signal.SIGKILL
    assert 0 < sum(left(scenario).values()) < 55
    scenario.expire_leases()
    run = scenario.work_off(run_id)
    assert run.state == "succeeded", run.error
    assert sum(left(scenario).values()) == 0
    (chunk,) = scenario.chunks(run_id)
    assert (chunk.changed, chunk.attempt) == (2, 2)
    assert chunk.cascade == {"sessions": 11, "stores": 1, "salesData": 41}
    assert archived(scenario, run_id) == as_archived(before)
    assert verify(scenario.engine.database).findings == []
    assert scenario.undo(run).state == "undone"
    assert everything(scenario) == before


@pytest.mark.parametrize("step", STEPS)
def test_a_worker_killed_while_it_gives_back_leaves_exact_work(
    scenario: Scenario, environment: dict[str, str], run_id: int, step: str
) -> None:
    before = everything(scenario)
    first = start(environment, run_id, "before the control commit", 4, signal.SIGKILL)
    assert first.wait(PATIENCE) == -signal.SIGKILL
    owned(scenario, "sessions", "large", NOW)
    scenario.expire_leases()
    second = start(environment, run_id, step, 2, signal.SIGKILL)
    assert second.wait(PATIENCE) == -signal.SIGKILL
    scenario.expire_leases()
    run = scenario.work_off(run_id)
    assert run.state == "succeeded", run.error
    assert left(scenario) == {
        "users": 1,
        "sessions": 9,
        "forecasts": 0,
        "salesData": 41,
        "stores": 0,
    }
    (chunk,) = scenario.chunks(run_id)
    assert (chunk.changed, chunk.changed_since, chunk.attempt) == (1, 1, 3)
    after = everything(scenario)
    kept = {place for place in by_collection(before) if place[1] in after[place[0]]}
    assert all(after[name][key] == before[name][key] for name, key in kept)
    assert scenario.undo(run).state == "undone"
    assert by_collection(before) - by_collection(everything(scenario)) == Counter()
    assert verify(scenario.engine.database).findings == []
