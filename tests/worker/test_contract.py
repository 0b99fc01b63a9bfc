"""The contract of every job, over the registry and the shipped policies: adding one adds a case."""

import importlib
import pkgutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import create_engine

import policies
import tests.jobs
from policies.models import Batch, Guards, Policy, RecordOptions
from tests.jobs.damage import DUE, Damage
from tests.worker.places import ControlPlace, MongoPlace, Place, SqlPlace
from tests.worker.scenario import Scenario
from worker.audit.entries import leaf_hash
from worker.claims import totals
from worker.errors import ArchiveExpired
from worker.mirror import mirror
from worker.own_data import take_along
from worker.registry import Policies, every_job, is_task, job_of
from worker.targets.kinds import kind_of
from worker.targets.sql import SqlTarget

EVERY = {
    loaded.policy.name: loaded.policy for loaded in Policies.load([Path(policies.__path__[0])])
}
pytestmark = pytest.mark.sqlite_control

SHIPPED = {name: policy for name, policy in EVERY.items() if not is_task(policy)}
"""Those that change records; `test_task_contract.py` has the others."""
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
    small = {"guards": AMPLE, "chunk": 15, "batch": Batch(records=4), "approval": "none"}
    return policy.model_copy(update=small)


@pytest.fixture(params=sorted(SHIPPED))
def policy(request: pytest.FixtureRequest) -> Policy:
    return SHIPPED[str(request.param)]


@pytest.fixture
def place(request: pytest.FixtureRequest, scenario: Scenario, policy: Policy) -> Iterator[Place]:
    """The target with what is due and what is sound; SQL is the kind that production has."""
    due, sound, beside, indexes = DAMAGE[policy.name]
    with ExitStack() as stack:
        place: Place
        if kind_of(policy) == "mongo":
            place = MongoPlace(scenario)
        elif kind_of(policy) == "control":
            place = ControlPlace(scenario)
            target = SqlTarget(str(request.getfixturevalue("database_url")), None, take_along)
            stack.callback(target.close)
            targets = {**scenario.engine.targets, "control": target}
            scenario.engine = replace(scenario.engine, targets=targets)
        else:
            url = str(request.getfixturevalue("postgresql_shop_url"))
            place = SqlPlace(create_engine(url))
            stack.callback(place.engine.dispose)
            target = SqlTarget(url)
            stack.callback(target.close)
            targets = {**scenario.engine.targets, "sql": target}
            scenario.engine = replace(scenario.engine, targets=targets)
        for name, records in beside.items():
            place.put(name, records)
        for name, fields in indexes.items():
            place.index(name, fields)
        place.put(collection_of(policy), [*due, *sound])
        yield place


def collection_of(policy: Policy) -> str:
    return str(policy.options.model_dump()["collection"])


def images(place: Place, policy: Policy) -> dict[tuple[str, Any], Any]:
    """Everything that the policy may change, by collection and key."""
    names = cast(RecordOptions, policy.options).written
    return {(name, key): image for name in names for key, image in place.images(name).items()}


def test_every_job_has_a_shipped_policy() -> None:
    assert {policy.job for policy in EVERY.values()} == set(every_job())
    assert set(DAMAGE) == set(SHIPPED)


def test_planning_writes_nothing(scenario: Scenario, policy: Policy, place: Place) -> None:
    """The plan is read by a user that cannot write; and to the byte nothing is different."""
    before = images(place, policy)
    run = scenario.plan(ample(policy))
    assert (run.state, run.planned) == ("planned", DUE)
    assert run.population == place.count(collection_of(policy))
    assert images(place, policy) == before
    assert not place.has_fences()


def test_a_guard_trips_before_the_first_change(
    scenario: Scenario, policy: Policy, place: Place
) -> None:
    before = images(place, policy)
    tight = policy.model_copy(update={"guards": Guards(max_records=DUE - 1, max_percent=100)})
    run = scenario.run_through(tight)
    assert run.state == "refused"
    assert images(place, policy) == before


def test_a_second_apply_changes_nothing(scenario: Scenario, policy: Policy, place: Place) -> None:
    first = scenario.run_through(ample(policy))
    after = images(place, policy)
    assert first.state == "succeeded"
    second = scenario.run_through(ample(policy))
    assert (second.state, second.planned) == ("succeeded", 0)
    assert images(place, policy) == after


def test_what_was_planned_changes_and_comes_back(
    scenario: Scenario, policy: Policy, place: Place
) -> None:
    before = images(place, policy)
    run = scenario.run_through(ample(policy))
    after = images(place, policy)
    changed = [name for (name, key), image in before.items() if after.get((name, key)) != image]
    assert changed.count(collection_of(policy)) == DUE
    written = set(cast(RecordOptions, policy.options).written)
    assert set(changed) == {collection_of(policy), *(written & set(DAMAGE[policy.name].beside))}
    if policy.undo == "none":
        scenario.advance(run.id)
        with pytest.raises(ArchiveExpired):
            scenario.undo(run)
        return
    assert scenario.undo(run).state == "undone"
    assert images(place, policy) == before


@pytest.mark.usefixtures("place")
def test_each_change_has_its_audit_entry(scenario: Scenario, policy: Policy) -> None:
    run = scenario.run_through(ample(policy))
    entries = scenario.entries(run.id)
    assert all(entry.leaf_hash == leaf_hash(entry.body) for entry in entries)
    actions = [entry.action for entry in entries]
    assert actions.count("chunk_intent") == actions.count("chunk_outcome") == 3
    with scenario.engine.database.transaction() as session:
        assert totals(session, run.id).changed == DUE


def test_a_finished_run_is_mirrored_once_in_the_applications_log(
    scenario: Scenario, policy: Policy, place: Place
) -> None:
    run = scenario.run_through(ample(policy))
    scenario.advance(run.id)
    mirror(scenario.engine, run.id)
    job = job_of(policy)
    found = list(scenario.shop.auditlogs.find({"action": job.mirror_action}))
    assert scenario.run(run.id).mirrored_at is not None
    if not isinstance(place, MongoPlace):
        assert found == []  # the log is OrderNimbus'
        return
    assert len(found) == 1
    assert found[0]["details"][job.mirror_count] == DUE
    assert found[0]["details"]["cutoffDate"] == _milliseconds(run.cutoff)


def _milliseconds(moment: Any) -> Any:
    return moment and moment.replace(microsecond=moment.microsecond // 1000 * 1000)
