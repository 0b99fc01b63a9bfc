"""Tend's own runs and rings, purged by policies of the same kind as everybody else's records."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, func, inspect, select

import policies
from policies.models import Batch, Guards, Policy
from tests.policies.written import complaint, load_all, write
from tests.worker.scenario import TESTER, Scenario, old, policy_text, purge
from worker import operations, planner
from worker.audit.verify import verify
from worker.errors import ArchiveExpired
from worker.firing import fire_due
from worker.own_data import BELONGING, OVER, take_along
from worker.registry import Policies, frozen_policy
from worker.states import State
from worker.tables import Alert, Doorbell, Entry, Notice, Run
from worker.targets.sql import SqlTarget

SHIPPED = Policies.load([Path(policies.__path__[0])])
AMPLE = Guards(max_records=1_000_000, max_percent=100)


def own(name: str, **parts: Any) -> Policy:
    small = {"guards": AMPLE, "batch": Batch(records=3), "chunk": 7}
    return SHIPPED.get(name).policy.model_copy(update={**small, **parts})


@pytest.fixture
def tended(scenario: Scenario, database_url: str) -> Iterator[Scenario]:
    """The scenario with its own control database among its targets; long ago is 500 days."""
    target = SqlTarget(database_url, None, take_along)
    targets = {**scenario.engine.targets, "control": target}
    scenario.engine = replace(scenario.engine, targets=targets, clock=lambda: datetime.now(UTC))
    yield scenario
    target.close()


def age(scenario: Scenario, run_id: int, days: int) -> None:
    """As if the run had been made so long ago, and its archive were past its time."""
    past = datetime.now(UTC) - timedelta(days=days)
    with scenario.engine.database.transaction() as session:
        run = session.get_one(Run, run_id)
        run.created_at = past
        if run.expires_at is not None:
            run.expires_at = past


def finished(scenario: Scenario) -> int:
    """A run that changed something, whose archive is destroyed."""
    scenario.shop.salesData.insert_many([{"createdAt": old(3000)} for _ in range(3)])
    run = scenario.run_through(purge())
    age(scenario, run.id, 500)
    scenario.advance(run.id)
    scenario.advance(run.id)
    assert scenario.run(run.id).key is None
    return run.id


def left(scenario: Scenario) -> set[int]:
    with scenario.engine.database.transaction() as session:
        return set(session.scalars(select(Run.id)))


def count(scenario: Scenario, table: Any) -> int:
    with scenario.engine.database.transaction() as session:
        return int(session.scalar(select(func.count()).select_from(table)) or 0)


def test_an_old_run_goes_with_its_chunks_and_its_entries_stay(tended: Scenario) -> None:
    first, second = finished(tended), finished(tended)
    young = tended.run_through(purge()).id
    said = {entry.action for entry in tended.entries(first)}
    run = tended.run_through(own("own-runs"))
    assert (run.state, run.planned) == ("succeeded", 2)
    assert left(tended) == {young, run.id}
    assert tended.chunks(first) == tended.chunks(second) == []
    *before, last = tended.entries(first)
    assert {entry.action for entry in before} == said
    assert (last.action, last.run_id) == ("run_removed", first)
    assert f'"by":"r-{run.id}"' in last.body.decode()


def test_a_reviewer_finds_nothing_amiss_afterwards(tended: Scenario) -> None:
    first = finished(tended)
    tended.run_through(own("own-runs"))
    assert first not in left(tended)
    assert verify(tended.engine.database).findings == []


def test_a_run_that_went_otherwise_is_still_a_finding(tended: Scenario) -> None:
    first = finished(tended)
    with tended.engine.database.transaction() as session:
        for run_id in BELONGING:
            session.execute(delete(run_id.table).where(run_id == first))
        session.delete(session.get_one(Run, first))
    (finding,) = verify(tended.engine.database).findings
    assert finding.says == f"Run r-{first} has entries and is not there."


def test_a_run_that_can_be_taken_back_stays_whatever_the_policy_says(tended: Scenario) -> None:
    tended.shop.salesData.insert_many([{"createdAt": old(3000)} for _ in range(3)])
    run = tended.run_through(purge(undo="900d"))
    age(tended, run.id, 500)
    options = {
        "target": "control",
        "collection": "runs",
        "select": {"older_than": {"field": "created_at", "age": "0s"}},
    }
    greedy = frozen_policy(
        policy_text(name="greedy", job="retention_purge", options=options, undo="none")
    )
    assert tended.run_through(greedy).planned == 0
    assert run.id in left(tended)


def test_only_runs_that_are_over_go(tended: Scenario) -> None:
    run_id = finished(tended)
    names = set(inspect(Run).column_attrs.keys()) - {"id", "token"}
    with tended.engine.database.transaction() as session:
        told = session.get_one(Run, run_id)
        alike = {name: getattr(told, name) for name in names}
        runs = {state: Run(**{**alike, "state": state}) for state in State}
        session.add_all(runs.values())
    run = tended.run_through(own("own-runs"))
    stays = left(tended) - {run.id}
    assert {state for state, each in runs.items() if each.id not in stays} == OVER
    copied = 1
    assert (run.state, run.planned) == ("succeeded", len(OVER) + copied)


def test_a_slot_that_is_young_stays_so_that_it_cannot_fire_twice(tended: Scenario) -> None:
    """A clock that is set back a day meets its slots again, and they are done."""
    policy = purge(schedule={"every": "1h"})
    db = tended.engine.database
    now = datetime.now(UTC)
    fire_due(db, [policy], "test", now - timedelta(hours=3))
    assert fire_due(db, [policy], "test", now) == 1
    before = left(tended)
    options = {
        "target": "control",
        "collection": "runs",
        "select": {"older_than": {"field": "created_at", "age": "0s"}},
    }
    greedy = frozen_policy(
        policy_text(name="greedy", job="retention_purge", options=options, undo="none")
    )
    run = tended.run_through(greedy)
    assert run.planned == 0
    assert left(tended) == before | {run.id}


def test_rings_that_nobody_delivered_go(tended: Scenario) -> None:
    run_id = finished(tended)
    now = datetime.now(UTC)
    with tended.engine.database.transaction() as session:
        session.add(Doorbell(run_id=run_id, due_at=now - timedelta(days=31)))
        session.add(Doorbell(run_id=run_id, due_at=now - timedelta(days=29)))
    run = tended.run_through(own("own-doorbells"))
    assert (run.state, run.planned) == ("succeeded", 1)
    with tended.engine.database.transaction() as session:
        owed = session.scalars(select(Doorbell.due_at).where(Doorbell.due_at < now)).all()
    assert [moment.date() for moment in owed] == [(now - timedelta(days=29)).date()]


def test_alerts_go_long_after_they_were_over_and_those_that_stand_never(tended: Scenario) -> None:
    now = datetime.now(UTC)
    told = {"event": "resources", "severity": "P2", "text": b"", "told": 0}
    with tended.engine.database.transaction() as session:
        for cause, ended in (("long over", 401), ("over", 399), ("stands", None)):
            over = None if ended is None else now - timedelta(days=ended)
            began = now - timedelta(days=900)
            row = Alert(cause=cause, at=began, cleared_at=over, settled_at=over, **told)
            session.add(row)
        # It is over, and nobody was told so yet.
        over = now - timedelta(days=500)
        session.add(Alert(cause="untold", at=over, cleared_at=over, **told))
    run = tended.run_through(own("own-alerts"))
    assert (run.state, run.planned) == ("succeeded", 1)
    assert causes(tended, Alert) >= {"over", "stands", "untold"}
    assert "long over" not in causes(tended, Alert)


def test_messages_go_long_after_they_were_sent_or_given_up(tended: Scenario) -> None:
    now = datetime.now(UTC)
    with tended.engine.database.transaction() as session:
        for cause, days, ended in (
            ("sent", 401, {"sent_at": now - timedelta(days=401)}),
            ("given up", 401, {"given_up_at": now - timedelta(days=400)}),
            ("young", 399, {"sent_at": now - timedelta(days=399)}),
            ("owed", 500, {}),
            ("sent late", 500, {"sent_at": now - timedelta(days=3)}),
        ):
            at = now - timedelta(days=days)
            row = Notice(cause=cause, urgent=False, text=b"", at=at, not_before=at, **ended)
            session.add(row)
    run = tended.run_through(own("own-notices"))
    assert (run.state, run.planned) == ("succeeded", 2)
    assert causes(tended, Notice) >= {"young", "owed", "sent late"}
    assert not causes(tended, Notice) & {"sent", "given up"}


def causes(scenario: Scenario, table: type[Alert | Notice]) -> set[str]:
    with scenario.engine.database.transaction() as session:
        return set(session.scalars(select(table.cause)))


def test_a_guard_refuses_to_remove_too_many(tended: Scenario) -> None:
    first, second = finished(tended), finished(tended)
    run = tended.run_through(own("own-runs", guards=Guards(max_records=1, max_percent=100)))
    assert run.state == "refused"
    assert {first, second} <= left(tended)


def test_each_transaction_is_as_short_as_the_policy_says(tended: Scenario) -> None:
    for _ in range(3):
        finished(tended)
    run = tended.run_through(own("own-runs", batch=Batch(records=1)))
    (chunk,) = tended.chunks(run.id)
    assert [archive["changed"] for archive in chunk.archives] == [1, 1, 1]


@pytest.mark.parametrize("name", ["own-runs", "own-doorbells", "own-alerts", "own-notices"])
def test_the_shipped_policies_leave_the_database_to_others_in_between(name: str) -> None:
    policy = SHIPPED.get(name).policy
    assert policy.batch.records <= 100
    assert policy.batch.pause is not None
    assert policy.batch.pause.delta >= timedelta(seconds=1)
    assert policy.writers == 1


def test_what_was_removed_cannot_be_taken_back(tended: Scenario) -> None:
    finished(tended)
    run = tended.run_through(own("own-runs"))
    tended.advance(run.id)
    assert tended.run(run.id).key is None
    before = count(tended, Entry)
    with pytest.raises(ArchiveExpired):
        operations.undo(tended.engine.database, run.id, TESTER, inline=True)
    assert count(tended, Entry) == before


OWN = """\
name: own-things
job: retention_purge
description: Old runs go.
options:
  target: control
  collection: runs
  select: {older_than: {field: created_at, age: 400d}}
guards: {max_records: 10, max_percent: 1}
undo: none
"""


@pytest.mark.parametrize(
    ("written", "instead", "says"),
    [
        (
            "collection: runs",
            "collection: entries",
            "only runs, doorbells, alerts, notices may go; entries",
        ),
        (
            "collection: runs",
            "collection: switches",
            "only runs, doorbells, alerts, notices may go",
        ),
        ("undo: none", "undo: 7d", "its entries stay: write undo: none"),
        (
            "retention_purge",
            "session_cleanup",
            "Tend's own data is for retention_purge alone",
        ),
    ],
)
def test_other_policies_on_the_control_database_are_refused(
    tmp_path: Path, written: str, instead: str, says: str
) -> None:
    assert load_all(write(tmp_path / "sound", OWN))
    text = OWN.replace(written, instead)
    if "session" in instead:
        text = text.replace("  select: {older_than: {field: created_at, age: 400d}}\n", "")
    assert says in complaint(write(tmp_path / "wrong", text))


def test_the_keys_of_a_plan_that_failed_are_destroyed_when_its_time_is_over(
    scenario: Scenario,
) -> None:
    run_id = scenario.request(purge())
    assert planner.begin(scenario.engine, run_id) is not None
    scenario.expire_leases()
    with scenario.engine.database.transaction() as session:
        run = session.get_one(Run, run_id)
        run.state = State.FAILED
        assert run.expires_at is not None
        run.expires_at = datetime.now(UTC) - timedelta(seconds=1)
    scenario.advance(run_id)
    assert scenario.run(run_id).key is None
