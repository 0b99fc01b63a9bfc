"""A PostgreSQL with a standby that receives and does not replay, on purpose."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, make_url, text

from demo.servers import Postgres, postgres
from tests.faults.processes import eventually
from tests.faults.standbys import Standby, standby
from tests.jobs.probe.test_sql import asking
from tests.worker.probes.watch import Watch
from worker.targets.sql import SqlTarget

pytestmark = pytest.mark.system

WANTED = asking(lag="2s")


@pytest.fixture
def pair() -> Iterator[tuple[Postgres, Standby]]:
    """A folder that PostgreSQL's user can enter."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tend-tests-")))
        primary = stack.enter_context(postgres(folder))
        yield primary, stack.enter_context(standby(primary, folder))


@pytest.fixture
def shop(pair: tuple[Postgres, Standby]) -> Iterator[Engine]:
    engine = create_engine(pair[0].create_database("shop"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("create table beat (at timestamptz)"))
    yield engine
    engine.dispose()


@pytest.fixture
def follower(pair: tuple[Postgres, Standby], shop: Engine) -> Iterator[Engine]:
    """The same database at the standby, once it is there."""
    url = make_url(pair[1].url).set(database=shop.url.database)
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    maintenance = create_engine(pair[1].url, isolation_level="AUTOCOMMIT")

    def has_it() -> bool:
        with maintenance.connect() as connection:
            names = connection.execute(text("select datname from pg_database")).scalars().all()
        return shop.url.database in names

    eventually(has_it)
    yield engine
    engine.dispose()
    maintenance.dispose()


def target_of(engine: Engine) -> SqlTarget:
    return SqlTarget(engine.url.render_as_string(hide_password=False))


def test_a_standby_that_does_not_replay_is_told_once_and_cleared_once(
    watch: Watch, shop: Engine, follower: Engine
) -> None:
    with closing(target_of(shop)) as primary, closing(target_of(follower)) as second:
        ours = replace(watch, site=replace(watch.site, targets={"sql": primary}))
        its_own = replace(watch, site=replace(watch.site, targets={"sql": second}))
        eventually(lambda: ours.checks_that_are_ill(WANTED) == set())
        with follower.connect() as there:
            there.execute(text("select pg_wal_replay_pause()"))

        def is_told(seen_from: Watch) -> bool:
            with shop.connect() as here:
                here.execute(text("insert into beat values (clock_timestamp())"))
            return seen_from.checks_that_are_ill(WANTED) == {"replication_lag"}

        eventually(lambda: is_told(its_own))

        def is_raised() -> bool:
            return is_told(ours) and bool(ours.look(WANTED, 2)) and bool(ours.alerts)

        eventually(is_raised)
        ((cause, stands),) = ours.alerts
        assert cause.startswith("probe/under-test/replication_lag/")
        assert stands
        with follower.connect() as there:
            there.execute(text("select pg_wal_replay_resume()"))
        eventually(lambda: ours.look(WANTED) and ours.alerts == [(cause, False)])
        eventually(lambda: its_own.checks_that_are_ill(WANTED) == set())
