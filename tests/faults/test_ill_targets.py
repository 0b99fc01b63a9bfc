"""Servers that are really ill: each indicator sees it, and a run waits until it is over."""

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pymongo import MongoClient
from pymongo.database import Database as MongoDatabase

from demo.servers import Mongo, mongod
from tests.faults import sales
from tests.faults.invariants import assert_nothing_lost_or_done_twice
from tests.faults.processes import eventually
from tests.faults.proxy import proxy
from tests.faults.replicas import follower
from tests.worker.scenario import Scenario, purge
from worker.targets.base import Target
from worker.targets.mongo import MongoTarget
from worker.targets.sql import SqlTarget
from worker.throttle.gauge import Gauges

RECORDS = 30


def value(target: Target, indicator: str) -> float:
    (found,) = [each for each in target.indicators() if each.indicator == indicator]
    assert found.value is not None, found.detail
    return found.value


def with_target(scenario: Scenario, target: Target) -> Scenario:
    engine = replace(scenario.engine, targets={"mongo": target}, gauges=Gauges())
    return replace(scenario, engine=engine)


@pytest.fixture
def target(mongo_url: str) -> Iterator[MongoTarget]:
    found = MongoTarget(mongo_url)
    yield found
    found.close()


@contextmanager
def lagging(folder: Path) -> Iterator[tuple[Mongo, Any]]:
    with mongod(folder) as first, follower(first, folder) as second:
        yield first, second


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_run_waits_while_a_secondary_hangs_and_goes_on_when_it_has_caught_up(
    scenario: Scenario, tmp_path: Path
) -> None:
    with (
        lagging(tmp_path) as (mongo, secondary),
        closing(MongoTarget(mongo.url("shop"))) as target,
        MongoClient[dict[str, Any]](mongo.url(), tz_aware=True) as client,
    ):
        shop = client["shop"]
        shop.salesData.create_index("createdAt")
        ill = replace(with_target(scenario, target), shop=shop)
        sales.load(ill, RECORDS)
        limits = {"replication_lag": {"slow": 1, "stop": 2}}
        plan = ill.plan(purge(throttle=limits, batch={"records": 10}, chunk=10))
        eventually(lambda: value(target, "replication_lag") == 0)
        secondary.send_signal(signal.SIGSTOP)

        def has_lag() -> bool:
            shop.beat.insert_one({})
            return value(target, "replication_lag") > 3

        eventually(has_lag)
        run = ill.apply(plan)
        assert run.state == "applying"
        assert "replication lag is " in sales.waits_for(ill, run.id)
        assert sales.removed(ill, RECORDS) == set()
        secondary.send_signal(signal.SIGCONT)
        eventually(lambda: ill.advance(run.id).state == "succeeded")
        assert sales.removed(ill, RECORDS) == set(range(RECORDS))
        assert_nothing_lost_or_done_twice(ill, run.id, set(range(RECORDS)))


def test_a_member_that_has_been_silent_for_long_counts_as_lagging(tmp_path: Path) -> None:
    with (
        lagging(tmp_path) as (mongo, secondary),
        closing(MongoTarget(mongo.url("shop"))) as target,
    ):
        secondary.send_signal(signal.SIGSTOP)

        def silent() -> bool:
            readings = target.indicators()
            return any("is silent" in each.detail and (each.value or 0) > 5 for each in readings)

        eventually(silent)


def test_operations_that_queue_behind_a_lock_are_counted(
    target: MongoTarget,
    mongo_admin: MongoClient[dict[str, Any]],
    mongo_database: MongoDatabase[dict[str, Any]],
) -> None:
    assert value(target, "queued_operations") == 0
    mongo_admin.admin.command("fsync", lock=True)
    try:
        writers = [threading.Thread(target=mongo_database.queue.insert_one, args=({},))]
        writers.append(threading.Thread(target=mongo_database.queue.insert_one, args=({},)))
        for writer in writers:
            writer.start()
        eventually(lambda: value(target, "queued_operations") >= 2)
    finally:
        mongo_admin.admin.command("fsyncUnlock")
    for writer in writers:
        writer.join()
    eventually(lambda: value(target, "queued_operations") == 0)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_cache_with_more_dirty_pages_than_allowed_stops_a_run(scenario: Scenario) -> None:
    sales.load(scenario, RECORDS)
    run = scenario.run_through(purge(throttle={"dirty_cache": {"slow": 0, "stop": 0}}))
    assert run.state == "applying"
    assert "dirty cache is " in sales.waits_for(scenario, run.id)
    assert sales.removed(scenario, RECORDS) == set()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_batches_shrink_and_a_run_rests_while_its_own_batches_are_slow(
    scenario: Scenario, mongo_server: Mongo, mongo_database: MongoDatabase[dict[str, Any]]
) -> None:
    url = mongo_server.url(mongo_database.name, "tend")
    direct = url.replace("replicaSet=tend", "directConnection=true")
    with (
        proxy(mongo_server.port) as between,
        closing(MongoTarget(direct.replace(str(mongo_server.port), str(between.port)))) as target,
    ):
        slow = with_target(scenario, target)
        sales.load(slow, 200)
        limits = {"batch_latency": {"slow": 0.6, "stop": 0.6}}
        plan = slow.plan(purge(throttle=limits, batch={"records": 60}, chunk=200))
        between.delay = 0.25
        slow.apply_later(plan)
        run = slow.advance(plan.id)
        assert run.state == "applying"
        assert "its target, asked again at " in sales.waits_for(slow, run.id)
        assert "batch latency is " in sales.waits_for(slow, run.id)
        (chunk,) = slow.chunks(run.id)
        assert (chunk.cursor, chunk.retries) == (60, 0)
        between.delay = 0.0
        eventually(lambda: slow.advance(run.id).state == "succeeded")
    assert_nothing_lost_or_done_twice(scenario, run.id, set(range(200)))


def test_sessions_at_work_in_postgresql_are_counted(postgres_url: str) -> None:
    target = SqlTarget(postgres_url)
    conninfo = postgres_url.replace("+psycopg", "")
    assert value(target, "active_sessions") == 0
    with ExitStack() as stack:
        holder, *waiters = [stack.enter_context(psycopg.connect(conninfo)) for _ in range(3)]
        holder.execute("select pg_advisory_lock(1)")
        holder.commit()
        at_work = stack.enter_context(ThreadPoolExecutor(2))
        for waiter in waiters:
            at_work.submit(waiter.execute, "select pg_advisory_lock_shared(1)")
        try:
            eventually(lambda: value(target, "active_sessions") == 2)
        finally:
            holder.execute("select pg_advisory_unlock(1)")
    assert value(target, "replication_lag") == 0
    target.close()


def test_a_user_of_postgresql_who_does_not_see_other_sessions_is_told_what_to_grant(
    postgres_url: str,
) -> None:
    conninfo = postgres_url.replace("+psycopg", "")
    with psycopg.connect(conninfo, autocommit=True) as admin:
        admin.execute("create role blind login password 'blind'")
    login = postgres_url.partition("@")[2]
    target = SqlTarget(f"postgresql+psycopg://blind:blind@{login}")
    readings = target.indicators()
    target.close()
    with psycopg.connect(conninfo, autocommit=True) as admin:
        admin.execute("drop role blind")
    assert {each.value for each in readings} == {None}
    assert {each.detail for each in readings} == {
        "the user does not see other sessions, grant pg_monitor"
    }
