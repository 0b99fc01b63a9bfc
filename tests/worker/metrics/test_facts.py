"""Metrics: every fact of the catalog, from the control database, and never in anybody's way."""

import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from sqlalchemy.orm import Session

from jobs.pos_sync.tables import PosStore
from jobs.task import Alert as Wanted
from tests.worker.alerts.conftest import PassTime, pass_time
from tests.worker.alerts.test_watch import POLICY, THROUGH, Site
from tests.worker.scenario import TESTER
from worker import braking, database, operations, runs
from worker.alerts import alerts
from worker.database import Database
from worker.heartbeat import Heartbeat
from worker.keys import Keyring
from worker.metrics import facts
from worker.metrics.catalog import CATALOG
from worker.metrics.collector import FRESH_SECONDS, Metrics
from worker.settings import Settings
from worker.states import State
from worker.tables import Backlog, Chunk, ProbeState, ProbeTrouble

__all__ = ["pass_time"]

SETTINGS = Settings(env="test", revision="abc")
NOWHERE = Settings(env="test", redis_url=SecretStr("redis://127.0.0.1:9/0"))
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scraped(control: Database, settings: Settings = SETTINGS) -> Samples:
    """Every sample of a new scrape, as Prometheus itself would read it."""
    text = Metrics(settings, control).text().decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


@pytest.fixture
def site(control: Database, keyring: Keyring, pass_time: PassTime) -> Site:
    return Site(control, keyring, pass_time)


def fill_probes(session: Session) -> None:
    moment = database.now(session)
    keys = {"place": "", "subject": "api", "cause": "api"}
    trouble = {"ill": 3, "well": 0, "since": moment, "says": "status 503"}
    for check, raised in (("status", True), ("body", False)):
        session.add(ProbeTrouble(probe="api", check=check, raised=raised, **keys, **trouble))
    looked = {"next_at": moment, "looked_at": moment, "took_ms": 1500, "remarks": []}
    session.add(ProbeState(name="api", place="", **looked))
    session.add(ProbeState(name="none", place="", off="there is none", **looked))


def fill(site: Site) -> None:
    """Something of everything that there is a metric for, except a queue and a checkpoint."""
    with site.control.transaction() as session:
        fill_probes(session)
    site.beat()
    answers = {"mongo": {"seconds": 0.02, "failing_since": None}}
    site.measured(memory_bytes=90 * 2**20, cpu=0.01, targets=answers)
    operations.enable(site.control, POLICY, TESTER)
    run = site.succeeded()
    site.scheduled(State.PLANNING)
    braking.pull(site.control, POLICY.name, TESTER, everything=False)
    with site.control.transaction() as session:
        moment = database.now(session)
        done = runs.get(session, run)
        done.started_at = (done.scheduled_for or moment) + timedelta(seconds=3)
        done.finished_at = done.started_at + timedelta(seconds=60)
        session.add(Chunk(run_id=run, direction="apply", number=1, items=7, changed=7))
        session.add(
            Backlog(
                policy=POLICY.name,
                at=moment,
                records=12,
                at_least=False,
                late_seconds=3600,
                problem=None,
            )
        )
        session.add(PosStore(key="sql/1", name="One", provider="square", address="x"))
        alerts.raise_alert(session, site.keyring, Wanted("guard_refused", "cause", "It happened."))


def test_each_fact_is_what_the_control_database_says(site: Site) -> None:
    fill(site)
    found = scraped(site.control)
    name = POLICY.name
    assert value(found, "tend_info", version="0.1.0", environment="test", revision="abc") == 1
    assert value(found, "tend_control_database_up") == 1
    assert value(found, "tend_processes", kind="worker") == 1
    assert value(found, "tend_target_up", target="mongo") == 1
    assert value(found, "tend_target_answer_seconds", target="mongo") == 0.02
    assert value(found, "tend_runs_last_day", policy=name, state="succeeded") == 1
    assert value(found, "tend_runs_unfinished", policy=name, state="planning") == 1
    assert value(found, "tend_records_changed_last_day", policy=name) == 7
    assert value(found, "tend_run_duration_seconds", policy=name) == 60
    assert value(found, "tend_overdue_records", policy=name) == 12
    assert value(found, "tend_overdue_age_seconds", policy=name) == 3600
    assert value(found, "tend_policy_enabled", policy=name) == 1
    assert value(found, "tend_brakes_pulled") == 1
    assert value(found, "tend_stores", provider="square", condition="healthy") == 1
    assert value(found, "tend_stores", provider="square", condition="offline") == 0
    assert value(found, "tend_alerts", severity="P2", event="guard_refused", state="open") == 1
    assert value(found, "tend_audit_unsequenced_entries") > 0
    assert value(found, "tend_probe_troubles", probe="api", place="", check="status") == 1
    assert value(found, "tend_probe_look_seconds", probe="api", place="") == 1.5
    assert not [labels for name, labels in found if ("probe", "none") in labels]
    assert not [labels for name, labels in found if ("check", "body") in labels]


def test_everything_in_the_catalog_is_exported_under_its_labels(site: Site, redis_url: str) -> None:
    fill(site)
    settings = Settings(env="test", redis_url=SecretStr(redis_url))
    found = scraped(site.control, settings)
    exported = {name: {label for label, _ in labels} for name, labels in found}
    never_signed = {"tend_audit_checkpoint_age_seconds"}
    for name in CATALOG.keys() - never_signed:
        assert exported[name] == set(CATALOG[name].labels)
    assert exported.keys() - CATALOG.keys() == {"tend_stores", "tend_store_breakers"}


def test_of_what_is_not_known_nothing_is_said(control: Database) -> None:
    names = {name for name, _ in scraped(control, NOWHERE)}
    assert not names & {"tend_queue_depth", "tend_store_breakers"}
    assert "tend_run_duration_seconds" not in names
    assert "tend_processes" in names


def test_a_process_that_is_silent_for_long_is_counted_no_longer(
    control: Database,
    pass_time: PassTime,
) -> None:
    Heartbeat(control, "worker").beat()
    pass_time(timedelta(minutes=2))
    found = scraped(control)
    assert value(found, "tend_processes", kind="worker") == 0
    assert 119 < value(found, "tend_last_seen_seconds", kind="worker") < 3600


def test_without_a_control_database_it_says_that_it_is_not_up(tmp_path: Path) -> None:
    found = scraped(Database(f"sqlite:///{tmp_path}/empty.sqlite"))
    assert value(found, "tend_control_database_up") == 0
    assert "tend_processes" not in {name for name, _ in found}


def test_a_writer_does_not_hold_up_a_scrape(site: Site) -> None:
    site.beat()
    with site.control.transaction() as session:
        session.add(Backlog(policy="x", at=database.now(session), at_least=False))
        session.flush()
        assert value(scraped(site.control), "tend_control_database_up") == 1


def test_many_who_ask_at_once_cost_one_reading(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    readings: list[float] = []
    original = facts.all_facts

    def counted(session: object) -> object:
        readings.append(time.monotonic())
        return original(session)  # type: ignore[arg-type]

    monkeypatch.setattr("worker.metrics.collector.all_facts", counted)
    monkeypatch.setattr("worker.metrics.collector.FRESH_SECONDS", FRESH_SECONDS * 100)
    metrics = Metrics(SETTINGS, site.control)
    asking = [threading.Thread(target=metrics.text) for _ in range(8)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert len(readings) == 1


def test_a_run_that_has_not_begun_lags_from_its_due_time_on(
    site: Site,
) -> None:
    site.scheduled()
    site.pass_time(timedelta(minutes=10))
    assert value(scraped(site.control), "tend_run_lag_seconds", policy=POLICY.name) >= 600
    site.scheduled(*THROUGH[:1])
