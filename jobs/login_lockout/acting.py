"""Carrying out a decision: kept and told in one transaction, written with a guard, read back.

Doing it again finds the row, the account or the entry as they should be, and changes nothing.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from jobs.base import Item, Outcomes
from jobs.login_lockout.accounts import keys_of
from jobs.login_lockout.decided import evidence_of
from jobs.login_lockout.options import REASON, LockoutOptions
from jobs.login_lockout.records import alarm_cause, seal_name, subject_digest
from jobs.login_lockout.release import LOCK_DATES, STEP_UP, UNLOCKED
from jobs.login_lockout.tables import LockoutDecision
from jobs.login_lockout.wording import sentence
from jobs.moments import milliseconds
from jobs.task import Alert, Notice, PerformContext
from policies.models import Policy

DONE = Outcomes(changed=1)
ALREADY = Outcomes(changed_since=1)
GONE = Outcomes(gone=1)
FAILED = Outcomes(failed=1)
Fields = Mapping[str, Any]


def perform(ctx: PerformContext, policy: Policy, item: Item) -> Outcomes:
    """Carry out one decision."""
    options = cast(LockoutOptions, policy.options)
    name = str(item.key)
    if not _keep(ctx, policy, name, item.fields):
        return ALREADY
    match item.fields["kind"]:
        case "lock":
            return _lock(ctx, options, name, item.fields)
        case "block":
            return _block(ctx, options, name, item.fields)
        case _:
            return _alert(ctx, options, name, item.fields)


def _keep(ctx: PerformContext, policy: Policy, name: str, fields: Fields) -> bool:
    """Write the decision down, with its notice; False if it needs nothing more.

    Of two workers that decide at once the database lets one in.
    """
    kind = fields["kind"]
    about = "user" if kind == "lock" or fields["subjectId"] == fields["userId"] else "address"
    subject = subject_digest(ctx.vault, about, fields["subjectId"])
    with ctx.state.transaction() as session:
        row = session.scalars(select(LockoutDecision).where(LockoutDecision.name == name)).first()
        if row is not None:
            return row.confirmed_at is None and (kind == "alert" or row.lifted_at is None)
        over = update(LockoutDecision).where(
            LockoutDecision.kind == kind,
            LockoutDecision.subject == subject,
            LockoutDecision.lifted_at.is_(None),
            LockoutDecision.until <= fields["at"],
        )
        session.execute(over.values(lifted_at=ctx.as_of, lifted_by="expired"))
        made = LockoutDecision(
            name=name,
            kind=kind,
            why=fields["why"],
            subject=subject,
            other=_other(ctx, about, fields),
            policy=policy.name,
            policy_version=policy.version,
            since=fields["since"],
            at=fields["at"],
            until=fields["until"],
            attempts=fields["attempts"],
            evidence=ctx.vault.seal(evidence_of(fields), seal_name(name)),
            made_at=ctx.as_of,
            lifted_at=ctx.as_of if kind == "alert" else None,
        )
        try:
            with session.begin_nested():
                session.add(made)
        except IntegrityError:
            return False
        is_urgent = kind == "alert"
        ctx.state.notify(session, Notice(f"lockout/{name}", sentence(fields), is_urgent))
        return True


def _other(ctx: PerformContext, about: str, fields: Fields) -> str | None:
    """The digest of the other side: the address of a lock, the user of a block."""
    if about == "user":
        return subject_digest(ctx.vault, "address", fields["address"] or "")
    user = fields["userId"]
    return None if user is None else subject_digest(ctx.vault, "user", user)


def _lock(ctx: PerformContext, options: LockoutOptions, name: str, fields: Fields) -> Outcomes:
    accounts, key = options.accounts.collection, fields["accountId"]
    until = milliseconds(fields["until"])
    lock = {"isLocked": True, "lockedAt": milliseconds(fields["at"]), "lockedUntil": until}
    free = [
        {"isLocked": {"$ne": True}},
        {"lockedUntil": {"$lte": milliseconds(fields["at"])}},
    ]
    written = ctx.documents.update(accounts, {"_id": key, "$or": free}, lock)
    shown = ["isLocked", *LOCK_DATES]
    back = next(ctx.documents.find(accounts, {"_id": key}, shown, limit=1), None)
    if back is None:
        lift(ctx, name, "the account is gone")
        return GONE
    if back.get("isLocked") is True and back.get("lockedUntil") == until:
        _confirm(ctx, name)
        return DONE
    if written or back.get("isLocked") is not True:
        _alarm(ctx, name, "lock")
        return FAILED
    lift(ctx, name, "another lock stands")
    return ALREADY


def _block(ctx: PerformContext, options: LockoutOptions, name: str, fields: Fields) -> Outcomes:
    document = blacklist_entry(name, fields)
    ctx.documents.insert(options.blacklist, document)
    where = {"_id": document["_id"]}
    back = next(ctx.documents.find(options.blacklist, where, ["expiresAt"], limit=1), None)
    if back is None or back.get("expiresAt") != document["expiresAt"]:
        _alarm(ctx, name, "block")
        return FAILED
    _confirm(ctx, name)
    return DONE


def _alert(ctx: PerformContext, options: LockoutOptions, name: str, fields: Fields) -> Outcomes:
    """People are told; what else an alert asks for can be taken back, and ends by itself."""
    for user in fields["users"]:
        _release_victim(ctx, options, user, fields["address"])
    asks_more = fields["why"] == "distributed" and options.distributed.step_up.amount > 0
    if asks_more and not _step_up(ctx, options, fields):
        text = f"DID NOT TAKE: {sentence(fields)} Read back, {STEP_UP} does not stand there."
        with ctx.state.transaction() as session:
            ctx.state.notify(session, Notice(f"lockout/{name}/not-taken", text, urgent=True))
        return FAILED
    _confirm(ctx, name)
    return DONE


def _step_up(ctx: PerformContext, options: LockoutOptions, fields: Fields) -> bool:
    """The application asks for more than a password; a later moment that stands there stays."""
    accounts, key = options.accounts.collection, fields["accountId"]
    if key is None:
        return True
    until = milliseconds(fields["until"])
    earlier = [{STEP_UP: {"$exists": False}}, {STEP_UP: {"$lt": until}}]
    ctx.documents.update(accounts, {"_id": key, "$or": earlier}, {STEP_UP: until})
    back = next(ctx.documents.find(accounts, {"_id": key}, [STEP_UP], limit=1), None)
    return back is None or (isinstance(back.get(STEP_UP), datetime) and back[STEP_UP] >= until)


def blacklist_entry(name: str, fields: Fields) -> dict[str, Any]:
    """The application's own kind of entry; its `_id` is the decision's, so that there is one."""
    entry = {
        "_id": block_id(name),
        "ipAddress": fields["ipAddress"],
        "reason": REASON,
        "blockedAt": milliseconds(fields["at"]),
        "expiresAt": milliseconds(fields["until"]),
    }
    return {**entry, "network": fields["address"]} if "/" in fields["address"] else entry


def block_id(name: str) -> str:
    return f"tend-{name[:24]}"


def _release_victim(ctx: PerformContext, options: LockoutOptions, user: str, address: str) -> None:
    """What an attack on the accounts had locked is free again, unless another address did it."""
    subject = subject_digest(ctx.vault, "user", user)
    other = subject_digest(ctx.vault, "address", address)
    with ctx.state.transaction() as session:
        row = standing(session, "lock", subject)
        if row is None or row.other != other:
            return
        until = row.until
        row.lifted_at = ctx.as_of
        row.lifted_by = "attack on the accounts"
        ctx.state.clear_alert(session, alarm_cause(row.name))
    unlock(ctx, options.accounts.collection, user, until)


def unlock(ctx: PerformContext, accounts: str, user: str, until: datetime) -> bool:
    """Free an account of the very lock that ends then; a person's lock ends never."""
    where = {"_id": {"$in": list(keys_of(user))}, "isLocked": True}
    return unlock_where(ctx, accounts, {**where, "lockedUntil": milliseconds(until)})


def unlock_where(ctx: PerformContext, accounts: str, where: Mapping[str, Any]) -> bool:
    return ctx.documents.update(accounts, where, UNLOCKED, LOCK_DATES)


def standing(session: Session, kind: str, subject: str) -> LockoutDecision | None:
    """The lock or block that stands for a subject."""
    query = select(LockoutDecision).where(
        LockoutDecision.kind == kind,
        LockoutDecision.subject == subject,
        LockoutDecision.lifted_at.is_(None),
    )
    return session.scalars(query).first()


def lift(ctx: PerformContext, name: str, why: str) -> None:
    with ctx.state.transaction() as session:
        ended = update(LockoutDecision).where(LockoutDecision.name == name)
        session.execute(ended.values(lifted_at=ctx.as_of, lifted_by=why))
        ctx.state.clear_alert(session, alarm_cause(name))


def _confirm(ctx: PerformContext, name: str) -> None:
    with ctx.state.transaction() as session:
        confirmed = update(LockoutDecision).where(LockoutDecision.name == name)
        session.execute(confirmed.values(confirmed_at=ctx.as_of))
        ctx.state.clear_alert(session, alarm_cause(name))


def _alarm(ctx: PerformContext, name: str, kind: str) -> None:
    """What was written is not there: whoever undoes it at once defeats it."""
    with ctx.state.transaction() as session:
        row = session.scalars(select(LockoutDecision).where(LockoutDecision.name == name)).one()
        text = (
            f"Decision {row.id} of {row.policy} did not take: read back, the {kind} is not in "
            "force. Something undoes it, or the application keeps it elsewhere."
        )
        alert = Alert("protection_failed", alarm_cause(name), text)
        ctx.state.raise_alert(session, alert)
