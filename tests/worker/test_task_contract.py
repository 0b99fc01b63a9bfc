"""The contract of every task job, over the registry and the shipped policies."""

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import policies
import tests.jobs
from policies.models import Batch, Guards, Policy
from tests.jobs.upset import Upset
from tests.worker.scenario import TESTER, Scenario
from worker import braking, claims
from worker.audit.entries import leaf_hash
from worker.audit.verify import verify
from worker.errors import ArchiveExpired, UsageError
from worker.mirror import mirror
from worker.registry import Policies, any_job_of, is_task
from worker.targets.kinds import kinds_of
from worker.targets.sql import SqlTarget
from worker.tasks.performing import work_on

pytestmark = pytest.mark.sqlite_control

SHIPPED = {
    loaded.policy.name: loaded.policy
    for loaded in Policies.load([Path(policies.__path__[0])])
    if is_task(loaded.policy)
}


def _upsets() -> dict[str, Upset]:
    found: dict[str, Upset] = {}
    for module in pkgutil.iter_modules(tests.jobs.__path__, "tests.jobs."):
        found |= getattr(importlib.import_module(module.name), "UPSETS", {})
    return found


UPSETS = _upsets()


@pytest.fixture
def scenario(scenario: Scenario, redis_url: str, sqlite_shop_url: str) -> Iterator[Scenario]:
    """With everything that a task may ask for."""
    sql = SqlTarget(sqlite_shop_url)
    targets = {**scenario.engine.targets, "sql": sql}
    scenario.engine = replace(scenario.engine, targets=targets, redis_url=redis_url)
    yield scenario
    sql.close()


@pytest.fixture(params=sorted(SHIPPED))
def policy(request: pytest.FixtureRequest, scenario: Scenario) -> Policy:
    """A shipped policy with something to do, in small chunks and batches."""
    shipped = SHIPPED[str(request.param)]
    UPSETS[shipped.name].arrange(scenario)
    small = {"chunk": 3, "batch": Batch(records=2), "approval": "none"}
    return shipped.model_copy(update=small)


def contents(scenario: Scenario, policy: Policy) -> dict[str, dict[Any, bytes]]:
    return {name: scenario.contents(name) for name in UPSETS[policy.name].collections}


def test_every_task_policy_says_how_it_is_upset() -> None:
    assert set(UPSETS) == set(SHIPPED)


def test_planning_writes_nothing_to_a_target(scenario: Scenario, policy: Policy) -> None:
    before = contents(scenario, policy)
    run = scenario.plan(policy)
    assert (run.state, run.planned) == ("planned", UPSETS[policy.name].items)
    assert contents(scenario, policy) == before


def test_a_guard_trips_before_the_first_task(scenario: Scenario, policy: Policy) -> None:
    before = contents(scenario, policy)
    items = UPSETS[policy.name].items
    tight = policy.model_copy(update={"guards": Guards(max_records=items - 1, max_percent=100)})
    assert scenario.run_through(tight).state == "refused"
    assert contents(scenario, policy) == before


def test_a_second_run_finds_nothing_to_do(scenario: Scenario, policy: Policy) -> None:
    before = contents(scenario, policy)
    first = scenario.run_through(policy)
    after = contents(scenario, policy)
    assert (first.state, first.error) == ("succeeded", None)
    assert (after != before) is bool(UPSETS[policy.name].collections)
    second = scenario.run_through(policy)
    assert (second.state, second.planned) == ("succeeded", 0)
    assert contents(scenario, policy) == after


def test_items_whose_worker_was_lost_are_performed_again_and_counted_once(
    scenario: Scenario, policy: Policy
) -> None:
    run = scenario.plan(policy)
    scenario.apply_later(run)
    engine = scenario.engine
    lost = claims.claim(engine.database, run.id, "a worker that dies", engine.actor)
    assert lost is not None
    scenario.expire_leases()
    assert scenario.advance(run.id).state == "succeeded"
    assert not work_on(engine, lost)
    with engine.database.transaction() as session:
        assert claims.totals(session, run.id).total == UPSETS[policy.name].items


def test_each_chunk_has_its_entries(scenario: Scenario, policy: Policy) -> None:
    run = scenario.run_through(policy)
    entries = scenario.entries(run.id)
    assert all(entry.leaf_hash == leaf_hash(entry.body) for entry in entries)
    actions = [entry.action for entry in entries]
    chunks = -(-UPSETS[policy.name].items // policy.chunk)
    assert actions.count("chunk_intent") == actions.count("chunk_outcome") == chunks
    assert verify(scenario.engine.database).findings == []


def test_a_brake_on_everything_stops_it_before_its_first_write(
    scenario: Scenario, policy: Policy
) -> None:
    before = contents(scenario, policy)
    run = scenario.plan(policy)
    braking.pull(scenario.engine.database, None, TESTER, everything=True)
    assert scenario.apply(run).state == "applying"
    assert contents(scenario, policy) == before
    braking.release(scenario.engine.database, None, TESTER, everything=True)
    assert scenario.advance(run.id).state == "succeeded"


def test_a_run_that_did_something_is_in_the_applications_log(
    scenario: Scenario, policy: Policy
) -> None:
    run = scenario.run_through(policy)
    scenario.advance(run.id)
    mirror(scenario.engine, run.id)
    idle = scenario.run_through(policy)
    scenario.advance(idle.id)
    job = any_job_of(policy)
    found = list(scenario.shop.auditlogs.find({"action": job.mirror_action}))
    assert bool(found) == bool(kinds_of(policy))
    assert all(each["details"][job.mirror_count] > 0 for each in found)
    assert scenario.run(idle.id).mirrored_at is not None


def test_it_cannot_be_undone_or_narrowed_by_a_selector(scenario: Scenario, policy: Policy) -> None:
    run = scenario.run_through(policy)
    with pytest.raises(ArchiveExpired, match="cannot be taken back"):
        scenario.undo(run)
    with pytest.raises(UsageError, match="leave --where out"):
        scenario.request(policy, where={"equals": {"field": "a", "value": 1}}, limit=None)
