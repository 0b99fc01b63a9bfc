"""Decisions as they are kept, with what is sealed opened again."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from jobs.login_lockout.tables import LockoutDecision
from jobs.task import Vault

Document = dict[str, Any]


@dataclass(frozen=True)
class Kept:
    """A decision, its row and its opened evidence."""

    row: LockoutDecision
    evidence: Document
    """`user`, `account`, `address`, and the `events` with their source, place and digest."""

    @property
    def state(self) -> str:
        if self.row.kind == "alert":
            return "told"
        if self.row.lifted_at is not None:
            return "lifted"
        return "in force" if self.row.confirmed_at is not None else "not confirmed"

    def as_json(self) -> Document:
        return {
            "id": self.row.id,
            "kind": self.row.kind,
            "why": self.row.why,
            "user": self.evidence["user"],
            "address": self.evidence["address"],
            "since": stamp(self.row.since),
            "at": stamp(self.row.at),
            "until": stamp(self.row.until),
            "attempts": self.row.attempts,
            "state": self.state,
            "policy": self.row.policy,
            "policy_version": self.row.policy_version,
            "made_at": stamp(self.row.made_at),
            "confirmed_at": stamp(self.row.confirmed_at),
            "lifted_at": stamp(self.row.lifted_at),
            "lifted_by": self.row.lifted_by,
            "lift_reason": self.row.lift_reason,
        }


def decisions(
    session: Session, vault: Vault, *, standing: bool, subject: str | None = None
) -> Sequence[Kept]:
    """Those that stand, or all; of one subject, by its digest, if told."""
    query = select(LockoutDecision).order_by(LockoutDecision.id)
    if standing:
        query = query.where(LockoutDecision.lifted_at.is_(None))
    if subject is not None:
        named = (LockoutDecision.subject == subject) | (LockoutDecision.other == subject)
        query = query.where(named)
    return [opened(vault, row) for row in session.scalars(query)]


def over(session: Session, vault: Vault, most: int) -> Sequence[Kept]:
    """The newest of those that do not stand any more, and alerts."""
    query = select(LockoutDecision).where(LockoutDecision.lifted_at.is_not(None))
    newest = query.order_by(LockoutDecision.id.desc()).limit(most)
    return [opened(vault, row) for row in session.scalars(newest)]


def opened(vault: Vault, row: LockoutDecision) -> Kept:
    return Kept(row, json.loads(vault.open(row.evidence, seal_name(row.name))))


def seal_name(name: str) -> str:
    return f"lockout/{name}"


def alarm_cause(name: str) -> str:
    """The alert that stands while a decision is in force for Tend and not for the application."""
    return f"lockout/{name[:24]}"


def stamp(moment: datetime | None) -> str | None:
    """A UTC time as JSON has it, to the millisecond that MongoDB keeps."""
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def pardon_name(kind: str) -> str:
    """Under which the subject of a pardon is sealed."""
    return f"pardon/{kind}"


def subject_digest(vault: Vault, kind: str, subject: str) -> str:
    """By which the rows of a user, or of an address, are found."""
    return vault.digest(f"{kind}:{subject}".encode())
