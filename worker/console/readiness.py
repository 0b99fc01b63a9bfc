"""Whether this installation can do its work: the control database, a scheduler and a worker."""

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from policies.errors import TendError
from worker import database, revisions
from worker.database import Database
from worker.heartbeat import last_seen
from worker.logs import safe_text
from worker.reconciler import WORKER_GONE

ANSWER_SECONDS = 3.0
"""Who asks for health gives up soon, and then learns nothing."""
KINDS = ("scheduler", "worker")


@dataclass(frozen=True)
class Check:
    """One thing that must be well, in a sentence; for a process, how old its last sign is."""

    ok: bool
    says: str
    age_seconds: float | None = None


Report = Mapping[str, Check]


class Readiness:
    """Looks when asked, never twice at once, and answers in time though the database does not."""

    def __init__(
        self, db: Database, seconds: float = ANSWER_SECONDS, kinds: Sequence[str] = KINDS
    ) -> None:
        self._db = db
        self._seconds = seconds
        self._kinds = kinds
        self._lock = threading.Lock()
        self._pending: Future[Report] | None = None

    def report(self) -> Report:
        try:
            return self._looking().result(self._seconds)
        except TimeoutError:
            return _without(
                f"The control database has not answered within {self._seconds:g} s; check "
                "TEND_DATABASE_URL and the server.",
                self._kinds,
            )

    def _looking(self) -> Future[Report]:
        with self._lock:
            if self._pending is None or self._pending.done():
                self._pending = Future()
                look = threading.Thread(
                    target=self._look, args=(self._pending,), name="readiness", daemon=True
                )
                look.start()
            return self._pending

    def _look(self, pending: Future[Report]) -> None:
        try:
            pending.set_result(examine(self._db, self._kinds))
        except Exception as error:  # noqa: BLE001 - it is raised where the answer is awaited
            pending.set_exception(error)


def examine(db: Database, kinds: Sequence[str] = KINDS) -> Report:
    """Ask the control database about itself and about the signs of life it holds."""
    try:
        revisions.require_current(db)
        with db.transaction() as session:
            moment = database.now(session)
            alive = {kind: _alive(session, kind, moment) for kind in kinds}
    except TendError as error:
        return _without(safe_text(error), kinds)
    return {"control_database": Check(True, "It answers and is migrated to this version."), **alive}


def _alive(session: Session, kind: str, moment: datetime) -> Check:
    seen = last_seen(session, kind)
    if seen is None:
        return Check(False, f"No {kind} runs; start one with `tend {kind}`.")
    age = round((moment - seen).total_seconds(), 1)
    if moment - seen > WORKER_GONE:
        says = f"The last sign of life of a {kind} is too old; start one with `tend {kind}`."
        return Check(False, says, age)
    return Check(True, f"A {kind} lives.", age)


def _without(says: str, kinds: Sequence[str]) -> Report:
    """What can be said when the control database tells nothing."""
    unknown = Check(False, "Not known without the control database.")
    return {"control_database": Check(False, says), **dict.fromkeys(kinds, unknown)}
