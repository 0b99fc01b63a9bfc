"""What a look is handed: handles that cannot write, each opened when it is asked for."""

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from redis import Redis
from sqlalchemy import Connection

from jobs.probing import MongoStatus
from worker import database
from worker.database import Database
from worker.engine import Engine, system_clock
from worker.errors import SettingError, TargetMissing
from worker.probes import history
from worker.settings import Settings, not_set
from worker.targets.base import Target
from worker.targets.kinds import KINDS
from worker.targets.mongo import MongoTarget
from worker.targets.sql import SqlTarget


@dataclass(frozen=True)
class Site:
    """What of this installation probes may look at."""

    database: Database
    targets: Mapping[str, Target]
    redis_url: str | None
    clock: Callable[[], datetime] = system_clock
    host: str = socket.gethostname()

    @classmethod
    def of(cls, engine: Engine) -> "Site":
        return cls(engine.database, engine.targets, engine.redis_url, engine.clock)

    @classmethod
    def to_look(
        cls, settings: Settings, control: Database, targets: Mapping[str, Target]
    ) -> "Site":
        url = settings.redis_url
        return cls(control, targets, url.get_secret_value() if url else None)


@dataclass(frozen=True)
class Looking:
    """The context of one look of one probe."""

    site: Site
    probe: str
    place: str
    seconds: float
    spread: float
    now: datetime

    @property
    def host(self) -> str:
        return self.site.host

    @property
    def mongo(self) -> MongoStatus:
        return cast(MongoTarget, self._target("mongo")).status()

    @contextmanager
    def sql(self) -> Iterator[Connection]:
        target = cast(SqlTarget, self._target("sql"))
        with target.looking(self.seconds) as connection:
            yield connection

    @property
    def redis(self) -> "Redis":
        if self.site.redis_url is None:
            raise SettingError(not_set("redis_url"))
        seconds = min(5.0, self.seconds)
        return Redis.from_url(
            self.site.redis_url, socket_timeout=seconds, socket_connect_timeout=seconds
        )

    def skew(self) -> float | None:
        if self.site.database.dialect == "sqlite":
            return None
        before = self.site.clock()
        with self.site.database.transaction() as session:
            theirs = database.now(session)
        return (before + (self.site.clock() - before) / 2 - theirs).total_seconds()

    def before(self, subject: str, check: str) -> tuple[datetime, float] | None:
        with self.site.database.transaction() as session:
            return history.oldest(session, self.probe, self.place, subject, check)

    def _target(self, kind: str) -> Target:
        if kind not in self.site.targets:
            raise TargetMissing(KINDS[kind].unset)
        return self.site.targets[kind]
