"""The same shop on every kind of target."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, make_url, text

from tests.worker.targets.shops import STOCK, Hand, MongoShop, Shop, Site, SqlShop
from worker.archive import ArchiveStore
from worker.targets.mongo import MongoTarget
from worker.targets.sql import SqlTarget

KINDS = ("mongodb", "postgresql", "sqlite")


@pytest.fixture(params=KINDS)
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    if request.param == "mongodb":
        mongo = MongoTarget(
            request.getfixturevalue("mongo_url"), request.getfixturevalue("mongo_read_url")
        )
        yield MongoShop(mongo, request.getfixturevalue("mongo_database"))
        mongo.close()
        return
    url = (
        request.getfixturevalue("postgres_url")
        if request.param == "postgresql"
        else f"sqlite:///{tmp_path / 'shop.sqlite'}"
    )
    engine = create_engine(url)
    sql = SqlTarget(url)
    yield SqlShop(sql, engine)
    sql.close()
    engine.dispose()


@pytest.fixture
def hand(shop: Shop, tmp_path: Path) -> Hand:
    return Hand(shop.target, ArchiveStore(f"file://{tmp_path}/archive"))


@pytest.fixture(params=["postgresql", "sqlite"])
def sql_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        url: str = request.getfixturevalue("postgres_url")
        return url
    return f"sqlite:///{tmp_path / 'shop.sqlite'}"


@pytest.fixture
def site(sql_url: str, tmp_path: Path) -> Iterator[Site]:
    """An empty SQL database, once of each kind."""
    yield from _site(sql_url, tmp_path)


@pytest.fixture
def postgres_site(postgres_url: str, tmp_path: Path) -> Iterator[Site]:
    yield from _site(postgres_url, tmp_path)


@pytest.fixture
def sqlite_site(tmp_path: Path) -> Iterator[Site]:
    yield from _site(f"sqlite:///{tmp_path / 'shop.sqlite'}", tmp_path)


def _site(url: str, folder: Path) -> Iterator[Site]:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE made (id int PRIMARY KEY)"))  # SQLite's file is there
    target = SqlTarget(url)
    yield Site(url, target, engine, Hand(target, ArchiveStore(f"file://{folder}/archive")))
    target.close()
    engine.dispose()


@pytest.fixture
def stocked(site: Site) -> Site:
    """Two products with too little in stock."""
    site.run(*STOCK)
    return site


@pytest.fixture
def postgres_stocked(postgres_site: Site) -> Site:
    postgres_site.run(*STOCK)
    return postgres_site


@pytest.fixture
def login(postgres_stocked: Site) -> Iterator[str]:
    """The URL of a user who may read the shop and nothing else."""
    user = f"user_{uuid4().hex[:12]}"
    postgres_stocked.run(
        f"CREATE ROLE {user} LOGIN PASSWORD 'right'", f"GRANT SELECT ON products TO {user}"
    )
    url = make_url(postgres_stocked.url).set(username=user, password="right")  # noqa: S106 - a test's
    yield url.render_as_string(hide_password=False)
    postgres_stocked.run(f"DROP OWNED BY {user}", f"DROP ROLE {user}")
