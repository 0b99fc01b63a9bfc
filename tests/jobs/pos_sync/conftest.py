"""A provider that misbehaves on demand, and the rules under which it is asked."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import redis

from jobs.pos_sync.limits import Limits, Pace
from jobs.pos_sync.transport import Http, Rules
from tests.jobs.pos_sync.desk import NOW, Book, Desk
from tests.jobs.pos_sync.provider import Provider, provider
from tests.jobs.pos_sync.shops import SqlShop
from worker.database import Database
from worker.targets.sql_server import SqlServer

Connect = Callable[..., Http]


@pytest.fixture
def shop() -> Iterator[Provider]:
    with provider() as playing:
        yield playing


@pytest.fixture
def limits(redis_url: str) -> Iterator[Limits]:
    with redis.Redis.from_url(redis_url) as client:
        yield Limits(client)


@pytest.fixture
def connect(shop: Provider, limits: Limits) -> Iterator[Connect]:
    """A connection to the provider; what is given changes its rules."""
    opened: list[Http] = []

    def connected(base: str = "", **changes: object) -> Http:
        rules: dict[str, object] = {
            "provider": "rest",
            "account": "store 1",
            "pace": Pace(1000, 1, 1000),
            "clock": lambda: NOW,
            "until": NOW + timedelta(hours=1),
            "private": frozenset({shop.place}),
            "attempts": 1,
        }
        http = Http(base or shop.url, Rules(**(rules | changes)), limits)  # type: ignore[arg-type] # the tests give what fits
        opened.append(http)
        return http

    yield connected
    for http in opened:
        http.__exit__()


@pytest.fixture
def desk(
    migrated_sqlite_url: str, sqlite_shop_url: str, shop: Provider, redis_url: str
) -> Iterator[Desk]:
    """A kiosk's shop in SQL."""
    control, server = Database(migrated_sqlite_url), SqlServer(sqlite_shop_url)
    with redis.Redis.from_url(redis_url) as client:
        yield Desk(Book(control), SqlShop(server), shop, client)
    server.close()
    control.close()
