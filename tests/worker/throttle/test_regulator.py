"""A target that says slow or stop: the run says why, loses no attempt, and goes on by itself."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pymongo import MongoClient
from sqlalchemy import select
from structlog.testing import capture_logs

from demo.servers import Mongo
from tests.faults.sales import look, request
from tests.worker.between_batches import in_the_second_batch
from tests.worker.scenario import Scenario, purge
from tests.worker.throttle.conftest import RECORDS
from worker import database, present, waiting
from worker.errors import DeadlineExceeded
from worker.tables import Doorbell, Run
from worker.targets.base import Reading
from worker.targets.mongo import MongoTarget
from worker.throttle.gauge import Gauge, Gauges

pytestmark = pytest.mark.sqlite_control

LAGS = "replication lag is 31 s (b:27017), above 30 s"


class Ill(MongoTarget):
    """The real target, with a member that lags for as long as a test says."""

    lag = 0.0
    asked = 0

    def indicators(self) -> tuple[Reading, ...]:
        self.asked += 1
        return (Reading("replication_lag", self.lag, "b:27017"),)


@pytest.fixture
def ill(mongo_url: str, mongo_read_url: str) -> Iterator[Ill]:
    target = Ill(mongo_url, mongo_read_url)
    yield target
    target.close()


@pytest.fixture
def ward(shop: Scenario, ill: Ill, monkeypatch: pytest.MonkeyPatch) -> Scenario:
    """The shop on the ill target, which is asked before every batch."""
    monkeypatch.setattr("worker.throttle.gauge.EVERY_SECONDS", 0.0)
    return replace(shop, engine=replace(shop.engine, targets={"mongo": ill}, gauges=Gauges()))


def waits_for(scenario: Scenario, run: Run) -> str | None:
    with scenario.engine.database.transaction() as session:
        return waiting.waiting_for(session, run)


def shown(scenario: Scenario, run: Run) -> Any:
    with scenario.engine.database.transaction() as session:
        return present.run_as_json(session, run)["throttle"]


def left(scenario: Scenario) -> int:
    return scenario.shop.salesData.count_documents({})


@contextmanager
def time_goes_on(scenario: Scenario) -> Iterator[None]:
    """What the few seconds do after which a stopped run asks again."""
    with scenario.engine.database.transaction() as session:
        for run in session.scalars(select(Run).where(Run.throttled_until.is_not(None))):
            run.throttled_until = database.now(session) - timedelta(seconds=1)
    yield


def test_a_target_that_says_stop_holds_a_run_off_before_anything_is_claimed(
    ward: Scenario, ill: Ill
) -> None:
    ill.lag = 31
    run = ward.run_through(purge())
    assert (run.state, left(ward)) == ("applying", RECORDS)
    assert [chunk.attempt for chunk in ward.chunks(run.id)] == [0, 0, 0]
    said = shown(ward, run)
    assert (said["says"], said["why"]) == ("stop", LAGS)
    waits = rf"its target, asked again at [\d:]+ UTC: {re.escape(LAGS)}"
    assert re.fullmatch(waits, waits_for(ward, run) or "")
    asked = ill.asked
    ward.advance(run.id)
    assert ill.asked == asked
    with time_goes_on(ward):
        assert ward.advance(run.id).state == "applying"
    assert ill.asked == asked + 1
    ill.lag = 0
    with time_goes_on(ward):
        ended = ward.advance(run.id)
    assert (ended.state, left(ward), shown(ward, ended)) == ("succeeded", 0, None)


def test_a_stop_in_the_middle_gives_the_chunk_back_and_costs_no_attempt(
    ward: Scenario, ill: Ill
) -> None:
    plan = ward.plan(purge())

    def fall_ill() -> None:
        ill.lag = 31

    with in_the_second_batch(fall_ill):
        run = ward.apply(plan)
    assert (run.state, left(ward)) == ("applying", RECORDS - 20)
    chunks = ward.chunks(run.id)
    assert [chunk.state for chunk in chunks] == ["pending"] * 3
    assert {(chunk.rescues, chunk.retries, chunk.not_before) for chunk in chunks} == {(0, 0, None)}
    ill.lag = 0
    with time_goes_on(ward):
        assert ward.advance(run.id).state == "succeeded"
    assert left(ward) == 0


def test_an_undo_is_held_off_too(ward: Scenario, ill: Ill) -> None:
    before = ward.contents("salesData")
    run = ward.run_through(purge())
    ill.lag = 31
    assert ward.undo(run).state == "undoing"
    assert left(ward) == 0
    ill.lag = 0
    with time_goes_on(ward):
        assert ward.advance(run.id).state == "undone"
    assert ward.contents("salesData") == before


def test_workers_are_rung_for_when_the_target_is_to_be_asked_again(
    ward: Scenario, ill: Ill
) -> None:
    ill.lag = 31
    run_id = request(ward, purge())
    for _ in range(3):
        look(ward, run_id)
    run = ward.run(run_id)
    with ward.engine.database.transaction() as session:
        bells = session.scalars(select(Doorbell).where(Doorbell.run_id == run_id)).all()
    later = [bell for bell in bells if bell.due_at == run.throttled_until]
    assert [bell.rings for bell in later] == [2]


def test_a_target_that_says_slow_gets_smaller_batches_and_longer_rests(
    ward: Scenario, ill: Ill, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.throttle.regulator.SLOW_SECONDS", 0.1)
    ill.lag = 20
    run = ward.run_through(purge(chunk=60))
    assert run.state == "succeeded"
    (chunk,) = ward.chunks(run.id)
    assert [archive["changed"] for archive in chunk.archives] == [10, *[5] * 10]


def test_a_target_too_busy_to_tell_its_indicators_says_stop(
    ward: Scenario, ill: Ill, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_busy(_: Ill) -> tuple[Reading, ...]:
        raise DeadlineExceeded("serverStatus took too long")

    monkeypatch.setattr(ill, "indicators", lambda: too_busy(ill))
    run = ward.run_through(purge())
    assert (run.state, left(ward)) == ("applying", RECORDS)
    assert "did not tell its indicators in time" in (waits_for(ward, run) or "")


def test_the_target_is_asked_once_a_second_whatever_the_number_of_threads(ill: Ill) -> None:
    gauge = Gauge(ill)
    for _ in range(50):
        gauge.read()
    assert ill.asked == 1


@pytest.fixture
def plain_url(
    mongo_server: Mongo, mongo_admin: MongoClient[dict[str, Any]], shop: Scenario
) -> Iterator[str]:
    """Of a user who may read and write, and ask for nothing else."""
    name = f"plain-{shop.shop.name}"
    secret, roles = name, [{"role": "readWrite", "db": shop.shop.name}]
    mongo_admin.admin.command("createUser", name, pwd=secret, roles=roles)
    login = mongo_server.url(shop.shop.name, "tend").partition("@")[2]
    yield f"mongodb://{name}:{secret}@{login}"
    mongo_admin.admin.command("dropUser", name)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_user_who_may_not_ask_is_told_once_and_treated_as_the_policy_says(
    shop: Scenario, plain_url: str
) -> None:
    target = MongoTarget(plain_url)
    engine = replace(shop.engine, targets={"mongo": target}, gauges=Gauges())
    plain = replace(shop, engine=engine)
    with capture_logs() as logs:
        stopped = plain.run_through(purge(name="careful"))
        assert (stopped.state, left(plain)) == ("applying", RECORDS)
        assert "grant clusterMonitor" in shown(plain, stopped)["why"]
        bold = purge(name="bold", throttle={"missing": "go"})
        assert plain.run_through(bold).state == "succeeded"
    target.close()
    said = [entry["indicator"] for entry in logs if entry["event"] == "indicator missing"]
    assert sorted(said) == ["dirty_cache", "queued_operations", "replication_lag"]
