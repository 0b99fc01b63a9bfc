"""Redis is a doorbell: it may lose, repeat and delay every ring, and be gone for a while."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import dramatiq
import pytest
import redis
from dramatiq.brokers.redis import RedisBroker
from sqlalchemy import select

from demo.servers import Valkey, valkey
from policies.models import Policy
from tests.faults import sales
from tests.faults.invariants import assert_nothing_lost_or_done_twice
from tests.faults.processes import PATIENCE, eventually, tend
from tests.faults.proxy import proxy
from tests.faults.servers import Machine, machine
from tests.worker.scenario import Scenario, purge
from worker import database, queue
from worker.relay import relay
from worker.states import UNFINISHED
from worker.tables import Process

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
RECORDS = 30
ONE_AT_A_TIME = ("worker", "--processes", "1", "--threads", "1")


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[Valkey]:
    """One that a test may stop."""
    with valkey(tmp_path) as server:
        yield server


@pytest.fixture
def server(own_valkey: Valkey) -> Iterator[Machine]:
    with machine(own_valkey.process, signal.SIGTERM) as found:
        yield found


@pytest.fixture
def own_environment(environment: dict[str, str], own_valkey: Valkey) -> dict[str, str]:
    return {**environment, "TEND_REDIS_URL": own_valkey.url}


@pytest.fixture
def broker(redis_url: str) -> Iterator[RedisBroker]:
    broker = queue.connect(redis_url)
    yield broker
    broker.close()


def assert_exact(scenario: Scenario, run_id: int) -> None:
    assert sales.removed(scenario, RECORDS) == set(range(RECORDS))
    assert_nothing_lost_or_done_twice(scenario, run_id, set(range(RECORDS)))


def test_runs_finish_though_redis_forgets_every_ring(
    scenario: Scenario, environment: dict[str, str], redis_url: str, broker: RedisBroker
) -> None:
    """More runs than one thread has fetched rings for, so that some are lost for good."""
    sales.load(scenario, RECORDS)
    first, *others = [
        sales.request(scenario, sales.slow(name=name))
        for name in ("first", "second", "third", "fourth", "fifth")
    ]
    with tend(environment, "scheduler"), tend(environment, *ONE_AT_A_TIME):
        eventually(lambda: sales.is_in_work(scenario, first) and queue.depth(broker) > 0)
        with redis.Redis.from_url(redis_url) as client:
            client.flushall()
        sales.time_passes(scenario)
        for run_id in (first, *others):
            assert sales.finished(scenario, run_id).state == "succeeded"
    assert_exact(scenario, first)
    assert [scenario.run(run_id).planned for run_id in others] == [0] * len(others)


def test_a_run_outlives_a_redis_that_is_stopped_and_started_again(
    scenario: Scenario, own_environment: dict[str, str], server: Machine
) -> None:
    sales.load(scenario, RECORDS)
    run_id = sales.request(scenario, sales.slow())
    with tend(own_environment, "scheduler"), tend(own_environment, *ONE_AT_A_TIME) as worker:
        eventually(lambda: sales.is_in_work(scenario, run_id))
        server.stop(signal.SIGTERM)
        eventually(lambda: "done" in {chunk.state for chunk in scenario.chunks(run_id)})
        server.start()
        assert sales.finished(scenario, run_id).state == "succeeded"
        assert worker.stop() == 0
    assert_exact(scenario, run_id)


@pytest.mark.parametrize("fate", [signal.SIGKILL, signal.SIGSTOP])
def test_a_worker_asked_to_stop_does_not_wait_for_a_redis_that_is_gone_or_hangs(
    scenario: Scenario,
    own_environment: dict[str, str],
    server: Machine,
    fate: signal.Signals,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """dramatiq alone takes 18 and 25 seconds; it is not waited for, and the worker says so."""
    sales.load(scenario, RECORDS)
    run_id = sales.request(scenario, sales.slow())
    with tend(own_environment, "scheduler"), tend(own_environment, *ONE_AT_A_TIME) as worker:
        eventually(lambda: sales.is_in_work(scenario, run_id))
        server.process.send_signal(fate)
        assert worker.stop() == 0
        assert "worker ends without a word from Redis" in capfd.readouterr().err
        chunks = scenario.chunks(run_id)
        assert {chunk.state for chunk in chunks} <= {"pending", "done"}
        assert [(chunk.retries, chunk.rescues) for chunk in chunks] == [(0, 0)] * len(chunks)
        server.process.kill()
        server.process.wait()
        server.start()
        with tend(own_environment, *ONE_AT_A_TIME):
            assert sales.finished(scenario, run_id).state == "succeeded"
    assert_exact(scenario, run_id)


def test_a_run_asked_for_while_redis_is_down_is_accepted_and_done_when_it_is_back(
    scenario: Scenario, own_environment: dict[str, str], server: Machine, tmp_path: Path
) -> None:
    sales.load(scenario, RECORDS)
    server.stop(signal.SIGKILL)
    site = {**own_environment, "TEND_POLICY_DIR": str(policy_folder(tmp_path, purge()))}
    asked = subprocess.run(
        [*(sys.executable, "-m", "worker.cli", "run", "under-test"), "--reason", "x", "--json"],
        env={**os.environ, **site},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert asked.returncode == 0
    assert "The run is accepted and starts when a scheduler reaches Redis again" in asked.stderr
    run_id = int(json.loads(asked.stdout)["id"].removeprefix("r-"))
    with tend(site, "scheduler"), tend(site, *ONE_AT_A_TIME):
        eventually(lambda: {"scheduler", "worker"} <= alive(scenario))
        server.start()
        assert sales.finished(scenario, run_id).state == "succeeded"
    assert_exact(scenario, run_id)


def test_a_run_outlives_a_redis_that_is_full(
    scenario: Scenario, own_environment: dict[str, str], own_valkey: Valkey
) -> None:
    """With `noeviction`, as docs/deploy.md asks for: then it refuses what takes memory."""
    sales.load(scenario, RECORDS)
    run_id = sales.request(scenario, sales.slow())
    with (
        tend(own_environment, "scheduler"),
        tend(own_environment, *ONE_AT_A_TIME) as worker,
        redis.Redis.from_url(own_valkey.url) as client,
    ):
        eventually(lambda: sales.is_in_work(scenario, run_id))
        client.config_set("maxmemory", 1)
        eventually(lambda: "done" in {chunk.state for chunk in scenario.chunks(run_id)})
        eventually(lambda: refused(client) > 0)
        later = sales.request(scenario, sales.slow(name="asked-for-while-it-is-full"))
        client.config_set("maxmemory", 0)
        assert sales.finished(scenario, run_id).state == "succeeded"
        assert sales.finished(scenario, later).state == "succeeded"
        assert worker.stop() == 0
    assert_exact(scenario, run_id)


def refused(client: "redis.Redis") -> int:
    """How often it said that it has no memory left."""
    errors: dict[str, Any] = client.info("errorstats")
    return int(errors.get("errorstat_OOM", {"count": 0})["count"])


@pytest.mark.parametrize("command", ["enqueue", "fetch", "ack"])
def test_a_reply_lost_after_redis_acted_costs_a_run_nothing(
    scenario: Scenario,
    environment: dict[str, str],
    valkey_server: Valkey,
    redis_url: str,
    command: str,
) -> None:
    """A ring is then repeated, or left with a worker who never saw it."""
    sales.load(scenario, RECORDS)
    port = int(redis_url.rpartition(":")[2].partition("/")[0])
    with proxy(port) as between:
        site = {**environment, "TEND_REDIS_URL": redis_url.replace(str(port), str(between.port))}
        loss = between.lose("reply", command.encode(), times=3)
        run_id = sales.request(scenario, sales.slow())
        with tend(site, "scheduler"), tend(site, *ONE_AT_A_TIME):
            eventually(lambda: loss.happened == 3 or scenario.run(run_id).state == "succeeded")
            sales.time_passes(scenario)
            assert sales.finished(scenario, run_id).state == "succeeded"
            eventually(lambda: loss.happened > 0)  # what is done is acknowledged a moment later
    assert valkey_server.process.poll() is None
    assert_exact(scenario, run_id)


def test_every_ring_delivered_three_times_does_the_work_once(
    scenario: Scenario, environment: dict[str, str], broker: RedisBroker
) -> None:
    sales.load(scenario, RECORDS)
    run_id = sales.request(scenario, purge(batch={"records": 5}, chunk=10))
    with tend(environment, "worker", "--processes", "2"):
        finish_by(scenario, run_id, partial(three_times, broker))
    assert scenario.run(run_id).state == "succeeded"
    assert_exact(scenario, run_id)
    assert [chunk.attempt for chunk in scenario.chunks(run_id)] == [1] * 3


def test_rings_that_mean_nothing_are_dropped_and_the_next_run_is_done(
    scenario: Scenario, environment: dict[str, str], broker: RedisBroker, redis_url: str
) -> None:
    sales.load(scenario, RECORDS)
    for nonsense in (4711, 0, -1, 2**31, 10**30, "r-1", None, [1], {"run": 1}):
        send(broker, nonsense)
    run_id = sales.request(scenario, purge(batch={"records": 20}))
    with tend(environment, *ONE_AT_A_TIME):
        finish_by(scenario, run_id, partial(queue.ring, broker))
    with redis.Redis.from_url(redis_url) as client:
        assert list(client.scan_iter("tend:tend.XQ*")) == []
    assert_exact(scenario, run_id)


def finish_by(scenario: Scenario, run_id: int, ring: Callable[[int], None]) -> None:
    """Ring what is owed, as the scheduler does, until the run wants nothing more."""

    def rung_and_done() -> bool:
        with scenario.engine.database.transaction() as session:
            moment = database.now(session)
        relay(scenario.engine.database, ring, moment)
        return scenario.run(run_id).state not in UNFINISHED

    eventually(rung_and_done)


def policy_folder(tmp_path: Path, policy: Policy) -> Path:
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / f"{policy.name}.yaml").write_text(policy.text)
    return folder


def alive(scenario: Scenario) -> set[str]:
    with scenario.engine.database.transaction() as session:
        return set(session.scalars(select(Process.kind)))


def three_times(broker: RedisBroker, run_id: int) -> None:
    for _ in range(3):
        queue.ring(broker, run_id)


def send(broker: RedisBroker, argument: Any) -> None:
    message: dramatiq.Message[None] = dramatiq.Message(
        queue_name=queue.QUEUE, actor_name=queue.ACTOR, args=(argument,), kwargs={}, options={}
    )
    broker.enqueue(message)
