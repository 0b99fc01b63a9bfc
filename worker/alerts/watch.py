"""Watching: each look raises what is wrong now, and clears what is so no longer."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from policies.models import Policy
from policies.thresholds import Thresholds, load_thresholds
from worker import database
from worker.alerts import alerts
from worker.alerts.conditions import ALL, OWN, SCHEDULERS, Condition, Look
from worker.alerts.telling import Place, tell
from worker.chores import Chore
from worker.database import Database
from worker.engine import Engine
from worker.keys import Keyring
from worker.logs import safe_text
from worker.settings import Settings
from worker.tables import Alert

SECONDS = 30
WORKER_SECONDS = 10

log = structlog.get_logger()


@dataclass
class Watch:
    """One process's eyes; the alerts that it raises are everybody's."""

    db: Database
    keyring: Keyring
    policies: Sequence[Policy]
    thresholds: Thresholds
    _since: datetime | None = None

    def look(self, conditions: Sequence[Condition] = ALL) -> None:
        """Look once. A condition that cannot be looked at raises and clears nothing."""
        for condition in conditions:
            try:
                with self.db.transaction() as session:
                    self._settle(session, condition)
            except Exception as error:
                what = ", ".join(sorted(condition.events))
                log.exception("alerts not looked at", events=what, why=safe_text(error))

    def _settle(self, session: Session, condition: Condition) -> None:
        moment = database.now(session)
        self._since = self._since or moment
        look = Look(session, moment, self.policies, self.thresholds, self._since)
        found = {alert.cause: alert for alert in condition.find(look)}
        for alert in found.values():
            alerts.raise_alert(session, self.keyring, alert)
        for cause in _standing(session, condition):
            if cause not in found:
                alerts.clear_alert(session, cause)


def of_schedulers(
    settings: Settings, db: Database, keyring: Keyring, policies: Sequence[Policy]
) -> Chore:
    """The chore of a scheduler: everything is looked at."""
    watch = Watch(db, keyring, policies, load_thresholds(settings.policy_directories))
    return Chore("watching", watch.look, SECONDS)


def of_workers(settings: Settings, engine: Engine) -> Chore:
    """The chore of a worker: without a scheduler there is nobody else to notice, nor to tell."""
    thresholds = load_thresholds(settings.policy_directories)
    watch = Watch(engine.database, engine.keyring, (), thresholds)

    def look() -> None:
        watch.look([SCHEDULERS])
        with engine.database.transaction() as session:
            is_missing = any(_standing(session, SCHEDULERS))
        if is_missing:
            _tell(settings, engine)

    return Chore("watching", look, WORKER_SECONDS)


def _tell(settings: Settings, engine: Engine) -> None:
    from worker.notices import channels, delivery  # noqa: PLC0415 - apprise takes 14 MiB

    tell(engine.database, engine.keyring, Place(settings.env, settings.console_url))
    found = channels.channels_of(settings)
    delivery.deliver(engine.database, engine.keyring, found, settings.env)


def _standing(session: Session, condition: Condition) -> Sequence[str]:
    standing = select(Alert.cause).where(
        Alert.cleared_at.is_(None),
        Alert.event.in_(condition.events),
        Alert.cause.startswith(OWN, autoescape=True),
    )
    return session.scalars(standing).all()
