"""A PostgreSQL whose standby hangs: the lag is seen, and a run waits until it has caught up."""

import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from demo.servers import Postgres, postgres
from tests.faults import sales
from tests.faults.invariants import assert_nothing_lost_or_done_twice
from tests.faults.processes import eventually
from tests.faults.standbys import Standby, standby
from tests.faults.test_ill_targets import value
from tests.faults.test_killed_sql_workers import RECORDS, TABLE, fence, missing, purge
from tests.worker.scenario import Scenario
from worker.targets.sql import SqlTarget
from worker.throttle.gauge import Gauges

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def pair() -> Iterator[tuple[Postgres, Standby]]:
    """A folder that PostgreSQL's user can enter."""
    folder = tempfile.TemporaryDirectory(prefix="tend-tests-")
    with (
        folder as path,
        postgres(Path(path)) as primary,
        standby(primary, Path(path)) as second,
    ):
        yield primary, second


def test_a_run_waits_while_a_standby_hangs_and_goes_on_when_it_has_caught_up(
    scenario: Scenario, pair: tuple[Postgres, Standby]
) -> None:
    primary, second = pair
    url = primary.create_database("shop")
    shop = create_engine(url)
    with shop.begin() as connection:
        for statement in TABLE:
            connection.execute(text(statement))
    with closing(SqlTarget(url)) as target:
        engine = replace(scenario.engine, targets={"sql": target}, gauges=Gauges())
        ill = replace(scenario, engine=engine)
        plan = ill.plan(purge(throttle={"replication_lag": {"slow": 1, "stop": 2}}))
        eventually(lambda: value(target, "replication_lag") <= 1)
        second.hang()

        def has_lag() -> bool:
            with shop.begin() as connection:
                connection.execute(text("UPDATE products SET stock = stock WHERE id = 259"))
            return value(target, "replication_lag") > 3

        eventually(has_lag)
        run = ill.apply(plan)
        assert run.state == "applying"
        assert "replication lag is " in sales.waits_for(ill, run.id)
        assert missing(shop) == set()
        second.go_on()
        eventually(lambda: ill.advance(run.id).state == "succeeded")
        assert missing(shop) == set(range(RECORDS))
        assert_nothing_lost_or_done_twice(
            ill, run.id, missing(shop), lambda name: fence(shop, name)
        )
    shop.dispose()


def test_a_standby_that_receives_and_does_not_replay_is_behind(
    pair: tuple[Postgres, Standby], database_url: str
) -> None:
    assert database_url.startswith("sqlite")
    primary, second = pair
    shop = create_engine(primary.create_database("shop"), isolation_level="AUTOCOMMIT")
    follower = create_engine(second.url, isolation_level="AUTOCOMMIT")
    with closing(SqlTarget(shop.url.render_as_string(hide_password=False))) as target:
        with follower.connect() as there:
            there.execute(text("select pg_wal_replay_pause()"))

        def is_behind() -> bool:
            with shop.connect() as here:
                here.execute(text("create table if not exists beat (at timestamptz)"))
                here.execute(text("insert into beat values (clock_timestamp())"))
            return value(target, "replication_lag") > 3

        eventually(is_behind)
        with follower.connect() as there:
            there.execute(text("select pg_wal_replay_resume()"))
        eventually(lambda: value(target, "replication_lag") < 1)
    follower.dispose()
    shop.dispose()
