"""`/stores`: `tend pos` over HTTP, but for credentials, which no browser has."""

from contextlib import suppress
from datetime import date
from typing import Annotated, Any

import typer
from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, StringConstraints

from jobs.host import Asked, Door
from jobs.pos_sync import by_hand
from jobs.pos_sync.look import look
from jobs.pos_sync.steps import steps_for

Document = dict[str, Any]
Line = Annotated[str, StringConstraints(max_length=1_000, pattern=r"^[^\x00]*$")]


class Change(BaseModel):
    """Which store, by an id such as sql/7 or by its name, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    store: Line
    reason: Line
    on_behalf_of: Line | None = None


class Sync(Change):
    approve: Line | None = None


class Mute(Change):
    until: date


def router(door: Door) -> APIRouter:
    """The routes, on what the API lends them."""
    routes = APIRouter(prefix="/stores", tags=["stores"])
    _add_looks(routes, door)
    _add_changes(routes, door)
    return routes


def _add_looks(routes: APIRouter, door: Door) -> None:
    looking, stepping = door.asked("pos status"), door.asked("pos steps")

    @routes.get("")
    def pos_status(host: Asked = looking) -> Document:
        """How every store is: cause, age of its data, breaker, next attempt, end of its login."""
        with host.looking() as desk:
            found = look(by_hand.tools_at(host, desk), desk.context.as_of)
        return {"stores": [one.as_json() for one in found]}

    @routes.get("/steps")
    def pos_steps(store: Annotated[Line, Query()], host: Asked = stepping) -> Document:
        """The text to send to the shop: what somebody there has to do."""
        with host.looking() as desk:
            row = by_hand.the_store(host, by_hand.tools_at(host, desk), store)
        return {"store": row.key, "text": steps_for(row)}


def _add_changes(routes: APIRouter, door: Door) -> None:
    checking, syncing, muting = (door.asked(f"pos {word}") for word in ("check", "sync", "mute"))

    @routes.post("/check")
    def pos_check(body: Change, host: Asked = checking) -> Document:
        """Check again: credentials and connection, and a sync if both are good."""
        with (
            suppress(typer.Exit),  # the command's exit code; the document says how it ended
            by_hand.changing(
                host, body.store, body.reason, body.on_behalf_of, as_json=True
            ) as case,
        ):
            by_hand.check_and_sync(case)
        return host.document

    @routes.post("/sync")
    def pos_sync(body: Sync, host: Asked = syncing) -> Document:
        """Sync one store now."""
        with (
            suppress(typer.Exit),  # the same
            by_hand.changing(
                host, body.store, body.reason, body.on_behalf_of, as_json=True
            ) as case,
        ):
            by_hand.sync(case, body.approve)
        return host.document

    @routes.post("/mute")
    def pos_mute(body: Mute, host: Asked = muting) -> Document:
        """Tell nobody of this store's failures until a day."""
        with by_hand.changing(
            host, body.store, body.reason, body.on_behalf_of, as_json=True
        ) as case:
            by_hand.mute(case, body.until)
        return host.document
