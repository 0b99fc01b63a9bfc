"""Policies as `tend policies`, `enable` and `disable` print them with `--json`."""

from contextlib import closing
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from policies.loader import LoadedPolicy
from policies.models import Policy, RecordOptions, Schedule
from worker import comparing, operations, present
from worker.comparing import Former
from worker.database import Database
from worker.operations import Person
from worker.registry import Policies, is_task
from worker.settings import Settings
from worker.switches import next_fire, state_of
from worker.tables import Run, Switch
from worker.targets.kinds import KINDS, is_served

Document = dict[str, Any]


def listed(settings: Settings, database: Database, policies: Policies) -> Document:
    with database.transaction() as session:
        return {"policies": [summary(settings, session, each.policy) for each in policies]}


def shown(summary: Document, loaded: LoadedPolicy) -> Document:
    """A policy as it is in effect, with the file and line that each value came from."""
    policy = loaded.policy.model_dump(mode="json")
    return {**summary, "policy": policy, "origins": dict(loaded.origins)}


def switched(
    settings: Settings, database: Database, policy: Policy, person: Person, *, on: bool
) -> Document:
    """Enable or disable a policy, and say how it is now."""
    if on:
        operations.enable(database, policy, person)
    else:
        operations.disable(database, policy, person)
    with database.transaction() as session:
        return summary(settings, session, policy)


def summary(settings: Settings, session: Session, policy: Policy) -> Document:
    switch = session.get(Switch, policy.name)
    newest = select(func.max(Run.id)).where(Run.policy == policy.name).scalar_subquery()
    last = session.scalars(select(Run).where(Run.id == newest)).first()
    return {
        **_known_without_database(policy),
        **_fires(settings, policy, switch),
        "last_run": present.run_as_json(session, last) if last else None,
    }


def without_database(settings: Settings, policy: Policy) -> Document:
    """The same, as far as the policy's file knows."""
    return {
        **_known_without_database(policy),
        **_fires(settings, policy, None),
        "state": None,
        "last_run": None,
    }


def compared(settings: Settings, database: Database, policy: Policy) -> Document:
    """What the text changes since it was enabled, or run, last, and its effect in records."""
    with database.transaction() as session:
        former = comparing.former(session, policy.name)
    return {
        "name": policy.name,
        "version": policy.version,
        "revision": settings.revision,
        "against": former.as_json() if former is not None else None,
        "changes": comparing.changes(former.text, policy.text) if former is not None else [],
        "effect": _effect(settings, former, policy),
    }


def _effect(settings: Settings, former: Former | None, wanted: Policy) -> Document:
    before = former.text if former is not None else None
    if is_task(wanted):
        return comparing.no_effect(before)
    kind = KINDS[cast(RecordOptions, wanted.options).target]
    with closing(kind.open_to_look(settings)) as target:
        return comparing.effect(target, before, wanted, datetime.now(UTC))


def _fires(settings: Settings, policy: Policy, switch: Switch | None) -> Document:
    if not is_served(settings, policy):
        return {"state": "no_target", "next_fire": None}
    fires = next_fire(policy, switch, datetime.now(UTC))
    return {"state": state_of(policy, switch), "next_fire": fires}


def _known_without_database(policy: Policy) -> Document:
    return {
        "name": policy.name,
        "job": policy.job,
        "description": policy.description,
        "schedule": _schedule(policy.schedule),
        "version": policy.version,
    }


def _schedule(schedule: Schedule | None) -> str | None:
    if schedule is None:
        return None
    return (schedule.cron and f"{schedule.cron} {schedule.timezone}") or f"every {schedule.every}"
