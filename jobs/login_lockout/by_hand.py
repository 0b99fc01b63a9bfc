"""What a person does: release, lock, block, allow. Each is on record before it is done."""

from datetime import datetime, timedelta
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError
from sqlalchemy.orm import Session

from jobs.base import Item
from jobs.host import Desk, Host
from jobs.login_lockout import acting, records
from jobs.login_lockout.addresses import is_inside, network_of
from jobs.login_lockout.asking import standing_blocks
from jobs.login_lockout.decided import name_of
from jobs.login_lockout.looking import memory_of
from jobs.login_lockout.naming import Named, named, options_of, policy_of
from jobs.login_lockout.options import REASON, LockoutOptions
from jobs.login_lockout.records import Kept, alarm_cause, pardon_name, stamp
from jobs.login_lockout.release import STEP_UP
from jobs.login_lockout.tables import LockoutPardon
from policies.durations import Age, Duration

_DURATION: TypeAdapter[Age] = TypeAdapter(Duration)
LONGEST = timedelta(days=366)
LOCKED, BLOCKED, ALLOWED = "30m", "24h", "8h"
"""For how long, unless somebody says otherwise."""


def release(host: Host, desk: Desk, subject: str, *, with_addresses: bool, as_json: bool) -> None:
    """Free somebody, and say what still keeps them out."""
    whom = named(host, desk, subject)
    found = _decisions(desk, whom)
    blocks = standing_blocks(found)
    free = blocks if with_addresses or whom.kind == "address" else []
    locks = [each for each in found if each.row.kind == "lock" and each.row.lifted_at is None]
    released = [*free, *(locks if whom.kind == "user" else [])]
    context, options = desk.context, options_of(host, desk)
    with context.state.transaction() as session:
        _pardon(session, desk, whom.kind, whom.key, memory_of(options))
        for each in free:
            _pardon(session, desk, "address", each.evidence["address"], memory_of(options))
        for each in released:
            row = session.merge(each.row)
            row.lifted_at, row.lifted_by = context.as_of, desk.asker
            row.lift_reason = desk.reason
            context.state.clear_alert(session, alarm_cause(row.name))
        said = {"what": whom.kind, "subject": whom.digest, "lifted": len(released)}
        desk.record(session, "lockout_released", policy_of(host, desk).name, said)
    is_unlocked = whom.kind == "user" and _unlock(desk, options, whom)
    is_asked_less = whom.kind == "user" and _ask_less(desk, options, whom)
    for each in free:
        context.documents.delete(options.blacklist, {"_id": acting.block_id(each.row.name)})
    if whom.kind == "address":
        context.documents.delete(options.blacklist, {"ipAddress": whom.key, "reason": REASON})
    still = [_still(each) for each in blocks if each not in free]
    document = {
        whom.kind: whom.key,
        "unlocked": is_unlocked,
        "step_up_ended": is_asked_less,
        "released": [each.row.id for each in released],
        "still_blocked": still,
        "locked_by_a_person": _is_a_persons(desk, options, whom),
    }
    if as_json:
        host.print_json(document)
        return
    host.heading(desk.environment, f"{subject} is released: {len(released)} decisions lifted")
    if is_asked_less:
        host.say("A password is enough again.")
    for one in still:
        host.say(f"Still blocked: {one['address']} until {one['until']}.")
    if document["locked_by_a_person"]:
        host.say("The account is locked without an end: a person did that, and it stays.")


def lock(host: Host, desk: Desk, user: str, length: str, *, as_json: bool) -> None:
    """Lock an account until a moment that stands with it."""
    whom = named(host, desk, user)
    if whom.kind != "user" or whom.account is None:
        raise host.refuse(f"No account bears the name '{user}'; nothing was locked.")
    _act(host, desk, "lock", whom, user, _length(host, length), as_json=as_json)


def block(host: Host, desk: Desk, address: str, length: str, *, as_json: bool) -> None:
    """Block an address, unless the policy trusts it."""
    whom = named(host, desk, address)
    if whom.kind != "address":
        raise host.refuse(f"'{address}' is no address; networks are blocked elsewhere.")
    trusted = [network_of(text) for text in options_of(host, desk).never_block]
    if is_inside(whom.key, trusted):
        raise host.refuse(f"{address} is in the policy's never_block; nothing was blocked.")
    _act(host, desk, "block", whom, address, _length(host, length), as_json=as_json)


def allow(host: Host, desk: Desk, network: str, length: str, *, as_json: bool) -> None:
    """Let no address of a network be blocked for a while; what is blocked already stays so."""
    try:
        wanted = network_of(network)
    except ValueError:
        raise host.refuse(f"'{network}' is no address and no network.") from None
    time = _length(host, length)
    until = desk.context.as_of + time
    with desk.context.state.transaction() as session:
        _pardon(session, desk, "allow", str(wanted), time)
        size = {"prefix": wanted.prefixlen, "until": stamp(until)}
        desk.record(session, "lockout_allowed", policy_of(host, desk).name, size)
    if as_json:
        host.print_json({"network": str(wanted), "until": stamp(until)})
    else:
        host.heading(desk.environment, f"{wanted} is not blocked before {stamp(until)}")


def _act(
    host: Host,
    desk: Desk,
    kind: str,
    whom: Named,
    shown: str,
    length: timedelta,
    *,
    as_json: bool,
) -> None:
    """The same guarded write that the job makes, with a person's word as its evidence."""
    context, policy = desk.context, policy_of(host, desk)
    at: datetime = context.as_of
    is_user = whom.kind == "user"
    fields: dict[str, Any] = {
        "kind": kind,
        "why": "by_hand",
        "userName": shown if is_user else None,
        "ipAddress": None if is_user else shown,
        "attempts": 0,
        "at": at,
        "until": at + length,
        "since": at,
        "accountId": whom.account,
        "subjectId": whom.key,
        "userId": whom.key if is_user else None,
        "address": None if is_user else whom.key,
        "events": [],
        "users": [],
    }
    name = name_of(context.vault, kind, "by_hand", whom.key, at)
    with context.state.transaction() as session:
        said = {"subject": whom.digest, "until": stamp(at + length)}
        desk.record(session, f"lockout_{kind}_by_hand", policy.name, said)
    outcomes = acting.perform(context, policy, Item(name, fields))
    if not outcomes.changed:
        raise host.refuse(f"{shown} was not {kind}ed: a {kind} stands already, or did not take.")
    document = {whom.kind: whom.key, "kind": kind, "until": stamp(at + length)}
    if as_json:
        host.print_json(document)
    else:
        host.heading(desk.environment, f"{shown} is {kind}ed until {document['until']}")


def _decisions(desk: Desk, whom: Named) -> list[Kept]:
    context = desk.context
    with context.state.transaction() as session:
        return list(records.decisions(session, context.vault, standing=False, subject=whom.digest))


def _pardon(session: Session, desk: Desk, kind: str, subject: str, kept: timedelta) -> None:
    context = desk.context
    session.add(
        LockoutPardon(
            kind=kind,
            subject=context.vault.seal(subject.encode(), pardon_name(kind)),
            at=context.as_of,
            until=context.as_of + kept,
            by=desk.asker,
            reason=desk.reason,
        )
    )


def _unlock(desk: Desk, options: LockoutOptions, whom: Named) -> bool:
    """Only a lock that ends by itself: one without an end is a person's."""
    where = {"_id": whom.account, "isLocked": True, "lockedUntil": {"$type": "date"}}
    return acting.unlock_where(desk.context, options.accounts.collection, where)


def _ask_less(desk: Desk, options: LockoutOptions, whom: Named) -> bool:
    where = {"_id": whom.account, STEP_UP: {"$type": "date"}}
    return desk.context.documents.update(options.accounts.collection, where, {}, (STEP_UP,))


def _is_a_persons(desk: Desk, options: LockoutOptions, whom: Named) -> bool:
    where = {"_id": whom.account, "isLocked": True}
    found = desk.context.documents.find(options.accounts.collection, where, ["_id"], limit=1)
    return whom.account is not None and next(found, None) is not None


def _still(kept: Kept) -> dict[str, str | None]:
    return {"address": cast(str, kept.evidence["shown"]), "until": stamp(kept.row.until)}


def _length(host: Host, text: str) -> timedelta:
    try:
        length = _DURATION.validate_python(text).delta
    except (ValidationError, KeyError, OverflowError):
        raise host.refuse(f"--for '{text}' is no length of time such as 24h.") from None
    if not timedelta() < length <= LONGEST:
        raise host.refuse("--for must be longer than 0 and at most 366d.")
    return length
