"""What attempts work with: a control database, notices in a list, a clock that stands still."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import redis
from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.orm import Session

from jobs.pos_sync import keeping
from jobs.pos_sync.attempt import Result, attend
from jobs.pos_sync.credentials import Credentials
from jobs.pos_sync.register import register
from jobs.pos_sync.stores import Store
from jobs.pos_sync.tables import PosStep, PosStore
from jobs.pos_sync.tools import Tools
from jobs.task import Alert, Notice, Vault
from tests.jobs.pos_sync.provider import Provider
from tests.jobs.pos_sync.shops import Shop
from worker.database import Database
from worker.keys import RunKey

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
TOKENS = Credentials(
    access_token=SecretStr("GOOD"),
    refresh_token=SecretStr("REFRESH"),
    client_id=SecretStr("CLIENT"),
    client_secret=SecretStr("KEEP"),
    seller_id="SELLER",
    marketplace_id="ATVPDKIKX0DER",
)


@dataclass
class Book:
    """The family's state, and the notices that were queued; of one cause there is one."""

    database: Database
    notices: list[Notice] = field(default_factory=list)
    alerts: dict[str, Alert] = field(default_factory=dict)
    """Those that stand, by their cause."""
    raised: list[Alert] = field(default_factory=list)
    """Each when it began."""
    entries: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        with self.database.transaction() as session:
            yield session

    def notify(self, session: Session, notice: Notice) -> None:
        assert session.in_transaction()
        if notice.cause not in {one.cause for one in self.notices}:
            self.notices.append(notice)

    def raise_alert(self, session: Session, alert: Alert) -> bool:
        assert session.in_transaction()
        is_new = alert.cause not in self.alerts
        self.raised.extend([alert] if is_new else [])
        self.alerts[alert.cause] = alert
        return is_new

    def clear_alert(self, session: Session, cause: str) -> bool:
        assert session.in_transaction()
        return self.alerts.pop(cause, None) is not None

    def record(self, session: Session, action: str, detail: Mapping[str, Any]) -> None:
        assert session.in_transaction()
        self.entries.append((action, detail))


@dataclass
class Desk:
    """One shop's database, one provider, and shorthands."""

    book: Book
    shop: Shop
    provider: Provider
    client: "redis.Redis"
    vault: Vault = field(default_factory=lambda: cast(Vault, RunKey.new()))
    now: datetime = NOW

    @property
    def tools(self) -> Tools:
        kind = self.shop.key.partition("/")[0]
        return Tools(
            state=self.book,
            vault=self.vault,
            client=self.client,
            catalogs={kind: self.shop.catalog},
            sales={kind: self.shop.sales} if self.shop.sales is not None else {},
            clock=lambda: self.now,
            private=frozenset({self.provider.place}),
            total_seconds=120,
        )

    def open(self, provider: str, *, key: str | None = None, held: Credentials = TOKENS) -> str:
        """A store of this provider, with credentials."""
        store = key or self.shop.key
        self.shop.open_store(provider, self.provider.url, store)
        with self.book.transaction() as session:
            register(session, [Store(store, f"Camp {store}", provider, self.provider.url)])
        keeping.keep(self.tools, store, held, None)
        return store

    def attend(self, store: str, **options: Any) -> Result:
        """An attempt, some hours after the last one."""
        self.now += timedelta(hours=7)
        return attend(self.tools, store, **options)

    def row(self, store: str) -> PosStore:
        with self.book.transaction() as session:
            row = session.get_one(PosStore, store)
            session.expunge(row)
            return row

    def steps(self, store: str) -> list[tuple[str, str]]:
        query = select(PosStep).where(PosStep.store == store).order_by(PosStep.id)
        with self.book.transaction() as session:
            return [(one.step, one.outcome) for one in session.scalars(query)]

    def let_breaker_wait_end(self, store: str) -> None:
        self.client.hset(f"tend:pos:breaker:{store}", "until", 0)
