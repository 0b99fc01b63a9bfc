"""What takes longer than a page may: targets, what is overdue, the queue, the plot of weeks.

It is looked at beside the requests, again and again while somebody wants to know.
"""

import threading
import time
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from policies.errors import TendError
from policies.subjects import load_subjects
from worker import database, queue, status
from worker.console.installation import Installation
from worker.console.pages import plots
from worker.console.pages.plots import Plot
from worker.logs import safe_text
from worker.tables import Chunk, Run
from worker.targets.base import Target
from worker.targets.kinds import opened_to_look

FRESH_SECONDS = 20
DAYS = 14

log = structlog.get_logger()


@dataclass(frozen=True)
class Outlook:
    """How things stood when it was looked."""

    at: datetime
    targets: dict[str, str | None]
    """By kind: what is wrong with it, or None."""
    policies: list[dict[str, Any]]
    queued: int | None
    queue_problem: str | None
    plot: Plot


class Lookout:
    """Looks when the last look is old, never twice at once; nobody waits for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latest: Outlook | None = None
        self._problem: str | None = None
        self._looked_at = float("-inf")
        self._is_looking = False

    def latest(self, here: Installation) -> tuple[Outlook | None, str | None]:
        """The last look, and why the one after it failed."""
        with self._lock:
            is_old = time.monotonic() - self._looked_at > FRESH_SECONDS
            if is_old and not self._is_looking:
                self._is_looking = True
                threading.Thread(
                    target=self._look, args=(here,), name="lookout", daemon=True
                ).start()
            return self._latest, self._problem

    def _look(self, here: Installation) -> None:
        found, problem = None, None
        try:
            found = look(here)
        except Exception as error:  # noqa: BLE001 - a page says so; the next look may go well
            log.warning("outlook failed", why=safe_text(error))
            problem = safe_text(error)
        with self._lock:
            self._latest, self._problem = found or self._latest, problem
            self._looked_at = time.monotonic()
            self._is_looking = False


def look(here: Installation) -> Outlook:
    loaded = [each.policy for each in here.policies()]
    subjects = load_subjects(here.settings.policy_directories)
    with here.database.reading() as session:
        moment = database.now(session)
        plot = changed_by_day(session, moment)
    with opened_to_look(here.settings) as targets:
        health = {kind: _problem_of(target) for kind, target in targets.items()}
        reachable = {kind: target for kind, target in targets.items() if health[kind] is None}
        rows = status.policies(here.database, loaded, reachable, subjects, moment)
    queued, problem = _queued(here)
    return Outlook(moment, health, rows, queued, problem, plot)


def changed_by_day(session: Session, moment: datetime) -> Plot:
    """Records changed in each of the last days, by policy."""
    days = [moment.date() - timedelta(days=back) for back in reversed(range(DAYS))]
    day = func.date(Chunk.finished_at)
    since = datetime.combine(days[0], datetime.min.time(), moment.tzinfo)
    recent = select(Run.id).where(Run.created_at >= since)
    found = session.execute(
        select(day, Run.policy, func.sum(Chunk.changed))
        .join(Run, Run.id == Chunk.run_id)
        .where(Chunk.run_id.in_(recent), Chunk.direction == "apply", Chunk.changed > 0)
        .where(Chunk.finished_at.is_not(None))
        .group_by(day, Run.policy)
    )
    counts: dict[str, dict[date, int]] = defaultdict(dict)
    for when, policy, changed in found:
        counts[policy][date.fromisoformat(str(when))] = int(changed)
    return plots.bars(f"Records changed each day of the last {DAYS}, by policy", days, counts)


def _problem_of(target: Target) -> str | None:
    try:
        target.ping()
    except TendError as error:
        return safe_text(error)
    return None


def _queued(here: Installation) -> tuple[int | None, str | None]:
    if here.settings.redis_url is None:
        return None, None
    try:
        with closing(queue.connect(here.settings.need("redis_url"))) as broker:
            return queue.depth(broker), None
    except TendError as error:
        return None, safe_text(error)
