"""Lockouts in the console: `tend lockout` for a browser. A person stands in no page's address."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter

from jobs.host import Room, Visit
from jobs.login_lockout import asking, by_hand, following, records
from jobs.login_lockout.records import Kept
from jobs.login_lockout.tables import LockoutDecision

PAGE = ("/lockouts", "Lockouts", "lockout list")
"""Its place in the navigation, and the command whose role it takes."""
SHOWN = 200
OVER = 30


def router(room: Room) -> APIRouter:
    """The pages, on what the console lends them."""
    routes = APIRouter(include_in_schema=False)
    _add_looks(routes, room)
    _add_release(routes, room)
    return routes


def _add_looks(routes: APIRouter, room: Room) -> None:
    listing, explaining = room.looked_at("lockout list"), room.looked_at("lockout explain")
    finding = room.sent("lockout explain")

    @routes.get("/lockouts")
    def lockouts(host: Visit = listing) -> Any:
        """What stands, and what is over, the newest first."""
        with host.looking() as desk:
            asking.listed(host, desk, every=False, as_json=True)
            context = desk.context
            with context.state.transaction() as session:
                over = records.over(session, context.vault, OVER)
        stands = host.document["decisions"][::-1]
        return host.page(
            "lockouts.html",
            stands=stands[:SHOWN],
            count=len(stands),
            over=[each.as_json() for each in over],
            set_aside=host.document["set_aside"],
            absent=_absent(host.document["no_such_log"]),
        )

    @routes.post("/lockouts/explain")
    def found(host: Visit = finding) -> Any:
        """Whoever is named in the form, for an address of a page would be logged."""
        return _explained(host, host.form.get("subject", ""), None)

    @routes.get("/lockouts/{lockout}")
    def lockout(lockout: str, host: Visit = explaining) -> Any:
        """One decision with its evidence, and everything else about whom it is."""
        kept = _kept(host, lockout)
        return _explained(host, _subject(kept), kept.row.id)


def _add_release(routes: APIRouter, room: Room) -> None:
    releasing = room.sent("lockout release")

    @routes.post("/lockouts/{lockout}/release")
    def release(lockout: str, host: Visit = releasing) -> Any:
        """Free whom the decision is about."""
        subject = _subject(_kept(host, lockout))
        free = "with_addresses" in host.form
        with host.changing(host.form.get("reason", ""), None) as desk:
            by_hand.release(host, desk, subject, with_addresses=free, as_json=True)
        return host.done(f"/lockouts/{lockout}")


def _absent(logs: Mapping[str, Sequence[str]]) -> list[str]:
    return [
        f"{policy}: {following.not_there(pattern)}"
        for policy, patterns in logs.items()
        for pattern in patterns
    ]


def _explained(host: Visit, subject: str, number: int | None) -> Any:
    with host.looking() as desk:
        asking.explained(host, desk, subject, as_json=True)
    decisions = host.document["decisions"][::-1]
    kind = "user" if "user" in host.document else "address"
    own = {"user": "lock", "address": "block"}[kind]
    decisions.sort(key=lambda each: each["id"] != number and (number, each["kind"]) != (None, own))
    one = decisions[0] if decisions else None
    return host.page(
        "lockout.html",
        kind=kind,
        subject=host.document[kind],
        target=host.document["in_target"],
        it=one,
        others=decisions[1:],
    )


def _kept(host: Visit, lockout: str) -> Kept:
    number = int(lockout) if lockout.isdecimal() and len(lockout) < 19 else None
    with host.looking() as desk:
        context = desk.context
    with context.state.transaction() as session:
        row = None if number is None else session.get(LockoutDecision, number)
        if row is not None:
            return records.opened(context.vault, row)
    raise host.missing(f"There is no decision {lockout}; the lockouts page lists those there are.")


def _subject(kept: Kept) -> str:
    """Whom the decision is about, as `tend lockout explain` is asked."""
    told = kept.evidence
    is_address = told["subject"] == told["address"]
    return str(told["address"] if is_address else told["account"] or told["key"] or told["user"])
