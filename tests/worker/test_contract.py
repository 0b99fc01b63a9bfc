"""The contract of every job, over the registry and the shipped policies: adding one adds a case."""

import importlib
import pkgutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import create_engine

import policies
import tests.jobs
from demo.servers import Postgres
from policies.models import Batch, Guards, Policy, RecordOptions
from tests.jobs.damage import DUE, Damage
from tests.mongo_databases import fresh_name
from tests.worker.lasting import lasting_scenario
from tests.worker.places import ControlPlace, MongoPlace, Place, SqlPlace
from tests.worker.scenario import Scenario
from worker.audit.entries import leaf_hash
from worker.claims import totals
from worker.errors import ArchiveExpired
from worker.mirror import mirror
from worker.own_data import take_along
from worker.registry import Policies, every_job, is_task, job_of
from worker.tables import Entry, Run
from worker.targets.base import Target
from worker.targets.kinds import kind_of
from worker.targets.sql import SqlTarget

EVERY = {
    loaded.policy.name: loaded.policy for loaded in Policies.load([Path(policies.__path__[0])])
}
SHIPPED = {name: policy for name, policy in EVERY.items() if not is_task(policy)}
"""Those that change records; `test_task_contract.py` has the others."""
AMPLE = Guards(max_records=1_000, max_percent=100)
Images = dict[tuple[str, Any], Any]


def _damage() -> dict[str, Damage]:
    """What the tests of the jobs say: per shipped policy, what it is after and what it leaves."""
    found: dict[str, Damage] = {}
    for module in pkgutil.iter_modules(tests.jobs.__path__, "tests.jobs."):
        found |= getattr(importlib.import_module(module.name), "DAMAGE", {})
    return found


DAMAGE = _damage()


def ample(policy: Policy) -> Policy:
    """A shipped policy as it is, but for the size of a test's data."""
    small = {"guards": AMPLE, "chunk": 15, "batch": Batch(records=8), "approval": "none"}
    return policy.model_copy(update=small)


def collection_of(policy: Policy) -> str:
    return str(policy.options.model_dump()["collection"])


def images(place: Place, policy: Policy) -> Images:
    """Everything that the policy may change, by collection and key."""
    names = cast(RecordOptions, policy.options).written
    return {(name, key): image for name in names for key, image in place.images(name).items()}


@contextmanager
def placed(request: pytest.FixtureRequest, scenario: Scenario, policy: Policy) -> Iterator[Place]:
    """The target with what is due and what is sound; SQL is the kind that production has."""
    due, sound, beside, indexes = DAMAGE[policy.name]
    kind = kind_of(policy)
    with ExitStack() as stack:
        place: Place
        if kind == "mongo":
            place = MongoPlace(scenario)
        elif kind == "control":
            place = ControlPlace(scenario)
            target = SqlTarget(str(scenario.engine.database.engine.url), None, take_along)
        else:
            server: Postgres = request.getfixturevalue("postgres_server")
            name = fresh_name()
            url = server.create_database(name)
            stack.callback(server.drop_database, name)
            place = SqlPlace(create_engine(url))
            stack.callback(place.engine.dispose)
            target = SqlTarget(url)
        if not isinstance(place, MongoPlace):
            stack.callback(target.close)
            targets: dict[str, Target] = {**scenario.engine.targets, str(kind): target}
            scenario.engine = replace(scenario.engine, targets=targets)
        for name, fields in indexes.items():
            place.index(name, fields)  # of nothing: to build one of records takes longer
        for name, records in beside.items():
            place.put(name, records)
        place.put(collection_of(policy), [*due, *sound])
        yield place


@dataclass
class Story:
    """One shipped policy, and what its target held when each part of its story was over."""

    policy: Policy
    scenario: Scenario
    place: Place
    runs: dict[str, Run] = field(default_factory=dict)
    images: dict[str, Images] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    population: int = 0
    plan_left_fences: bool = False

    def tell(self) -> None:
        self.images["before"] = images(self.place, self.policy)
        tight = Guards(max_records=DUE - 1, max_percent=100)
        tightened = self.policy.model_copy(update={"guards": tight})
        self._over("refused", self.scenario.run_through(tightened))
        plan = self.scenario.plan(ample(self.policy))
        self.population = self.place.count(collection_of(self.policy))
        self.plan_left_fences = self.place.has_fences()
        self._over("planned", plan)
        self._over("applied", self.scenario.apply(plan))
        self.scenario.advance(plan.id)
        mirror(self.scenario.engine, plan.id)
        self._over("mirrored", self.scenario.run(plan.id))
        self.entries = self.scenario.entries(plan.id)
        self._over("again", self.scenario.run_through(ample(self.policy)))
        if self.policy.undo != "none":
            self._over("undone", self.scenario.undo(plan))

    def _over(self, part: str, run: Run) -> None:
        self.runs[part] = run
        self.images[part] = images(self.place, self.policy)


@pytest.fixture(scope="module", params=sorted(SHIPPED))
def story(request: pytest.FixtureRequest) -> Iterator[Story]:
    """Told once for all the tests below, which only look at it."""
    policy = SHIPPED[str(request.param)]
    with lasting_scenario(request) as scenario, placed(request, scenario, policy) as place:
        told = Story(policy, scenario, place)
        told.tell()
        yield told


def test_every_job_has_a_shipped_policy() -> None:
    assert {policy.job for policy in EVERY.values()} == set(every_job())
    assert set(DAMAGE) == set(SHIPPED)


def test_planning_writes_nothing(story: Story) -> None:
    """The plan is read by a user that cannot write; and to the byte nothing is different."""
    run = story.runs["planned"]
    assert (run.state, run.planned) == ("planned", DUE)
    assert run.population == story.population
    assert story.images["planned"] == story.images["before"]
    assert not story.plan_left_fences


def test_a_guard_trips_before_the_first_change(story: Story) -> None:
    assert story.runs["refused"].state == "refused"
    assert story.images["refused"] == story.images["before"]


def test_a_second_apply_changes_nothing(story: Story) -> None:
    first, second = story.runs["applied"], story.runs["again"]
    assert first.state == "succeeded"
    assert (second.state, second.planned) == ("succeeded", 0)
    assert story.images["again"] == story.images["applied"]


def test_what_was_planned_changes_and_comes_back(story: Story) -> None:
    policy, before, after = story.policy, story.images["before"], story.images["applied"]
    changed = [name for (name, key), image in before.items() if after.get((name, key)) != image]
    assert changed.count(collection_of(policy)) == DUE
    written = set(cast(RecordOptions, policy.options).written)
    assert set(changed) == {collection_of(policy), *(written & set(DAMAGE[policy.name].beside))}
    if policy.undo == "none":
        with pytest.raises(ArchiveExpired):
            story.scenario.undo(story.runs["applied"])
        return
    assert story.runs["undone"].state == "undone"
    assert story.images["undone"] == before


def test_each_change_has_its_audit_entry(story: Story) -> None:
    assert all(entry.leaf_hash == leaf_hash(entry.body) for entry in story.entries)
    actions = [entry.action for entry in story.entries]
    assert actions.count("chunk_intent") == actions.count("chunk_outcome") == 3
    with story.scenario.engine.database.transaction() as session:
        assert totals(session, story.runs["applied"].id).changed == DUE


def test_a_finished_run_is_mirrored_once_in_the_applications_log(story: Story) -> None:
    run, job = story.runs["mirrored"], job_of(story.policy)
    log = story.scenario.shop.auditlogs
    found = list(log.find({"action": job.mirror_action, "details.runId": f"r-{run.id}"}))
    assert run.mirrored_at is not None
    if not isinstance(story.place, MongoPlace):
        assert list(log.find()) == []  # the log is OrderNimbus'
        return
    assert len(found) == 1
    assert found[0]["details"][job.mirror_count] == DUE
    assert found[0]["details"]["cutoffDate"] == _milliseconds(run.cutoff)


def _milliseconds(moment: Any) -> Any:
    return moment and moment.replace(microsecond=moment.microsecond // 1000 * 1000)
