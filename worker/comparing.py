"""What a policy's text would change, against the text that a person said yes to last."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from policies.errors import TendError
from policies.models import Policy
from worker.audit.entries import stamp
from worker.logs import safe_text
from worker.overdue import Source, overdue
from worker.registry import frozen_policy
from worker.tables import Entry, Run, Switch
from worker.targets.base import Target

Document = dict[str, Any]
SECONDS = 20.0
ENOUGH = 5_000_000
"""Counting further would say no more to whoever decides."""


@dataclass(frozen=True)
class Former:
    """A text that was in effect: enabled by a person, or frozen with a run."""

    text: str
    version: str
    how: str
    run: str | None
    actor: str
    at: datetime
    reason: str
    revision: str | None

    def as_json(self) -> Document:
        return {
            "how": self.how,
            "run": self.run,
            "version": self.version,
            "actor": self.actor,
            "at": stamp(self.at),
            "reason": self.reason,
            "revision": self.revision,
        }


def former(session: Session, name: str) -> Former | None:
    """The text that was enabled last, else that of the last run; None if there was neither."""
    switch = session.get(Switch, name)
    if switch is not None and switch.enabled_text is not None:
        return _enabled(session, switch, switch.enabled_text)
    newest = select(Run).where(Run.policy == name).order_by(Run.id.desc()).limit(1)
    run = session.scalars(newest).first()
    if run is None:
        return None
    return Former(
        run.policy_text,
        run.policy_version,
        "run",
        f"r-{run.id}",
        run.actor,
        run.created_at,
        run.reason,
        run.revision,
    )


def _enabled(session: Session, switch: Switch, text: str) -> Former:
    query = (
        select(Entry)
        .where(Entry.policy == switch.policy, Entry.action == "policy_enabled")
        .order_by(Entry.id.desc())
        .limit(1)
    )
    entry = session.scalars(query).one()
    body = json.loads(entry.body)
    detail = body["detail"]
    return Former(
        text,
        detail["policy_version"],
        "enabled",
        None,
        entry.actor,
        entry.at,
        detail["reason"],
        body["revision"],
    )


def versions(session: Session, name: str, most: int) -> list[Document]:
    """The texts of a policy's runs, the newest first, each with what it changed in the one before.

    `changes` is None for the first one.
    """
    first = func.min(Run.id)
    found = session.scalars(
        select(first)
        .where(Run.policy == name)
        .group_by(Run.policy_version)
        .order_by(first.desc())
        .limit(most + 1)
    ).all()
    runs = {run.id: run for run in session.scalars(select(Run).where(Run.id.in_(found)))}
    texts = [(runs[run], runs.get(before)) for run, before in zip_longest(found, found[1:])]
    return [_version(run, before) for run, before in texts[:most]]


def _version(run: Run, before: Run | None) -> Document:
    return {
        "version": run.policy_version,
        "run": f"r-{run.id}",
        "first_seen": run.created_at,
        "actor": run.actor,
        "changes": None if before is None else changes(before.policy_text, run.policy_text),
    }


def changes(before: str, after: str) -> list[Document]:
    """Every key whose value differs, by its dotted name; null where a text has no such key."""
    old, new = (dict(flat(json.loads(text), "")) for text in (before, after))
    return [
        {"key": key, "before": old.get(key), "after": new.get(key)}
        for key in dict.fromkeys([*old, *new])
        if old.get(key) != new.get(key)
    ]


def effect(target: Target, before: str | None, after: Policy, now: datetime) -> Document:
    """How many records each text finds now, counted without a run by a reader that cannot write."""
    return {
        "before": _count(target, before, after, now) if before is not None else None,
        "after": _counted(Source(target, after, now)),
    }


def _count(target: Target, text: str, after: Policy, now: datetime) -> Document:
    try:
        policy = frozen_policy(text)
    except (TendError, ValueError) as error:  # its job, or a key of it, is there no longer
        return _not_counted(safe_text(error))
    before = Source(target, policy, now)
    if before.options.target != Source(target, after, now).options.target:
        return _not_counted("its records were in another database")
    return _counted(before)


def _counted(source: Source) -> Document:
    try:
        found = overdue(source, SECONDS, ENOUGH)
    except TendError as error:
        return _not_counted(safe_text(error))
    return {"count": found.count, "at_least": found.at_least, "problem": None}


def no_effect(before: str | None) -> Document:
    """What to say of a policy whose tasks no selector counts."""
    said = _not_counted("its job performs tasks, which only a plan counts")
    return {"before": None if before is None else said, "after": said}


def _not_counted(problem: str) -> Document:
    return {"count": None, "at_least": False, "problem": problem}


def flat(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Every value below its dotted key, as `LoadedPolicy.origins` names them."""
    parts: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        parts = list(value.items())
    elif isinstance(value, list):
        parts = list(enumerate(value))
    if not parts:
        yield key, value
    for name, part in parts:
        yield from flat(part, f"{key}.{name}" if key else str(name))
