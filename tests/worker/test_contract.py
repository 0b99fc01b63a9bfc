"""The contract of every job, over the registry and the shipped policies: adding one adds a case."""

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import policies
import tests.jobs
from policies.models import Batch, Guards, Policy
from tests.jobs.damage import DUE, Damage
from tests.worker.scenario import Scenario
from worker.audit.entries import leaf_hash
from worker.claims import totals
from worker.mirror import mirror
from worker.registry import Policies, job_of, jobs

SHIPPED = {
    loaded.policy.name: loaded.policy for loaded in Policies.load([Path(policies.__path__[0])])
}
AMPLE = Guards(max_records=1_000, max_percent=100)


def _damage() -> dict[str, Damage]:
    """What the tests of the jobs say: per shipped policy, what it is after and what it leaves."""
    found: dict[str, Damage] = {}
    for module in pkgutil.iter_modules(tests.jobs.__path__, "tests.jobs."):
        found |= getattr(importlib.import_module(module.name), "DAMAGE", {})
    return found


DAMAGE = _damage()


def ample(policy: Policy) -> Policy:
    """A shipped policy as it is, but for the size of a test's data."""
    small = {"guards": AMPLE, "chunk": 15, "batch": Batch(records=4)}
    return policy.model_copy(update=small)


@pytest.fixture(params=sorted(SHIPPED))
def policy(request: pytest.FixtureRequest, scenario: Scenario) -> Iterator[Policy]:
    shipped = SHIPPED[request.param]
    due, sound = DAMAGE[shipped.name]
    collection = scenario.shop[shipped.options.model_dump()["collection"]]
    collection.insert_many([*due, *sound])
    for name in {name for record in due for name in record} | {"cost", "revenue"}:
        collection.create_index(name)
    yield shipped
    for records in (due, sound):
        for record in records:
            record.pop("_id", None)


def collection_of(policy: Policy) -> str:
    return str(policy.options.model_dump()["collection"])


def images(scenario: Scenario, policy: Policy) -> dict[Any, bytes]:
    """The collection to the byte, without Tend's own summaries in the application's log."""
    found = scenario.contents(collection_of(policy))
    return {key: image for key, image in found.items() if not str(key).startswith("tend:")}


def test_every_job_has_a_shipped_policy() -> None:
    assert {policy.job for policy in SHIPPED.values()} == set(jobs())
    assert set(DAMAGE) == set(SHIPPED)


def test_planning_writes_nothing(scenario: Scenario, policy: Policy) -> None:
    """The plan is read by a user that cannot write; and to the byte nothing is different."""
    before = images(scenario, policy)
    run = scenario.plan(ample(policy))
    assert (run.state, run.planned, run.population) == ("planned", DUE, 2 * DUE)
    assert images(scenario, policy) == before
    assert "tend_fences" not in scenario.shop.list_collection_names()


def test_a_guard_trips_before_the_first_change(scenario: Scenario, policy: Policy) -> None:
    before = images(scenario, policy)
    tight = policy.model_copy(update={"guards": Guards(max_records=DUE - 1, max_percent=100)})
    run = scenario.run_through(tight)
    assert run.state == "refused"
    assert images(scenario, policy) == before


def test_a_second_apply_changes_nothing(scenario: Scenario, policy: Policy) -> None:
    first = scenario.run_through(ample(policy))
    after = images(scenario, policy)
    assert first.state == "succeeded"
    second = scenario.run_through(ample(policy))
    assert (second.state, second.planned) == ("succeeded", 0)
    assert images(scenario, policy) == after


def test_what_was_planned_changes_and_comes_back(scenario: Scenario, policy: Policy) -> None:
    before = images(scenario, policy)
    run = scenario.run_through(ample(policy))
    after = images(scenario, policy)
    assert sum(after.get(key) != image for key, image in before.items()) == DUE
    assert scenario.undo(run).state == "undone"
    assert images(scenario, policy) == before


def test_each_change_has_its_audit_entry(scenario: Scenario, policy: Policy) -> None:
    run = scenario.run_through(ample(policy))
    entries = scenario.entries(run.id)
    assert all(entry.leaf_hash == leaf_hash(entry.body) for entry in entries)
    actions = [entry.action for entry in entries]
    assert actions.count("chunk_intent") == actions.count("chunk_outcome") == 3
    with scenario.engine.database.transaction() as session:
        assert totals(session, run.id).changed == DUE


def test_a_finished_run_is_mirrored_once_in_the_applications_log(
    scenario: Scenario, policy: Policy
) -> None:
    run = scenario.run_through(ample(policy))
    scenario.advance(run.id)
    mirror(scenario.engine, run.id)
    job = job_of(policy)
    found = list(scenario.shop.auditlogs.find({"action": job.mirror_action}))
    assert len(found) == 1
    assert found[0]["details"][job.mirror_count] == DUE
    assert found[0]["details"]["cutoffDate"] == _milliseconds(run.cutoff)


def _milliseconds(moment: Any) -> Any:
    return moment and moment.replace(microsecond=moment.microsecond // 1000 * 1000)
