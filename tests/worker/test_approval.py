"""Approval, rejection, override: only another person, only this very plan, only in time."""

import json
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select, update

from policies.models import Policy
from tests.worker.scenario import ANOTHER, TESTER, Scenario, old, purge
from worker import advance, approval, firing, operations
from worker.audit.verify import verify
from worker.errors import (
    ForbiddenArrow,
    GuardRefused,
    NotAllowed,
    PlanExpired,
    PolicyChanged,
    UsageError,
)
from worker.identity import Actor
from worker.operations import Person
from worker.registry import frozen_policy
from worker.states import State
from worker.tables import Run, Switch
from worker.waiting import waiting_for

pytestmark = pytest.mark.sqlite_control

THIRD = Person(Actor("third", "token", account="third@there"), "a third one")
LONG_AGO = datetime(2026, 3, 1, tzinfo=UTC)


def fill(scenario: Scenario, aged: int, young: int = 0) -> None:
    scenario.shop.salesData.insert_many(
        [{"_id": number, "createdAt": old(3000)} for number in range(aged)]
        + [{"_id": f"young {number}", "createdAt": old(1)} for number in range(young)]
    )


def parked(scenario: Scenario, **parts: Any) -> Run:
    run = scenario.run_through(purge(approval="required", **parts))
    assert run.state == "awaiting_approval"
    return run


def refused(scenario: Scenario, **guards: float) -> Run:
    ample = {"max_records": 1_000, "max_percent": 100}
    run = scenario.run_through(purge(guards={**ample, **guards}))
    assert run.state == "refused"
    return run


def today(run: Run) -> Policy:
    return frozen_policy(run.policy_text)


def approve(scenario: Scenario, run: Run, person: Person = ANOTHER) -> Run:
    approval.approve(scenario.engine.database, run.id, today(run), person, inline=True)
    return scenario.advance(run.id)


def override(scenario: Scenario, run: Run, guard: str, person: Person = TESTER) -> Run:
    approval.override(scenario.engine.database, run.id, guard, today(run), person)
    return scenario.run(run.id)


def set_columns(scenario: Scenario, run: Run, **columns: Any) -> None:
    with scenario.engine.database.transaction() as session:
        session.execute(update(Run).where(Run.id == run.id).values(**columns))


def phrase(scenario: Scenario, run: Run) -> str | None:
    with scenario.engine.database.transaction() as session:
        return waiting_for(session, scenario.run(run.id))


def actions(scenario: Scenario, run: Run) -> list[str]:
    return [entry.action for entry in scenario.entries(run.id)]


def test_an_approved_plan_goes_on_exactly_as_it_was_frozen(scenario: Scenario) -> None:
    fill(scenario, 60)
    run = parked(scenario)
    scenario.shop.salesData.insert_one({"_id": "old since", "createdAt": old(3000)})
    done = approve(scenario, run)
    assert done.state == "succeeded"
    assert (done.digest, done.decided_by, done.applied_by) == (run.digest, "another", "tend-worker")
    assert [sale["_id"] for sale in scenario.shop.salesData.find()] == ["old since"]
    assert actions(scenario, run)[3:7] == [
        "run_awaiting_approval",
        "approve_requested",
        "run_applying",
        "chunk_intent",
    ]
    assert verify(scenario.engine.database).findings == []


def test_a_plan_that_waits_says_for_whom_and_why(scenario: Scenario) -> None:
    fill(scenario, 3)
    run = parked(scenario)
    says = "approval by someone other than tester: `tend approve r-1`, or `tend reject`"
    assert phrase(scenario, run) == says
    assert run.approval_cause == "its policy says `approval: required`"


def test_nobody_approves_what_they_asked_for_themselves(scenario: Scenario) -> None:
    fill(scenario, 3)
    run = parked(scenario)
    with pytest.raises(NotAllowed, match="somebody else than tester: tester asked for it"):
        approve(scenario, run, TESTER)
    assert scenario.run(run.id).state == "awaiting_approval"
    assert scenario.shop.salesData.count_documents({}) == 3


def test_who_applied_the_plan_of_another_has_asked_for_it_too(scenario: Scenario) -> None:
    fill(scenario, 3)
    plan = scenario.plan(purge(approval="required"))
    operations.apply(scenario.engine.database, plan.id, today(plan), ANOTHER, inline=True)
    for person in (TESTER, ANOTHER):
        with pytest.raises(NotAllowed, match="somebody else than tester and another"):
            approve(scenario, plan, person)
    assert approve(scenario, plan, THIRD).state == "succeeded"


def test_a_rejected_plan_is_over_and_changed_nothing(scenario: Scenario) -> None:
    fill(scenario, 3)
    run = parked(scenario)
    approval.reject(scenario.engine.database, run.id, ANOTHER)
    rejected = scenario.advance(run.id)
    assert (rejected.state, rejected.decided_by) == ("rejected", "another")
    assert rejected.decision == ANOTHER.reason
    assert scenario.shop.salesData.count_documents({}) == 3
    with pytest.raises(ForbiddenArrow, match="is rejected and cannot be approved"):
        approve(scenario, run)
    assert verify(scenario.engine.database).findings == []


def test_a_plan_is_not_approved_past_its_time_even_before_a_worker_has_seen_it(
    scenario: Scenario,
) -> None:
    fill(scenario, 3)
    run = parked(scenario)
    set_columns(scenario, run, expires_at=LONG_AGO)
    with pytest.raises(PlanExpired, match="plan anew with `tend plan under-test`"):
        approve(scenario, run)
    assert scenario.advance(run.id).state == "expired"
    assert scenario.shop.salesData.count_documents({}) == 3


def test_a_plan_past_its_time_is_not_applied_either(scenario: Scenario) -> None:
    fill(scenario, 3)
    run = scenario.plan(purge())
    set_columns(scenario, run, expires_at=LONG_AGO)
    with pytest.raises(PlanExpired):
        scenario.apply(run)
    assert scenario.shop.salesData.count_documents({}) == 3


def test_a_plan_of_an_older_text_is_not_approved(scenario: Scenario) -> None:
    fill(scenario, 3)
    run = parked(scenario)
    mended = purge(approval="required", undo="8d")
    with pytest.raises(PolicyChanged, match="was changed after r-1 was planned"):
        approval.approve(scenario.engine.database, run.id, mended, ANOTHER, inline=True)


def test_a_plan_is_not_approved_beside_a_run_at_work_on_the_same_records(
    scenario: Scenario,
) -> None:
    fill(scenario, 3)
    run = parked(scenario)
    other = scenario.plan(purge(name="another-policy"))
    scenario.apply_later(other)
    with pytest.raises(ForbiddenArrow, match=r"r-2 \(another-policy\) is applying"):
        approve(scenario, run)


def scheduled(scenario: Scenario, policy: Policy) -> Run:
    """A run that the schedule began, of a policy that somebody enabled."""
    db = scenario.engine.database
    operations.enable(db, policy, TESTER)
    for hour in (11, 12):
        firing.fire_due(db, [policy], "test", datetime(2026, 11, 22, hour, 30, tzinfo=UTC))
    with db.transaction() as session:
        session.execute(update(Run).values(inline=True))
        run_id = session.scalars(select(Run.id).order_by(Run.id.desc())).first()
    assert run_id is not None
    advance.advance(scenario.engine, run_id)
    return scenario.run(run_id)


def test_what_the_schedule_began_waits_for_any_person(scenario: Scenario) -> None:
    fill(scenario, 3)
    run = scheduled(scenario, purge(approval="required", schedule={"every": "1h"}))
    assert (run.state, run.asked_by) == ("awaiting_approval", [])
    assert "someone other than the scheduler" in str(phrase(scenario, run))
    assert approve(scenario, run, TESTER).state == "succeeded"


def test_what_the_schedule_began_is_not_approved_once_its_policy_is_disabled(
    scenario: Scenario,
) -> None:
    fill(scenario, 3)
    run = scheduled(scenario, purge(approval="required", schedule={"every": "1h"}))
    operations.disable(scenario.engine.database, today(run), TESTER)
    with pytest.raises(NotAllowed, match="under-test was disabled after r-1 was planned"):
        approve(scenario, run)
    with scenario.engine.database.transaction() as session:
        assert session.get_one(Switch, "under-test").enabled_version is None


def test_who_is_only_claimed_asks_for_no_run_that_another_must_approve(
    scenario: Scenario,
) -> None:
    fill(scenario, 3)
    claimed = Person(Actor("ann@laptop", "claimed", account="ann@laptop"), "x")
    db = scenario.engine.database
    policy = purge(approval="required")
    with pytest.raises(NotAllowed, match="ann@laptop is only claimed"):
        operations.request(
            db, policy, "test", claimed, apply_after_plan=True, inline=True, narrowing={}
        )
    with db.transaction() as session:
        assert session.scalars(select(Run)).all() == []
    plan = scenario.plan(policy)
    with pytest.raises(NotAllowed, match="set TEND_TOKEN"):
        operations.apply(db, plan.id, policy, claimed, inline=True)
    assert scenario.run(plan.id).state == "planned"


def test_a_plan_of_somebody_only_claimed_is_not_parked_where_nobody_could_approve_it(
    scenario: Scenario,
) -> None:
    fill(scenario, 60)
    claimed = Person(Actor("ann@laptop", "claimed", account="ann@laptop"), "x")
    db = scenario.engine.database
    says = "asked for by ann@laptop, which is only claimed.*: plan under-test anew with TEND_TOKEN"
    tight = {"max_records": 5, "max_percent": 100}
    for policy in (purge(approval="required"), purge(guards=tight)):
        run_id = operations.request(
            db, policy, "test", claimed, apply_after_plan=False, inline=True, narrowing={}
        )
        run = scenario.advance(run_id)
        ask = partial(override, guard="max_records") if run.state == "refused" else Scenario.apply
        with pytest.raises(NotAllowed, match=says):
            ask(scenario, run)
        assert scenario.run(run_id).state == run.state


def test_a_refused_plan_of_a_schedule_that_only_observes_can_be_overridden(
    scenario: Scenario,
) -> None:
    fill(scenario, 60)
    policy = purge(guards={"max_records": 5, "max_percent": 100}, schedule={"every": "1h"})
    run = scheduled(scenario, policy)
    assert (run.state, run.asked_by) == ("refused", [])
    operations.disable(scenario.engine.database, policy, TESTER)
    assert override(scenario, run, "max_records").state == "awaiting_approval"
    with pytest.raises(NotAllowed, match="tester asked for it"):
        approve(scenario, run, TESTER)
    assert approve(scenario, run).state == "succeeded"


def test_an_overridden_guard_leads_to_approval_and_no_further(scenario: Scenario) -> None:
    fill(scenario, 60)
    run = refused(scenario, max_records=59)
    assert phrase(scenario, run) == "nothing, unless `tend override r-1 --guard max_records`"
    waiting = override(scenario, run, "max_records")
    assert waiting.state == "awaiting_approval"
    assert waiting.approval_cause == (
        "max_records overridden: max_records allows 59 records and the plan has 60 records"
    )
    assert scenario.advance(run.id).state == "awaiting_approval"
    with pytest.raises(NotAllowed, match="tester asked for it"):
        approve(scenario, run, TESTER)
    assert approve(scenario, run).state == "succeeded"
    assert scenario.shop.salesData.count_documents({}) == 0
    assert verify(scenario.engine.database).findings == []


def test_who_overrides_has_asked_for_it_too(scenario: Scenario) -> None:
    fill(scenario, 60)
    run = refused(scenario, max_records=59)
    override(scenario, run, "max_records", ANOTHER)
    for person in (TESTER, ANOTHER):
        with pytest.raises(NotAllowed, match="somebody else than tester and another"):
            approve(scenario, run, person)
    assert approve(scenario, run, THIRD).state == "succeeded"


def test_each_guard_that_tripped_needs_its_override(scenario: Scenario) -> None:
    fill(scenario, 60, young=40)
    run = refused(scenario, max_records=59, max_percent=10)
    half = override(scenario, run, "max_percent")
    assert half.state == "refused"
    assert phrase(scenario, half) == "nothing, unless `tend override r-1 --guard max_records`"
    with pytest.raises(UsageError, match="max_percent of r-1 was overridden by tester already"):
        override(scenario, run, "max_percent")
    assert override(scenario, run, "max_records").state == "awaiting_approval"
    assert approve(scenario, run).state == "succeeded"


@pytest.mark.parametrize("guard", ["max_percent", "max_recrods", ""])
def test_a_guard_that_did_not_trip_is_not_overridden(scenario: Scenario, guard: str) -> None:
    fill(scenario, 60)
    run = refused(scenario, max_records=59)
    with pytest.raises(UsageError, match=rf"^{guard} did not refuse r-1; max_records did\.$"):
        override(scenario, run, guard)
    assert scenario.run(run.id).overrides == {}


def test_an_override_is_for_that_very_plan_only(scenario: Scenario) -> None:
    fill(scenario, 60)
    run = refused(scenario, max_records=59)
    override(scenario, run, "max_records")
    approval.reject(scenario.engine.database, run.id, ANOTHER)
    assert refused(scenario, max_records=59).overrides == {}


def test_a_refused_plan_past_its_time_is_not_overridden(scenario: Scenario) -> None:
    fill(scenario, 60)
    run = refused(scenario, max_records=59)
    set_columns(scenario, run, expires_at=LONG_AGO)
    with pytest.raises(PlanExpired):
        override(scenario, run, "max_records")
    scenario.advance(run.id)
    destroyed = scenario.run(run.id)
    assert (destroyed.state, destroyed.key) == ("refused", None)
    assert phrase(scenario, run) is None
    set_columns(scenario, run, expires_at=None)
    with pytest.raises(PlanExpired):
        override(scenario, run, "max_records")


def test_every_other_guard_stays_in_force_where_the_write_happens(scenario: Scenario) -> None:
    fill(scenario, 60, young=140)
    run = refused(scenario, max_records=59, max_percent=40)
    override(scenario, run, "max_records")
    scenario.shop.salesData.delete_many({"_id": {"$regex": "young"}})
    stopped = approve(scenario, run)
    assert stopped.state == "failed"
    assert "max_percent allows 40 % and the plan has 100 %" in str(stopped.error)
    assert scenario.shop.salesData.count_documents({}) == 60


def test_an_overridden_percentage_still_bounds_the_plan(scenario: Scenario) -> None:
    fill(scenario, 60, young=140)
    run = refused(scenario, max_percent=10)
    override(scenario, run, "max_percent")
    scenario.shop.salesData.delete_many({"_id": {"$regex": "young .$"}})
    stopped = approve(scenario, run)
    assert stopped.state == "failed"
    assert "max_percent allows 31 % and the plan has 31.58 %" in str(stopped.error)


def test_a_refused_plan_is_not_applied_and_says_how_to_go_on(scenario: Scenario) -> None:
    fill(scenario, 60)
    run = refused(scenario, max_records=59)
    with pytest.raises(GuardRefused, match="`tend override r-1` asks another person"):
        scenario.apply(run)


def test_a_claimed_identity_neither_decides_nor_overrides(scenario: Scenario) -> None:
    fill(scenario, 60)
    claimed = Person(Actor("bob@desk", "claimed", "another", account="bob@desk"), "x")
    run = refused(scenario, max_records=59)
    with pytest.raises(NotAllowed, match="bob@desk is only claimed"):
        override(scenario, run, "max_records", claimed)
    override(scenario, run, "max_records")
    with pytest.raises(NotAllowed, match="bob@desk is only claimed"):
        approve(scenario, run, claimed)
    with pytest.raises(NotAllowed, match="bob@desk is only claimed"):
        approval.reject(scenario.engine.database, run.id, claimed)
    assert scenario.run(run.id).state == State.AWAITING_APPROVAL


def test_who_decided_and_why_is_on_record(scenario: Scenario) -> None:
    fill(scenario, 60)
    run = refused(scenario, max_records=59)
    override(scenario, run, "max_records")
    approve(scenario, run)
    said = [json.loads(entry.body) for entry in scenario.entries(run.id)]
    asked = {one["action"]: one for one in said if one["action"].endswith("_requested")}
    assert asked["override_requested"]["detail"] == {"guard": "max_records", "reason": "a test"}
    assert asked["approve_requested"]["actor"] == "another"
    assert asked["approve_requested"]["detail"] == {
        "account": "another@there",
        "reason": ANOTHER.reason,
    }
