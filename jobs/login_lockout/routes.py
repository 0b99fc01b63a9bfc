"""`/lockouts`: `tend lockout` over HTTP; a person stands in no address, for those are logged."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, StringConstraints

from jobs.host import Asked, Door
from jobs.login_lockout import asking, by_hand, replaying, reporting

Document = dict[str, Any]
Line = Annotated[str, StringConstraints(max_length=1_000, pattern=r"^[^\x00]*$")]


class Whom(BaseModel):
    """A user, or an address."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subject: Line


class Change(Whom):
    """Why, for those who read the audit."""

    reason: Line
    on_behalf_of: Line | None = None


class Release(Change):
    with_addresses: bool = False


class Lasting(Change):
    """For how long, such as 24h; each command has a length of its own."""

    length: Annotated[Line, StringConstraints(min_length=1)] | None = None


class Replay(BaseModel):
    """A policy by its name, and a period."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    policy: Annotated[str, StringConstraints(max_length=100, pattern=r"^[a-z][a-z0-9-]*$")]
    begin: Line
    end: Line


def router(door: Door) -> APIRouter:
    """The routes, on what the API lends them."""
    routes = APIRouter(prefix="/lockouts", tags=["lockouts"])
    _add_looks(routes, door)
    _add_changes(routes, door)
    return routes


def _add_looks(routes: APIRouter, door: Door) -> None:
    listing, explaining, reporting_, replaying_ = (
        door.asked(f"lockout {word}") for word in ("list", "explain", "report", "replay")
    )

    @routes.get("")
    def lockout_list(
        every: Annotated[bool, Query(alias="all")] = False, host: Asked = listing
    ) -> Document:
        """What is locked and blocked now, until when and why."""
        with host.looking() as desk:
            asking.listed(host, desk, every=every, as_json=True)
        return host.document

    @routes.post("/explain")
    def lockout_explain(body: Whom, host: Asked = explaining) -> Document:
        """Every decision about a user or an address, and each event that it rests on."""
        with host.looking() as desk:
            asking.explained(host, desk, body.subject, as_json=True)
        return host.document

    @routes.get("/report")
    def lockout_report(
        begin: Annotated[Line, Query(alias="from")],
        end: Annotated[Line, Query(alias="to")],
        host: Asked = reporting_,
    ) -> Document:
        """The locks of a period in numbers, and those that PCI DSS 8.3.4 asks about."""
        with host.looking() as desk:
            reporting.report(host, desk, (begin, end), as_json=True)
        return host.document

    @routes.post("/replay")
    def lockout_replay(body: Replay, host: Asked = replaying_) -> Document:
        """What this policy would have done on the site's own history; writes nothing."""
        with host.looking() as desk:
            period = (body.begin, body.end)
            replaying.replay(host, desk, body.policy, period, as_json=True)
        return host.document


def _add_changes(routes: APIRouter, door: Door) -> None:
    releasing, locking, blocking, allowing = (
        door.asked(f"lockout {word}") for word in ("release", "lock", "block", "allow")
    )

    @routes.post("/release")
    def lockout_release(body: Release, host: Asked = releasing) -> Document:
        """Free a user or an address now; failures until now count no more."""
        free = body.with_addresses
        with host.changing(body.reason, body.on_behalf_of) as desk:
            by_hand.release(host, desk, body.subject, with_addresses=free, as_json=True)
        return host.document

    @routes.post("/lock")
    def lockout_lock(body: Lasting, host: Asked = locking) -> Document:
        """Lock an account for a while."""
        with host.changing(body.reason, body.on_behalf_of) as desk:
            by_hand.lock(host, desk, body.subject, body.length or by_hand.LOCKED, as_json=True)
        return host.document

    @routes.post("/block")
    def lockout_block(body: Lasting, host: Asked = blocking) -> Document:
        """Block an address for a while."""
        with host.changing(body.reason, body.on_behalf_of) as desk:
            by_hand.block(host, desk, body.subject, body.length or by_hand.BLOCKED, as_json=True)
        return host.document

    @routes.post("/allow")
    def lockout_allow(body: Lasting, host: Asked = allowing) -> Document:
        """Let no address of a network be blocked for a while."""
        with host.changing(body.reason, body.on_behalf_of) as desk:
            by_hand.allow(host, desk, body.subject, body.length or by_hand.ALLOWED, as_json=True)
        return host.document
