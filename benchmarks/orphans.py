"""Finding orphans: `orphaned-sales` planned by a worker, beside `$nin` with every user's key."""

import os
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
from bson import ObjectId
from cryptography.fernet import Fernet
from pymongo import MongoClient, WriteConcern
from pymongo.database import Database as MongoDatabase
from pymongo.errors import OperationFailure

from benchmarks.memory import largest_of
from benchmarks.rounds import ratios, told
from demo.servers import mongod, valkey
from policies.models import Guards, Policy
from worker import identity, migrate, operations, queue, relay, runs
from worker.database import Database
from worker.operations import Person
from worker.registry import Policies
from worker.settings import Settings
from worker.states import State
from worker.tables import Run

ORPHANED = 33
"""Every so many users are deleted, and their sales are orphans: 3 %."""
INSERT = 50_000
POLL_SECONDS = 0.05
MIB = 1024 * 1024
Shop = MongoDatabase[dict[str, Any]]


@dataclass
class Figures:
    """Seconds of each round, per side; what the script said if it failed; the worker's bytes."""

    script: list[float] = field(default_factory=list)
    plan: list[float] = field(default_factory=list)
    failure: str | None = None
    largest_worker: int = 0


@dataclass(frozen=True)
class Bench:
    shop: Shop
    control: Database
    settings: Settings
    policy: Policy
    worker: psutil.Process


def measure(folder: Path, users: int, sales: int, rounds: int) -> None:
    """Load so many users and sales, then alternate the two sides, which change nothing."""
    with _bench(folder, users, sales) as bench:
        figures = Figures()
        for number in range(rounds):
            found: set[int] = set()
            for side in [_script, _tend] if number % 2 == 0 else [_tend, _script]:
                orphans = side(bench, figures)
                found |= {orphans} if orphans is not None else set()
            if len(found) != 1:
                raise SystemExit(f"the sides found different numbers of orphans: {found}")
        _print(figures, found.pop())


@contextmanager
def _bench(folder: Path, users: int, sales: int) -> Iterator[Bench]:
    with ExitStack() as stack:
        mongo = stack.enter_context(mongod(folder, options=()))
        redis = stack.enter_context(valkey(folder))
        os.environ |= {
            "TEND_DATABASE_URL": f"sqlite:///{folder}/tend.sqlite",
            "TEND_REDIS_URL": redis.url,
            "TEND_MONGO_URL": mongo.url("ordernimbus"),
            "TEND_ARCHIVE_URL": f"file://{folder}/archive",
            "TEND_KEYS": Fernet.generate_key().decode(),
            "TEND_AUDIT_KEYS": b64encode(os.urandom(32)).decode(),
            "TEND_ENV": "bench",
        }
        client: MongoClient[dict[str, Any]] = MongoClient(mongo.url("ordernimbus"))
        stack.callback(client.close)
        shop = client.get_default_database()
        print(f"loading {users:,} users and {sales:,} sales …", flush=True)
        _load(shop, users, sales)
        client.admin.command("fsync")  # neither side pays for the loading
        settings = Settings.load()
        control = Database(settings.need("database_url"))
        stack.callback(control.close)
        migrate.upgrade(control)
        shipped = Policies.load(settings.policy_directories).get("orphaned-sales").policy
        ample = Guards(max_records=100_000_000, max_percent=100)
        policy = shipped.model_copy(update={"guards": ample})
        yield Bench(shop, control, settings, policy, stack.enter_context(_worker(folder)))


def _load(shop: Shop, users: int, sales: int) -> None:
    """The server multiplies the users by itself, for rows over the wire would take minutes."""
    loading = shop.with_options(write_concern=WriteConcern(w=1, j=False)).users
    keys = [ObjectId() for _ in range(users + users // (ORPHANED - 1))]
    for start in range(0, len(keys), INSERT):
        some = [{"_id": key, "isActive": True} for key in keys[start : start + INSERT]]
        loading.insert_many(some, ordered=False)
    moment = datetime.now(UTC) - timedelta(days=30)
    sale = {"storeId": "store-1", "sku": "sku-1", "quantity": 3, "revenue": 9.5, "cost": 4.25}
    pipeline: list[dict[str, Any]] = [
        {"$project": {"each": {"$range": [0, max(1, round(sales / len(keys)))]}}},
        {"$unwind": "$each"},
        {
            "$project": {
                "_id": 0,
                "userId": "$_id",
                "date": moment,
                "createdAt": moment,
                **{name: {"$literal": value} for name, value in sale.items()},
            }
        },
        {"$out": "salesData"},
    ]
    shop.users.aggregate(pipeline)
    shop.salesData.create_index("userId")
    deleted = keys[::ORPHANED]
    for start in range(0, len(deleted), INSERT):
        loading.delete_many({"_id": {"$in": deleted[start : start + INSERT]}})


@contextmanager
def _worker(folder: Path) -> Iterator[psutil.Process]:
    command = [sys.executable, "-m", "worker.cli", "worker", "--processes", "1"]
    with (folder / "worker.log").open("wb") as log:
        running = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            yield psutil.Process(running.pid)
        finally:
            running.send_signal(signal.SIGTERM)
            running.wait(30)


def _script(bench: Bench, figures: Figures) -> int | None:
    """The keys of the orphans, as a script collects them before it deletes anything."""
    started = time.monotonic()
    try:
        users = bench.shop.users.distinct("_id")
        found = [
            sale["_id"]
            for sale in bench.shop.salesData.find({"userId": {"$nin": users}}, {"_id": 1})
        ]
    except OperationFailure as error:
        figures.failure = str((error.details or {}).get("errmsg", error))
        return None
    figures.script.append(time.monotonic() - started)
    return len(found)


def _tend(bench: Bench, figures: Figures) -> int:
    """A worker's plan: found, surveyed, sealed, stored, and judged against the population."""
    run_id = operations.request(
        bench.control,
        bench.policy,
        "bench",
        Person(identity.claimed(), "a benchmark"),
        apply_after_plan=False,
        inline=False,
        narrowing={},
    )
    broker = queue.connect(bench.settings.need("redis_url"))
    relay.relay(bench.control, lambda run: queue.ring(broker, run), datetime.now(UTC))
    broker.close()
    while (run := _run(bench.control, run_id)).state in {State.QUEUED, State.PLANNING}:
        figures.largest_worker = max(figures.largest_worker, largest_of(bench.worker))
        time.sleep(POLL_SECONDS)
    if run.state != State.PLANNED or run.preview is None:
        raise SystemExit(f"r-{run_id} ended as {run.state}: {run.error or run.refusal}")
    figures.plan.append(run.preview["seconds"])
    return run.planned


def _run(control: Database, run_id: int) -> Run:
    with control.transaction() as session:
        return runs.get(session, run_id)


def _print(figures: Figures, orphans: int) -> None:
    print(f"orphans found         {orphans:,}")
    if figures.failure is not None:
        print(f"plain $nin script     fails: {figures.failure}")
    else:
        print(f"plain $nin script     {told(figures.script, 's')}")
    print(f"Tend, a whole plan    {told(figures.plan, 's')}")
    if figures.failure is None:
        speed = told(ratios(figures.script, figures.plan), "")
        print(f"speed against plain   {speed}: at least 1.0 is wanted")
    print(f"largest worker        {figures.largest_worker / MIB:,.0f} MiB: under 200 is wanted")
