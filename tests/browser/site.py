"""A small site with every process of Tend, and people who log in to its console."""

import http.client
import os
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from pymongo import IndexModel, MongoClient
from pymongo.database import Database as MongoDatabase

from demo.tend import command, process
from jobs.pos_sync.tables import PosStore
from tests.faults.processes import eventually
from worker import migrate, tokens, users
from worker.database import Database
from worker.identity import Actor, Role
from worker.operations import Person
from worker.tables import User

SHIPPED = Path(__file__).parents[2] / "policies"
PASSWORD = "correct horse battery"  # noqa: S105 - of nobody
ADMIN = Person(Actor("root", "token", role=Role.ADMIN), "for a test")
PEOPLE = {
    "vera": Role.VIEWER,
    "olaf": Role.OPERATOR,
    "anna": Role.APPROVER,
    "bert": Role.APPROVER,
    "root": Role.ADMIN,
}
SALES, SLOW, NEGATIVE = 30, 200, 20
AMPLE = (
    "guards: {max_records: 100_000, max_percent: 100}\n"
    "schedule: {cron: '0 0 1 1 *', timezone: UTC}\n"  # no fire gets between two steps of a journey
)
OVERLAY = {
    # A batch of ten each two seconds: slow enough to be paused in the middle on any machine.
    "session-cleanup": AMPLE + "batch: {records: 10, pause: 2s}\nchunk: 40\nwriters: 1\n",
    "sales-retention": AMPLE + "approval: required\n",
    "negative-sales-values": AMPLE,
}


@dataclass(frozen=True)
class Site:
    """Where the console is, and what it looks after."""

    address: str
    environment: Mapping[str, str]
    control: Database
    shop: MongoDatabase[dict[str, Any]]
    folder: Path


def ago(days: float) -> datetime:
    return (datetime.now(UTC) - timedelta(days=days)).replace(microsecond=0)


def fill(shop: MongoDatabase[dict[str, Any]]) -> None:
    """Something for each policy of the overlay to do."""
    for collection, fields in {
        "salesData": ("createdAt", "quantity", "revenue", "cost", "date"),
        "sessions": ("expiresAt", "isActive"),
    }.items():
        shop[collection].create_indexes([IndexModel(field) for field in fields])
    shop.sessions.insert_many(
        [
            {"_id": n, "sessionId": f"s{n}", "isActive": True, "expiresAt": ago(9)}
            for n in range(SLOW)
        ]
    )
    shop.salesData.insert_many(
        [{"_id": n, "createdAt": ago(3000), "quantity": 1, "revenue": 2.5} for n in range(SALES)]
        + [
            {"_id": 1000 + n, "createdAt": ago(10), "quantity": -n - 1, "revenue": 3.0}
            for n in range(NEGATIVE)
        ]
    )


@contextmanager
def site(folder: Path, mongo_url: str, redis_url: str, *, workers: int = 1) -> Iterator[Site]:
    """Everything that `make demo` starts, but small."""
    overlay = folder / "overlay"
    overlay.mkdir()
    for name, text in OVERLAY.items():
        (overlay / f"{name}.yaml").write_text(f"name: {name}\n{text}")
    environment = {
        "TEND_DATABASE_URL": f"sqlite:///{folder}/control.sqlite",
        "TEND_REDIS_URL": redis_url,
        "TEND_MONGO_URL": mongo_url,
        "TEND_ARCHIVE_URL": f"file://{folder}/archive",
        "TEND_AUDIT_KEYS": b64encode(os.urandom(32)).decode(),
        "TEND_ANCHOR_URL": f"file://{folder}/anchors",
        "TEND_KEYS": Fernet.generate_key().decode(),
        "TEND_POLICY_DIR": f"{SHIPPED}{os.pathsep}{overlay}",
        "TEND_ENV": "staging",
        "TEND_LOG": "json",
    }
    with ExitStack() as stack:
        client = stack.enter_context(MongoClient[dict[str, Any]](mongo_url, tz_aware=True))
        shop = client.get_default_database()
        fill(shop)
        control = Database(environment["TEND_DATABASE_URL"])
        stack.callback(control.close)
        migrate.upgrade(control)
        for name, role in PEOPLE.items():
            users.create(control, name, role, PASSWORD, ADMIN)
        for log, *words in (
            ("scheduler", "scheduler"),
            ("worker", "worker", "--processes", str(workers)),
            ("console", "console", "--port", "0"),
        ):
            stack.enter_context(process(environment, folder / f"{log}.log", *words))
        _some_trouble(environment, control)
        port = eventually(lambda: _port(folder / "console.log"), 120)
        eventually(lambda: _is_ready(port), 120)
        yield Site(f"http://127.0.0.1:{port}", environment, control, shop, folder)


def _some_trouble(environment: Mapping[str, str], control: Database) -> None:
    """A block and a store that needs a person, so that their pages have something to show."""
    command(environment, "lockout", "block", "203.0.113.7", "--reason", "CASE-7: a journey")
    camp = {"name": "Camp", "provider": "rest", "address": "", "condition": "needs_person"}
    with control.transaction() as session:
        session.add(PosStore(key="mongo/1", error="no_credentials", failures=1, **camp))


def token_of(control: Database, name: str) -> str:
    with control.transaction() as session:
        role = Role(session.get_one(User, name).role)
    return tokens.create(control, name, role, timedelta(days=1), ADMIN).text


def _port(log: Path) -> int | None:
    found = re.search(
        r'"console listens".*?"port": (\d+)|"port": (\d+).*?"console listens"', log.read_text()
    )
    return int(found[1] or found[2]) if found else None


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == 200
    finally:
        connection.close()
