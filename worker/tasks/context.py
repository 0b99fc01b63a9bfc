"""What a task job is handed: each thing opened when it is first asked for."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, cast

from pymongo.client_session import ClientSession
from pymongo.database import Database as MongoDatabase
from redis import Redis
from sqlalchemy import Connection
from sqlalchemy.orm import Session

from jobs.task import (
    Alert,
    AuditLog,
    Documents,
    GuardedDocuments,
    Notice,
    State,
    Vault,
    VerifiableLog,
)
from worker.alerts import alerts
from worker.audit import entries
from worker.database import Database
from worker.engine import Engine
from worker.errors import SettingError, TargetMissing
from worker.identity import Actor
from worker.keys import Keyring
from worker.notices import notices
from worker.settings import not_set
from worker.targets.base import Target
from worker.targets.kinds import KINDS
from worker.targets.mongo import MongoTarget
from worker.targets.sql import SqlTarget
from worker.tasks.auditing import OwnLog
from worker.vault import open_vault

TRANSACTION_SECONDS = 60


@dataclass(frozen=True)
class FamilyState:
    """The control database, as a job family has it."""

    database: Database
    keyring: Keyring
    actor: Actor

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        with self.database.transaction() as session:
            yield session

    def notify(self, session: Session, notice: Notice) -> None:
        notices.queue(session, self.keyring, notice)

    def raise_alert(self, session: Session, alert: Alert) -> bool:
        return alerts.raise_alert(session, self.keyring, alert)

    def clear_alert(self, session: Session, cause: str) -> bool:
        return alerts.clear_alert(session, cause)

    def record(self, session: Session, action: str, detail: Mapping[str, Any]) -> None:
        entries.append(session, action, self.actor, detail=dict(detail))


class Checking:
    """For a check: targets to look at, where plans are read."""

    def __init__(self, targets: Mapping[str, Target], as_of: datetime) -> None:
        self.as_of = as_of
        self._targets = targets

    @property
    def documents(self) -> Documents:
        return self._mongo.documents()

    @contextmanager
    def sql(self) -> Iterator[Connection]:
        with self._sql.looking(TRANSACTION_SECONDS) as connection:
            yield connection

    @property
    def _sql(self) -> SqlTarget:
        target = self._targets.get("sql")
        if target is None:
            raise TargetMissing(KINDS["sql"].unset)
        return cast(SqlTarget, target)

    @property
    def _mongo(self) -> MongoTarget:
        target = self._targets.get("mongo")
        if target is None:
            raise TargetMissing(KINDS["mongo"].unset)
        return cast(MongoTarget, target)


class Looking(Checking):
    """For planning: nothing in it can write to a target."""

    def __init__(self, engine: Engine, family: str, as_of: datetime) -> None:
        super().__init__(engine.targets, as_of)
        self.state: State = FamilyState(engine.database, engine.keyring, engine.actor)
        with engine.database.transaction() as session:
            self.vault: Vault = open_vault(session, engine.keyring, family)
        self._engine = engine

    @cached_property
    def redis(self) -> "Redis":
        if self._engine.redis_url is None:
            raise SettingError(not_set("redis_url"))
        return Redis.from_url(self._engine.redis_url, socket_timeout=5)

    @property
    def audit(self) -> AuditLog:
        return OwnLog(self._engine)


class Performing(Looking):
    """For performing: the same on the primary, with guarded writes."""

    @property
    def documents(self) -> GuardedDocuments:
        return self._mongo.guarded_documents()

    @property
    def audit(self) -> VerifiableLog:
        return OwnLog(self._engine)

    @contextmanager
    def sql(self) -> Iterator[Connection]:
        with self._sql.transaction(TRANSACTION_SECONDS) as connection:
            yield connection

    @contextmanager
    def mongo(self) -> Iterator[tuple[MongoDatabase[dict[str, Any]], ClientSession]]:
        with self._mongo.transaction(TRANSACTION_SECONDS) as (database, session):
            yield database, session
