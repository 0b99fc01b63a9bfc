"""`tend lockout list` and `explain`: what was decided, and what each decision rests on."""

from typing import Any

from jobs.host import Desk, Host
from jobs.login_lockout import following, records
from jobs.login_lockout.acting import block_id
from jobs.login_lockout.naming import Named, named, options_in, options_of, policies_of
from jobs.login_lockout.records import Kept, stamp
from jobs.login_lockout.release import LOCK_DATES, STEP_UP

Document = dict[str, Any]
_COLUMNS = ("id", "kind", "user", "address", "at", "until", "attempts", "why", "state")


def listed(host: Host, desk: Desk, *, every: bool, as_json: bool) -> None:
    """Print what stands, or everything that is kept, and how many lines were set aside."""
    context = desk.context
    with context.state.transaction() as session:
        found = records.decisions(session, context.vault, standing=not every)
        aside = {each.name: following.set_aside(session, each.name) for each in policies_of(desk)}
    absent = {each.name: following.absent(options_in(each)) for each in policies_of(desk)}
    rows = [each.as_json() for each in found]
    if as_json:
        host.print_json({"decisions": rows, "set_aside": aside, "no_such_log": absent})
        return
    host.heading(desk.environment, f"{len(rows)} {'decisions' if every else 'standing'}")
    if rows:
        host.table(_COLUMNS, [_row(each) for each in rows])
    for policy, counted in aside.items():
        for why, count in counted.items():
            host.say(f"{policy}: {count:,} lines or events were set aside: {why}.")
    for policy, patterns in absent.items():
        for pattern in patterns:
            host.say(f"{policy}: {following.not_there(pattern)}")


def explained(host: Host, desk: Desk, subject: str, *, as_json: bool) -> None:
    """Print every decision about somebody with its events, and how they stand in the target."""
    whom = named(host, desk, subject)
    context = desk.context
    with context.state.transaction() as session:
        found = records.decisions(session, context.vault, standing=False, subject=whom.digest)
    target = in_target(host, desk, whom, found)
    documents = [{**each.as_json(), "events": each.evidence["events"]} for each in found]
    if as_json:
        host.print_json({whom.kind: whom.key, "in_target": target, "decisions": documents})
        return
    host.heading(desk.environment, f"{whom.kind} {subject}: {_standing(target)}")
    for each in documents:
        host.facts(
            [
                (f"{each['kind']} {each['id']}", f"{each['why']}, {each['state']}"),
                ("who", f"{each['user'] or 'nobody by name'} from {each['address']}"),
                ("window", f"{each['since']} to {each['at']}, until {each['until']}"),
                ("policy", f"{each['policy']} {each['policy_version'][:12]}"),
                ("lifted", _lifted(each)),
                *(("event", _event(event)) for event in each["events"]),
            ]
        )


def in_target(host: Host, desk: Desk, whom: Named, found: Any) -> Document:
    """How it stands in the application's own data at this moment."""
    options = options_of(host, desk)
    documents = desk.context.documents
    if whom.kind == "user":
        fields = ["isLocked", *LOCK_DATES, STEP_UP]
        where = {"_id": whom.account}
        user = next(documents.find(options.accounts.collection, where, fields, limit=1), {})
        return {
            "account": None if whom.account is None else str(whom.account),
            "isLocked": user.get("isLocked"),
            "lockedUntil": stamp(user.get("lockedUntil")),
            STEP_UP: stamp(user.get(STEP_UP)),
        }
    keys = [block_id(each.row.name) for each in found if each.row.kind == "block"]
    where = {"$or": [{"ipAddress": whom.key}, {"_id": {"$in": keys}}]}
    entries = documents.find(options.blacklist, where, ["reason", "expiresAt"])
    shown = [
        {"reason": str(each.get("reason")), "expiresAt": stamp(each.get("expiresAt"))}
        for each in entries
    ]
    return {"blocked": shown}


def _standing(target: Document) -> str:
    if "blocked" in target:
        until = [str(each["expiresAt"]) for each in target["blocked"]]
        return f"blocked until {', '.join(until)}" if until else "not blocked"
    if target["account"] is None:
        return "no account bears this name"
    if not target["isLocked"]:
        asked = target[STEP_UP]
        return f"not locked, asked for more until {asked}" if asked else "not locked"
    return f"locked until {target['lockedUntil'] or 'a person says otherwise'}"


def _lifted(each: Document) -> str | None:
    if each["lifted_at"] is None or each["kind"] == "alert":
        return None
    reason = f": {each['lift_reason']}" if each["lift_reason"] else ""
    return f"{each['lifted_at']} by {each['lifted_by']}{reason}"


def _event(event: Document) -> str:
    what = "failed" if event["failed"] else "logged in"
    tries = f" {event['tries']} times" if event["tries"] > 1 else ""
    return (
        f"{event['at']} {event['user'] or 'nobody by name'} from {event['address']} {what}{tries}; "
        f"{event['source']} {event['place']}, {event['sha256'][:12]}"
    )


def _row(document: Document) -> tuple[str, ...]:
    return tuple("" if document[name] is None else str(document[name]) for name in _COLUMNS)


def standing_blocks(found: list[Kept]) -> list[Kept]:
    """Of these decisions, the blocks that stand."""
    return [each for each in found if each.row.kind == "block" and each.row.lifted_at is None]
