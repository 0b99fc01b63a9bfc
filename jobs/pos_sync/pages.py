"""Stores in the console: `tend pos` for a browser, but for credentials, which no browser has."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import date
from typing import Any

import typer
from fastapi import APIRouter

from jobs.host import Room, Visit
from jobs.pos_sync import by_hand
from jobs.pos_sync.by_hand import Case
from jobs.pos_sync.condition import Condition
from jobs.pos_sync.failures import CLASSES, Kind, SyncFailed
from jobs.pos_sync.look import Look, look, look_at
from jobs.pos_sync.steps import steps_for

PAGE = ("/stores", "Stores", "pos status")
"""Its place in the navigation, and the command whose role it takes."""
SHOWN = 200


def router(room: Room) -> APIRouter:
    """The pages, on what the console lends them."""
    routes = APIRouter(include_in_schema=False)
    _add_looks(routes, room)
    _add_changes(routes, room)
    return routes


def _add_looks(routes: APIRouter, room: Room) -> None:
    listing, listing_on = room.looked_at("pos status"), room.looked_on("pos status")
    showing = room.looked_at("pos steps")

    @routes.get("/stores")
    def stores(state: str = "", host: Visit = listing) -> Any:
        """Those that need somebody first."""
        return host.page("stores.html", **_listed(host, state))

    @routes.get("/stores-now")
    def stores_now(state: str = "", host: Visit = listing_on) -> Any:
        """The list alone, for the page asks for it again and again."""
        return host.page("stores.html#now", **_listed(host, state))

    @routes.get("/stores/{store:path}")
    def store(store: str, host: Visit = showing) -> Any:
        """One store, and what somebody in the shop has to do."""
        with host.looking() as desk:
            tools = by_hand.tools_at(host, desk)
            found = look_at(tools, by_hand.the_store(host, tools, store), desk.context.as_of)
        steps = steps_for(found.row) if found.row.error is not None else None
        return host.page("store.html", it=_shown(found), now=found.now, steps=steps)


def _add_changes(routes: APIRouter, room: Room) -> None:
    checking, syncing, muting = (room.sent(f"pos {word}") for word in ("check", "sync", "mute"))

    @routes.post("/stores/check")
    def check(host: Visit = checking) -> Any:
        """Credentials and connection, and a sync if both are good."""
        return _asked(host, by_hand.check_and_sync)

    @routes.post("/stores/sync")
    def sync(host: Visit = syncing) -> Any:
        """With the diff of deletions that were read, if the store waits for that."""
        approved = host.form.get("approve") or None
        return _asked(host, lambda case: by_hand.sync(case, approved))

    @routes.post("/stores/mute")
    def mute(host: Visit = muting) -> Any:
        """Until a day begins, in UTC."""
        try:
            day = date.fromisoformat(host.form.get("until", ""))
        except ValueError:
            raise host.refuse("Until when is a day, such as 2026-12-31.") from None
        return _asked(host, lambda case: by_hand.mute(case, day))


def _asked(host: Visit, change: Callable[[Case], None]) -> Any:
    """Do it; what the store answered is told where it was asked for."""
    store, reason = host.form.get("store", ""), host.form.get("reason", "")
    with (
        suppress(typer.Exit),  # the command's exit code; the document says how it ended
        by_hand.changing(host, store, reason, None, as_json=True) as case,
    ):
        change(case)
    key, ended, error = (host.document.get(name) for name in ("store", "ended", "error"))
    if error is not None:
        raise SyncFailed(Kind(error), str(key))
    if ended == "waits":
        raise host.refuse(f"{key} waits: its breaker is open, or a worker is at it.")
    return host.done(f"/stores/{key}")


def _listed(host: Visit, state: str) -> dict[str, Any]:
    with host.looking() as desk:
        now = desk.context.as_of
        found: Sequence[Look] = look(by_hand.tools_at(host, desk), now)
    wanted = [one for one in found if state in {"", one.row.condition}]
    return {
        "found": [_shown(one) for one in wanted[:SHOWN]],
        "count": len(wanted),
        "states": {str(each): 0 for each in Condition}
        | Counter(one.row.condition for one in found),
        "chosen": state,
        "now": now,
    }


def _shown(one: Look) -> dict[str, Any]:
    """What `tend pos status` says of it, and the seconds until its breaker lets somebody probe."""
    error = one.row.error
    return {
        **one.as_json(),
        "failures": one.row.failures,
        "ill_since": one.row.ill_since,
        "says": None if error is None else CLASSES[Kind(error)].says,
        "breaker_is": one.breaker.partition(" ")[0],
        "probe_in": None if one.wait is None else int(one.wait.total_seconds()),
    }
