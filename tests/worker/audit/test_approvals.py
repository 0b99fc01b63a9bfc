"""What `tend audit verify` finds when approval was forged or left out."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.worker.scenario import ANOTHER, TESTER, Scenario, old, purge
from worker import approval
from worker.audit import entries
from worker.audit.verify import verify
from worker.registry import frozen_policy
from worker.tables import Entry, Run


@pytest.fixture
def approved(scenario: Scenario) -> Run:
    """A run that one guard refused, one person overrode and another approved."""
    scenario.shop.salesData.insert_many([{"createdAt": old(3000)} for _ in range(30)])
    guards = {"max_records": 10, "max_percent": 100}
    run = scenario.run_through(purge(guards=guards, approval="required"))
    policy = frozen_policy(run.policy_text)
    db = scenario.engine.database
    approval.override(db, run.id, "max_records", policy, TESTER)
    approval.approve(db, run.id, policy, ANOTHER, inline=True)
    done = scenario.advance(run.id)
    assert done.state == "succeeded"
    return done


def newest(session: Session, action: str) -> Entry:
    found = select(Entry).where(Entry.action == action).order_by(Entry.id.desc())
    return session.scalars(found.limit(1)).one()


def rewrite(session: Session, action: str, /, **fields: Any) -> None:
    """Forge an entry so well that its hash and its columns are right again."""
    entry = newest(session, action)
    body = {**json.loads(entry.body), **fields}
    entry.actor = body["actor"]
    entry.action = body["action"]
    entry.body = entries.canonical(body)
    entry.leaf_hash = entries.leaf_hash(entry.body)


def drop(session: Session, action: str) -> None:
    session.delete(newest(session, action))


def went_on_from_planned(session: Session) -> None:
    rewrite(session, "run_refused", action="run_planned")
    drop(session, "run_awaiting_approval")
    rewrite(session, "run_applying", detail={"from": "planned"})


@pytest.mark.parametrize(
    ("tamper", "says"),
    [
        (
            lambda session: drop(session, "approve_requested"),
            "lets a plan go on that waited for approval and had none",
        ),
        (
            lambda session: rewrite(session, "approve_requested", actor="tester"),
            "approves what the same person asked for",
        ),
        (
            lambda session: rewrite(session, "override_requested", actor="another"),
            "approves what the same person asked for",
        ),
        (went_on_from_planned, "lets a plan go on whose policy asks for approval"),
    ],
)
def test_an_approval_that_was_forged_or_left_out_is_found(
    scenario: Scenario, approved: Run, tamper: Callable[[Session], None], says: str
) -> None:
    assert verify(scenario.engine.database).findings == []
    with scenario.engine.database.transaction() as session:
        tamper(session)
    found = [finding.says for finding in verify(scenario.engine.database).findings]
    assert any(says in one for one in found), (approved.id, found)
