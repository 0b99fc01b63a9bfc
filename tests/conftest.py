"""Real servers, started once per test process when first asked for, and fresh databases in them."""

import gc
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import redis
import structlog
from hypothesis import settings
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from pymongo import MongoClient
from pymongo.database import Database
from sqlalchemy import Engine, make_url
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.util import LRUCache

from demo.servers import Mongo, Postgres, Valkey, mongod, postgres, valkey
from tests.examples import examples
from tests.mongo_databases import INDEXES, Indexes, MongoDatabases, fresh_name
from worker import migrate, passwords
from worker.database import Database as Control
from worker.targets.mongo import MongoTarget

HERE = Path(__file__).parent
SYSTEM = {"browser", "faults"}
OPEN_TARGETS = 4
"""So many stay open: most tests have one of few databases again."""
MEMORY = Path("/dev/shm")  # noqa: S108 - the folders made in it have names nobody can guess
if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 8 * 1024**3:
    # Tests kill processes, never the power: what they write need not reach a disk.
    tempfile.tempdir = str(MEMORY)
settings.register_profile("here", max_examples=examples(100))  # beside what the machine asks for
settings.load_profile("here")


@pytest.fixture(scope="session", autouse=True)
def plain_tracebacks() -> None:
    """Until a process configures its logs, structlog draws each error in frames, for seconds."""
    renderer = structlog.dev.ConsoleRenderer(
        colors=False, exception_formatter=structlog.dev.plain_traceback
    )
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], renderer])


@pytest.fixture(scope="session", autouse=True)
def statements_compiled_once() -> Iterator[None]:
    """Each test has databases of its own; what SQLAlchemy compiled for the last one serves all."""
    compiled: LRUCache[Any, Any] = LRUCache(5_000)
    with pytest.MonkeyPatch.context() as patch:
        one = property(lambda _engine: compiled, lambda _engine, _own: None)
        patch.setattr(Engine, "_compiled_cache", one, raising=False)
        # A cached statement is found by its dialect, of which each engine has its own.
        patch.setattr(DefaultDialect, "__eq__", lambda one, other: type(one) is type(other))
        patch.setattr(DefaultDialect, "__hash__", lambda one: hash(type(one)))
        yield


@pytest.fixture(scope="session", autouse=True)
def garbage_looked_for_rarely() -> None:
    """What was collected stays to the end: no look for garbage need go through it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.fixture(scope="session", autouse=True)
def hasher() -> Iterator[Callable[[], PasswordHash]]:
    """Users are made in hundreds of tests; what a password really costs is what this yields."""
    real = passwords._hasher  # noqa: SLF001 - the one place where the cost is chosen
    cheap = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_hasher", lambda: cheap)
        yield real


@pytest.fixture(scope="session", autouse=True)
def passwords_salted_once() -> Iterator[None]:
    """Every client that logs in to MongoDB hashes one of the same few passwords 5,000 times."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hashlib, "pbkdf2_hmac", lru_cache(hashlib.pbkdf2_hmac))
        yield


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """Not pytest's own: that one keeps data for days, and PostgreSQL's user cannot enter it."""
    with tempfile.TemporaryDirectory(prefix="tend-tests-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def mongo_server(server_folder: Path) -> Iterator[Mongo]:
    with mongod(server_folder, auth=True) as server:
        yield server


@pytest.fixture(scope="session")
def mongo_admin(mongo_server: Mongo) -> Iterator[MongoClient[dict[str, Any]]]:
    with MongoClient[dict[str, Any]](mongo_server.url(user="admin"), tz_aware=True) as client:
        yield client


@pytest.fixture(scope="session")
def mongo_tend(mongo_server: Mongo) -> Iterator[MongoClient[dict[str, Any]]]:
    """The application's client: a login costs more than what most tests do with it."""
    with MongoClient[dict[str, Any]](mongo_server.url(user="tend"), tz_aware=True) as client:
        yield client


@pytest.fixture(scope="session")
def valkey_server(server_folder: Path) -> Iterator[Valkey]:
    with valkey(server_folder) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server(server_folder: Path) -> Iterator[Postgres]:
    with postgres(server_folder) as server:
        yield server


@pytest.fixture(scope="session")
def mongo_databases(mongo_admin: MongoClient[dict[str, Any]]) -> MongoDatabases:
    return MongoDatabases(mongo_admin)


@pytest.fixture
def mongo_indexes(request: pytest.FixtureRequest) -> Indexes:
    """What the database of a test has from the start; a module whose tests need more says so."""
    return next((INDEXES[name] for name in request.fixturenames if name in INDEXES), {})


@pytest.fixture
def mongo_database(
    request: pytest.FixtureRequest,
    mongo_tend: MongoClient[dict[str, Any]],
    mongo_databases: MongoDatabases,
    mongo_indexes: Indexes,
) -> Iterator[Database[dict[str, Any]]]:
    """A database like a fresh one, as the user `tend` sees it."""
    is_system = request.node.get_closest_marker("system") is not None
    with mongo_databases.database(mongo_indexes, alone=is_system) as name:
        yield mongo_tend[name]


@pytest.fixture
def mongo_url(mongo_server: Mongo, mongo_database: Database[dict[str, Any]]) -> str:
    return mongo_server.url(mongo_database.name, "tend")


@pytest.fixture
def mongo_read_url(mongo_server: Mongo, mongo_database: Database[dict[str, Any]]) -> str:
    return mongo_server.url(mongo_database.name, "reader")


@pytest.fixture(scope="session")
def mongo_targets() -> Iterator[dict[tuple[str, str], MongoTarget]]:
    """Those that are open, by their URLs: to connect costs more than most tests do with it."""
    targets: dict[tuple[str, str], MongoTarget] = {}
    yield targets
    for target in targets.values():
        target.close()


@pytest.fixture
def mongo_target(
    mongo_targets: dict[tuple[str, str], MongoTarget], mongo_url: str, mongo_read_url: str
) -> MongoTarget:
    """Plans are read by a user that cannot write, as in production."""
    urls = (mongo_url, mongo_read_url)
    target = mongo_targets.pop(urls, None) or MongoTarget(*urls)
    mongo_targets[urls] = target
    if len(mongo_targets) > OPEN_TARGETS:
        mongo_targets.pop(next(iter(mongo_targets))).close()
    return target


@pytest.fixture
def redis_url(valkey_server: Valkey) -> str:
    """A Redis with nothing in it."""
    with redis.Redis.from_url(valkey_server.url) as client:
        client.flushall()
    return valkey_server.url


@pytest.fixture(scope="session")
def migrated_sqlite(server_folder: Path) -> Path:
    """What `tend migrate` makes of nothing: a copy of it costs less than migrating anew."""
    path = server_folder / "migrated.sqlite"
    database = Control(f"sqlite:///{path}")
    migrate.upgrade(database)
    database.close()
    return path


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: Postgres) -> str:
    """The same on a server, by its name: a template for other databases."""
    name = fresh_name()
    database = Control(postgres_server.create_database(name))
    migrate.upgrade(database)
    database.close()
    return name


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'control.sqlite'}"


@pytest.fixture
def postgres_url(postgres_server: Postgres) -> Iterator[str]:
    name = fresh_name()
    yield postgres_server.create_database(name)
    postgres_server.drop_database(name)


@pytest.fixture
def migrated_sqlite_url(sqlite_url: str, migrated_sqlite: Path) -> str:
    shutil.copyfile(migrated_sqlite, str(make_url(sqlite_url).database))
    return sqlite_url


@pytest.fixture
def migrated_postgres_url(postgres_server: Postgres, migrated_postgres: str) -> Iterator[str]:
    name = fresh_name()
    yield postgres_server.create_database(name, migrated_postgres)
    postgres_server.drop_database(name)


@pytest.fixture
def sqlite_shop_url(tmp_path: Path) -> str:
    """An empty database for an application."""
    path = tmp_path / "shop.sqlite"
    path.touch()
    return f"sqlite:///{path}"


@pytest.fixture
def postgresql_shop_url(postgres_server: Postgres) -> Iterator[str]:
    """The same on a server."""
    name = fresh_name()
    yield postgres_server.create_database(name)
    postgres_server.drop_database(name)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever is in these folders runs processes of Tend, or a browser."""
    for item in items:
        if SYSTEM & set(item.path.relative_to(HERE).parts[:1]):
            item.add_marker(pytest.mark.system)


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Where `sqlite_control` says that one kind of control database is enough, it is SQLite."""
    is_enough = metafunc.definition.get_closest_marker("sqlite_control") is not None
    chosen = any(
        "database_url" in m.args[0] for m in metafunc.definition.iter_markers("parametrize")
    )
    if is_enough and not chosen and "database_url" in metafunc.fixturenames:
        one = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
        metafunc.definition.add_marker(one)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A control database of the kind asked for, as `tend migrate` leaves it."""
    fixture = {"sqlite": "migrated_sqlite_url", "postgresql": "migrated_postgres_url"}
    url: str = request.getfixturevalue(fixture[request.param])
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest) -> str:
    """The same before `tend migrate`."""
    fixture = {"sqlite": "sqlite_url", "postgresql": "postgres_url"}
    url: str = request.getfixturevalue(fixture[request.param])
    return url
