"""Failed logins: events decided a minute, lines parsed a second, decisions missed or wrong against
an oracle, and the seconds from a fifth failure to the lock with real processes."""

import os
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from cryptography.fernet import Fernet
from pymongo import MongoClient
from pymongo.database import Database

from benchmarks.rounds import told
from demo.servers import mongod, valkey
from jobs.login_lockout.events import Event
from jobs.login_lockout.lines import parser
from jobs.login_lockout.options import FileSource
from jobs.login_lockout.windows import Evaluator, Facts
from tests.jobs.login_lockout.oracle import Oracle
from tests.jobs.login_lockout.rules import MINUTE, NOON, RULES
from tests.jobs.login_lockout.test_windows import random_events

EVENTS = 1_000_000
LINES = 200_000
SEQUENCES = 20_000
TRIES = 3
PATIENCE = 120.0
AT = r"(?P<at>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)"
SECURITY = AT + r" \S+ failed_login (?P<address>\S+)(?: user=(?P<user>\S+))?"


def measure(folder: Path, rounds: int) -> None:
    rates = [_evaluated(Random(number)) for number in range(rounds)]
    print("lockout: events decided   ", told(rates, "a minute on one core", 0), flush=True)
    for name, source, line in _formats():
        rates = [_parsed(source, line) for _ in range(rounds)]
        print(f"lockout: {name} lines parsed", told(rates, "a second", 0), flush=True)
    missed, wrong, right = _against_the_oracle()
    print(
        f"lockout: {SEQUENCES:,} random sequences: {right:,} decisions right, {missed} missed, "
        f"{wrong} wrong",
        flush=True,
    )
    print("lockout: from the fifth failure to the lock", told(_latencies(folder), "s"), flush=True)


def _evaluated(random: Random) -> float:
    """A million tries of 20,000 users from 5,000 addresses in an hour, one in six of them good."""
    step = timedelta(hours=1) / EVENTS
    users = [f"user{number}" for number in range(20_000)]
    addresses = [f"203.0.{number // 250}.{number % 250}" for number in range(5_000)]
    events = [
        Event(
            NOON + number * step,
            random.choice(users),
            random.choice(addresses),
            random.random() < 5 / 6,
        )
        for number in range(EVENTS)
    ]
    rules = replace(RULES, spray_users=200, wide_addresses=30, victims=50)
    evaluator = Evaluator(rules, Facts())
    began = time.process_time()
    for event in events:
        evaluator.add(event)
    return 60 * EVENTS / (time.process_time() - began)


def _formats() -> Iterator[tuple[str, FileSource, str]]:
    security = "2026-11-22 08:59:{second:02} WARN failed_login 203.0.113.{last} user=user{number}"
    yield "security", FileSource(files="security.log", lines=(SECURITY,)), security
    auth = "Nov 22 08:59:{second:02} web sshd[7]: Failed password for user{number} from "
    auth += "203.0.113.{last} port 5022 ssh2"
    yield "sshd", FileSource(files="auth.log", format="sshd"), auth


def _parsed(source: FileSource, line: str) -> float:
    lines = [
        line.format(second=number % 60, last=number % 250, number=number % 20_000)
        for number in range(LINES)
    ]
    parse = parser(source, NOON)
    began = time.process_time()
    understood = sum(isinstance(parse(line), Event) for line in lines)
    seconds = time.process_time() - began
    if understood != LINES:
        raise AssertionError(f"{LINES - understood} lines were not understood")
    return LINES / seconds


def _against_the_oracle() -> tuple[int, int, int]:
    random = Random(2026)
    missed = wrong = right = 0
    for _ in range(SEQUENCES):
        events = random_events(random)
        rules = replace(RULES, failures=random.choice([2, 3, 5]), block=30 * MINUTE)
        evaluator = Evaluator(rules, Facts())
        decisions = [each for event in events for each in evaluator.add(event)]
        found = {(each.kind, each.subject, each.at) for each in decisions if each.kind != "alert"}
        said = {each[:3] for each in Oracle(rules).judge(events)}
        missed += len(said - found)
        wrong += len(found - said)
        right += len(said & found)
    return missed, wrong, right


def _latencies(folder: Path) -> list[float]:
    """At the shipped schedule, with a scheduler and workers of their own."""
    with mongod(folder) as mongo, valkey(folder) as redis:
        url = mongo.url("ordernimbus")
        os.environ |= {
            "TEND_DATABASE_URL": f"sqlite:///{folder}/tend.sqlite",
            "TEND_REDIS_URL": redis.url,
            "TEND_MONGO_URL": url,
            "TEND_ARCHIVE_URL": f"file://{folder}/archive",
            "TEND_KEYS": Fernet.generate_key().decode(),
            "TEND_AUDIT_KEYS": b64encode(os.urandom(32)).decode(),
            "TEND_ENV": "bench",
        }
        with MongoClient[dict[str, Any]](url, tz_aware=True) as client:
            shop = client.get_default_database()
            shop.loginevents.create_index("timestamp")
            _tend("migrate")
            _tend("enable", "login-lockout", "--reason", "a benchmark")
            with _running(folder, "scheduler"), _running(folder, "worker"):
                return [_latency(shop, number) for number in range(TRIES + 1)][1:]


def _latency(shop: Database[dict[str, Any]], number: int) -> float:
    user = f"user{number}"
    shop.users.insert_one({"_id": user, "email": f"{user}@example.org"})
    tries = [
        {
            "userId": user,
            "ipAddress": f"203.0.113.{number}",
            "outcome": "failure",
            "timestamp": datetime.now(UTC),
        }
        for _ in range(5)
    ]
    shop.loginevents.insert_many(tries)
    began = time.monotonic()
    while shop.users.find_one({"_id": user, "isLocked": True}) is None:
        if time.monotonic() - began > PATIENCE:
            raise AssertionError(f"{user} was not locked within {PATIENCE:.0f} s")
        time.sleep(0.05)
    return time.monotonic() - began


def _tend(*words: str) -> None:
    command = [sys.executable, "-m", "worker.cli", *words]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


@contextmanager
def _running(folder: Path, kind: str) -> Iterator[None]:
    with (folder / f"{kind}.log").open("wb") as log:
        command = [sys.executable, "-m", "worker.cli", kind]
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
