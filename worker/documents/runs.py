"""Runs as `tend runs`, `show` and `plan` print them with `--json`, and as the API answers."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from policies.models import Policy
from worker import present, runs
from worker.archive import ArchiveStore
from worker.audit.entries import stamp
from worker.database import Database
from worker.errors import ArchiveError, ForbiddenArrow, SettingError
from worker.keys import Keyring
from worker.logs import safe_text
from worker.registry import Policies
from worker.settings import Settings
from worker.states import State
from worker.tables import Chunk, Run

LISTED = 20
Document = dict[str, Any]
Say = Callable[[str], None]
"""Takes a remark: what the document itself has no place for."""


@dataclass(frozen=True)
class Wanted:
    """Which runs, newest first."""

    policy: str | None = None
    state: State | None = None
    limit: int = LISTED
    before: int | None = None
    """Only runs older than this one: the `next` of the page before."""


def listed(database: Database, policies: Callable[[], Policies], wanted: Wanted) -> Document:
    """A page of runs, and where the next one begins; an unknown policy is an error."""
    query = select(Run).order_by(Run.id.desc()).limit(wanted.limit + 1)
    if wanted.policy is not None:
        query = query.where(Run.policy == wanted.policy)
    if wanted.state is not None:
        query = query.where(Run.state == wanted.state)
    if wanted.before is not None:
        query = query.where(Run.id < wanted.before)
    with database.transaction() as session:
        rows = session.scalars(query).all()
        found = [present.run_as_json(session, run) for run in rows[: wanted.limit]]
    if not found and wanted.policy is not None:
        policies().get(wanted.policy)
    return {"runs": found, "next": found[-1]["id"] if len(rows) > wanted.limit else None}


def one(database: Database, run_id: int) -> Document:
    """A run as every command that changes it prints it."""
    with database.transaction() as session:
        return present.run_as_json(session, runs.get(session, run_id))


def shown(settings: Settings, database: Database, run_id: int, say: Say) -> Document:
    """A run with its work, and the first records that failed or are in conflict."""
    with database.transaction() as session:
        found = runs.get(session, run_id)
        document = {
            **present.run_as_json(session, found),
            "applied_by": found.applied_by,
            "applying_at": stamp(found.applying_at) if found.applying_at else None,
            "chunks": {way: _chunks(session, run_id, way) for way in ("apply", "undo")},
        }
    return {
        **document,
        "failed_records": exceptions(settings, database, run_id, "apply", "failed", say),
        "conflict_records": exceptions(settings, database, run_id, "undo", "conflict", say),
    }


def planned(database: Database, keyring: Keyring, run_id: int) -> tuple[Document, Document]:
    """A run and its frozen plan; raises `ForbiddenArrow` while it has none."""
    with database.transaction() as session:
        run = runs.get(session, run_id)
        document = present.run_as_json(session, run)
    plan = present.plan_as_json(run, keyring)
    if plan is None:
        raise ForbiddenArrow(f"r-{run_id} is {run.state} and has no plan; look with `tend show`.")
    return document, plan


def exceptions(
    settings: Settings,
    database: Database,
    run_id: int,
    direction: str,
    outcome: str,
    say: Say,
    limit: int | None = LISTED,
) -> list[Document] | None:
    """The first records with this outcome; None, and a remark, if the archive is not at hand."""
    with database.transaction() as session:
        run = runs.get(session, run_id)
        objects = present.exceptions(session, run, direction)
    if not objects:
        return []
    try:
        archive = ArchiveStore(settings.need("archive_url"))
        keyring = Keyring.from_settings(settings)
        return list(islice(present.records(run, objects, outcome, archive, keyring), limit))
    except (ArchiveError, SettingError) as error:
        say(f"The records of r-{run_id} cannot be listed: {safe_text(error)}")
        return None


def todays_policy(policies: Policies, database: Database, run_id: int) -> Policy:
    """A run's policy as it reads now, which may differ from what the run was frozen with."""
    with database.transaction() as session:
        name = runs.get(session, run_id).policy
    return policies.get(name).policy


def _chunks(session: Session, run_id: int, direction: str) -> dict[str, int]:
    """How many chunks there are in each state."""
    counted = session.execute(
        select(Chunk.state, func.count())
        .where(Chunk.run_id == run_id, Chunk.direction == direction)
        .group_by(Chunk.state)
    )
    return {str(state): int(count) for state, count in counted}
