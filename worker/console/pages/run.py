"""One run: the plan, how far it is, what it waits for, what may be done; live while it is open."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from anyio import to_thread
from fastapi import APIRouter
from fastapi.responses import HTMLResponse, StreamingResponse
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from policies.errors import TendError
from worker import database, guards, present, runs
from worker.audit import search
from worker.console import sessions
from worker.console.pages import plots, run_rows
from worker.console.pages.actions import ACTIONS, Action, can_be_undone, offered
from worker.console.pages.visiting import LookingOn, Visit, Visiting
from worker.keys import Keyring
from worker.logs import safe_text
from worker.progress.glance import Glance, glance_of
from worker.progress.pace import Pace
from worker.states import UNFINISHED, State
from worker.tables import Chunk, Entry, Run

router = APIRouter(include_in_schema=False)

LOOK_SECONDS = 0.4
"""Between two looks at a run at work; at one that waits there is no hurry."""
REST_SECONDS = 2.0
SESSION_SECONDS = 15.0
ENTRIES = 40


@dataclass
class Follower:
    """One open page: what it was shown last, and how fast the run goes."""

    visit: Visit
    run_id: int
    pace: Pace = field(default_factory=Pace)
    signature: Any = None
    shown: dict[str, str] = field(default_factory=dict)
    is_at_work: bool = True

    def news(self) -> list[tuple[str, str]]:
        """The parts of the page that look different now."""
        with self.visit.here.database.reading() as session:
            run = runs.get(session, self.run_id)
            seen = glance_of(session, run)
            signature = _signature(session, run, seen)
            self.is_at_work = run.state in UNFINISHED
            self.pace.note(seen.state, seen.done, time.monotonic())
            pace = self.pace.words(seen.total - seen.done)
            if signature == self.signature and pace == self.shown.get("pace"):
                return []
            context = _context(self.visit, session, run, seen, pace)
        self.signature = signature
        self.shown["pace"] = pace
        parts = ((name, self.visit.html(f"run.html#{name}", **context)) for name in PARTS)
        news = [(name, html) for name, html in parts if self.shown.get(name) != html]
        self.shown.update(news)
        return news


PARTS = ("standing", "progress", "plan", "work", "trail")


@router.get("/runs/{run}")
def run(visit: Visiting, run: str) -> HTMLResponse:
    with visit.here.database.reading() as session:
        found = runs.get(session, runs.parse_id(run))
        context = _context(visit, session, found, glance_of(session, found), "")
    actions = [each for each in ACTIONS if visit.may(each.command)]
    return visit.page("run.html", actions=actions, **context)


@router.get("/runs/{run}/live")
async def live(visit: LookingOn, run: str) -> StreamingResponse:
    """Server-sent events, each a part of the page, from now on until somebody leaves."""
    follower = Follower(visit, runs.parse_id(run))
    return StreamingResponse(_events(follower), media_type="text/event-stream")


async def _events(follower: Follower) -> AsyncIterator[str]:
    checked = time.monotonic()
    while not follower.visit.here.stopping.is_set():
        try:
            if time.monotonic() - checked > SESSION_SECONDS:
                await to_thread.run_sync(_still_logged_in, follower.visit)
                checked = time.monotonic()
            news = await to_thread.run_sync(follower.news)
        except TendError as error:
            yield _event("trouble", safe_text(error))
            return
        for name, html in news:
            yield _event(name, html)
        await asyncio.sleep(LOOK_SECONDS if follower.is_at_work else REST_SECONDS)


def _event(name: str, html: str) -> str:
    lines = "".join(f"data: {line}\n" for line in html.splitlines() or [""])
    return f"event: {name}\n{lines}\n"


def _still_logged_in(visit: Visit) -> None:
    sessions.authenticate(visit.here.database, visit.login.secret, is_looking_on=True)


def _signature(session: Session, run: Run, seen: Glance) -> tuple[Any, ...]:
    """What has to be different for the page to be."""
    newest = select(func.max(Entry.id)).where(Entry.run_id == run.id)
    return (run.state, run.phase, seen, str(run.throttle), run.digest, session.scalar(newest))


def _context(visit: Visit, session: Session, run: Run, seen: Glance, pace: str) -> dict[str, Any]:
    document = present.run_as_json(session, run)
    keyring = Keyring.from_settings(visit.here.settings)
    found = search.search(session, search.Search(run=run.id, limit=ENTRIES))
    row = run_rows.row(run, document["changed"])
    return {
        "run": {**document, "words": row["words"]},
        "seen": seen,
        "pace": pace.removeprefix(", "),
        "is_at_work": run.state in UNFINISHED,
        "plan": present.plan_as_json(run, keyring),
        "refusing": guards.refusing(run) if run.state == State.REFUSED else [],
        "offered": _offered(visit, run),
        "is_own": visit.login.actor.name in [one["name"] for one in run.asked_by],
        "can_be_undone": can_be_undone(run) and visit.may("undo"),
        "chunks": {way: _chunks(session, run.id, way) for way in ("apply", "undo")},
        "archive": _archive(session, run) if run.state not in UNFINISHED else None,
        "left": present.left_in_words(document),
        "plot": _plot(session, run, seen),
        "trail": [search.as_json(each) for each in reversed(found)],
        "has_records": run.key is not None and run.applying_at is not None,
        "until": present.time_as_json(run.expires_at) if run.key is not None else None,
    }


def _offered(visit: Visit, run: Run) -> list[Action]:
    return [each for each in offered(run) if visit.may(each.command)]


def _chunks(session: Session, run_id: int, direction: str) -> dict[str, int]:
    counted = session.execute(
        select(Chunk.state, func.count())
        .where(Chunk.run_id == run_id, Chunk.direction == direction)
        .group_by(Chunk.state)
    )
    return {str(state): int(count) for state, count in counted}


def _archive(session: Session, run: Run) -> str | None:
    """The sealed objects with the before-images; None if there are none, or none can be read."""
    kept = select(Chunk.archives).where(Chunk.run_id == run.id, Chunk.direction == "apply")
    sizes = [each["size"] for archives in session.scalars(kept) for each in archives]
    is_readable = bool(sizes) and run.key is not None
    return f"{len(sizes):,} objects, {sum(sizes):,} bytes" if is_readable else None


def _plot(session: Session, run: Run, seen: Glance) -> plots.Plot | None:
    """How fast the work went: from the records done by the end of each chunk, and up to now."""
    began = run.applying_at
    if began is None:
        return None
    ended = session.execute(
        select(Chunk.finished_at, Chunk.items)
        .where(Chunk.run_id == run.id, Chunk.direction == "apply", Chunk.finished_at.is_not(None))
        .order_by(Chunk.finished_at)
    ).all()
    if len(ended) < 2:
        return None
    points, done = [(0.0, 0)], 0
    for at, items in ended:
        done += items
        points.append(((at - began).total_seconds() if at else 0.0, done))
    if run.state == State.APPLYING and seen.done > done:
        now = database.now(session)
        points.append(((now - began).total_seconds(), seen.done))
    return plots.rate(f"Records a second since r-{run.id} began to apply", points)
