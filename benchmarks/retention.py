"""`sales-retention` at `pace: full`, archived, beside a plain `delete_many` of the same.

A third side deletes the same keys in transactions and does nothing else: it shows how near to the
plain command the server itself lets anybody come who deletes behind a fence.
"""

import gc
import os
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from cryptography.fernet import Fernet
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern
from sqlalchemy import select

from benchmarks.memory import largest_of
from benchmarks.rounds import ratios, told
from demo import dataset
from demo.servers import mongod, valkey
from policies.models import Guards, Policy
from worker import advance, bootstrap, identity, migrate, operations, queue, relay, runs
from worker.database import Database
from worker.engine import Engine
from worker.evidence import manifests
from worker.operations import Person
from worker.registry import Policies
from worker.settings import Settings
from worker.states import UNFINISHED, State
from worker.tables import Chunk, Entry
from worker.throttle import pace

AT_REST = (
    *("--syncdelay", "0"),
    *("--setParameter", "minSnapshotHistoryWindowInSeconds=0"),
)
"""Between two sides the server is told to write out; a checkpoint of its own would fall on one of
them. And a side deletes what was put back after the one before: what a purge meets is years old,
so no versions of it from the last five minutes are kept."""
WORKERS = 2
WRITERS = 3
POLL_SECONDS = 0.05
REASON = "a benchmark"
MIB = 1024 * 1024


@dataclass
class Figures:
    """Seconds of each round, per side; bytes of the largest worker process seen."""

    plain: list[float] = field(default_factory=list)
    transactions: list[float] = field(default_factory=list)
    plan: list[float] = field(default_factory=list)
    apply: list[float] = field(default_factory=list)
    largest_worker: int = 0


@dataclass(frozen=True)
class Bench:
    engine: Engine
    settings: Settings
    policy: Policy
    records: Collection[RawBSONDocument]
    supervisor: psutil.Process


Side = Callable[[Bench, dict[str, Any], Figures], None]
"""Deletes what is due and notes the seconds that it took."""


def measure(folder: Path, rows: int | None, rounds: int) -> None:
    """Load the data, then alternate the two sides and print what came out."""
    with opened(folder, rows, AT_REST) as bench:
        cutoff = datetime.now(UTC)
        due = due_in(bench, cutoff)
        removed = list(bench.records.find(due))
        print(f"{bench.records.estimated_document_count():,} sales, {len(removed):,} of them due")
        gc.freeze()  # no worker holds them; the plan, which is made here, need not look at them
        figures = Figures()
        sides: list[Side] = [
            _plain,
            partial(_transactions, keys=[each["_id"] for each in removed]),
            _tend,
        ]
        for number in range(rounds):
            turn = number % len(sides)
            for side in [*sides[turn:], *sides[:turn]]:
                side(bench, due, figures)
                if bench.records.count_documents(due):
                    raise SystemExit("a side left records behind; its figure means nothing")
                restore(bench, removed)
        _print(figures, len(removed))


@contextmanager
def opened(folder: Path, rows: int | None, options: Sequence[str] = ()) -> Iterator[Bench]:
    """The server has the memory that MongoDB takes by itself, as a site's own has."""
    with ExitStack() as stack:
        mongo = stack.enter_context(mongod(folder, options=options))
        redis = stack.enter_context(valkey(folder))
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
        client: MongoClient[dict[str, Any]] = MongoClient(url)
        stack.callback(client.close)
        print("loading …", flush=True)
        dataset.load(client.get_default_database(), rows, datetime.now(UTC))
        settings = Settings.load()
        database = Database(settings.need("database_url"))
        stack.callback(database.close)
        migrate.upgrade(database)
        engine = bootstrap.open_engine(settings, database, identity.claimed(), inline=True)
        stack.callback(engine.close)
        raw: CodecOptions[RawBSONDocument] = CodecOptions(RawBSONDocument, tz_aware=True)
        records = client.get_default_database().with_options(codec_options=raw)["salesData"]
        supervisor = stack.enter_context(_workers(folder))
        yield Bench(engine, settings, _policy(settings), records, supervisor)


def _policy(settings: Settings) -> Policy:
    """The shipped text, with guards and a pace for arrears instead of one day."""
    shipped = Policies.load(settings.policy_directories).get("sales-retention").policy
    ample = Guards(max_records=10_000_000, max_percent=100)
    return shipped.model_copy(update={"guards": ample, "pace": "full", "writers": WRITERS})


@contextmanager
def _workers(folder: Path) -> Iterator[psutil.Process]:
    command = [sys.executable, "-m", "worker.cli", "worker", "--processes", str(WORKERS)]
    with (folder / "worker.log").open("wb") as log:
        running = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            yield psutil.Process(running.pid)
        finally:
            running.send_signal(signal.SIGTERM)
            running.wait(30)


def due_in(bench: Bench, now: datetime) -> dict[str, Any]:
    age = bench.policy.options.model_dump()["select"]["older_than"]["age"]
    days = int(str(age).removesuffix("d"))
    return {"createdAt": {"$lt": datetime.fromtimestamp(now.timestamp() - days * 86_400, UTC)}}


def _plain(bench: Bench, due: dict[str, Any], figures: Figures) -> None:
    started = time.monotonic()
    bench.records.delete_many(due)
    figures.plain.append(time.monotonic() - started)


def _transactions(
    bench: Bench, _due: dict[str, Any], figures: Figures, *, keys: Sequence[Any]
) -> None:
    """As many at a time as Tend has writers, each over its part of the keys."""
    started = time.monotonic()
    part = -(-len(keys) // WRITERS)
    with ThreadPoolExecutor(WRITERS) as threads:
        list(threads.map(partial(_delete, bench), batched(keys, part)))
    figures.transactions.append(time.monotonic() - started)


def _delete(bench: Bench, keys: Sequence[Any]) -> None:
    with bench.records.database.client.start_session() as session:
        for some in batched(keys, pace.LARGEST):
            with session.start_transaction(ReadConcern("snapshot"), WriteConcern("majority")):
                wanted = {"_id": {"$in": some}}
                bench.records.delete_many(wanted, session=session, hint={"_id": 1})


def batched(keys: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (keys[start : start + size] for start in range(0, len(keys), size))


def _tend(bench: Bench, _due: dict[str, Any], figures: Figures) -> None:
    """Plan in this process, apply in the workers: from the yes to the last chunk on record."""
    person = Person(identity.claimed(), REASON)
    database = bench.engine.database
    run_id = operations.request(
        database, bench.policy, "bench", person, apply_after_plan=False, inline=True, narrowing={}
    )
    started = time.monotonic()
    advance.plan(bench.engine, run_id)
    figures.plan.append(time.monotonic() - started)
    operations.apply(database, run_id, bench.policy, person, inline=False)
    ring(bench)
    while state_of(database, run_id) in UNFINISHED:
        figures.largest_worker = max(figures.largest_worker, largest_of(bench.supervisor))
        time.sleep(POLL_SECONDS)
    if state_of(database, run_id) != State.SUCCEEDED:
        raise SystemExit(f"r-{run_id} ended as {state_of(database, run_id)}")
    figures.apply.append(seconds_of(database, run_id))
    while _is_followed_up(database, run_id):  # manifests, which the other side does not wait for
        time.sleep(POLL_SECONDS)


def _is_followed_up(database: Database, run_id: int) -> bool:
    with database.transaction() as session:
        return (
            session.scalar(select(Chunk.number).where(manifests.owed(run_id)).limit(1)) is not None
        )


def ring(bench: Bench) -> None:
    broker = queue.connect(bench.settings.need("redis_url"))
    relay.relay(bench.engine.database, lambda run: queue.ring(broker, run), datetime.now(UTC))
    broker.close()


def state_of(database: Database, run_id: int) -> State:
    with database.transaction() as session:
        return State(runs.get(session, run_id).state)


def seconds_of(database: Database, run_id: int) -> float:
    with database.transaction() as session:
        moments = {
            entry.action: entry.at
            for entry in session.scalars(select(Entry).where(Entry.run_id == run_id))
        }
    return (moments["run_verifying"] - moments["run_applying"]).total_seconds()


def restore(bench: Bench, removed: list[RawBSONDocument]) -> None:
    """Put back those of these records that are missing, and let the server write them out.

    Else the side that comes next would pay for it.
    """
    fields = {"_id": 1}
    for page in batched(removed, 10_000):
        keys = [record["_id"] for record in page]
        there = {record["_id"] for record in bench.records.find({"_id": {"$in": keys}}, fields)}
        missing = [record for record, key in zip(page, keys, strict=True) if key not in there]
        if missing:
            bench.records.insert_many(missing, ordered=False)
    bench.records.database.client.admin.command("fsync")


def _print(figures: Figures, due: int) -> None:
    print(f"plain delete_many     {told(figures.plain, 's')}")
    alone = told(ratios(figures.plain, figures.transactions), "")
    print(f"transactions alone    {told(figures.transactions, 's')}")
    print(f"  against plain       {alone}: as near as this server lets a fence come")
    print(f"Tend, archived        {told(figures.apply, 's')}")
    print(f"  by                  {WRITERS} writers in {WORKERS} worker processes")
    speed = told(ratios(figures.plain, figures.apply), "")
    print(f"speed against plain   {speed}: at least 0.9 is wanted")
    print(f"planning {due:,} keys {told(figures.plan, 's')}")
    of_plain = told([100 * r for r in ratios(figures.plan, figures.plain)], "%", 1)
    of_tend = told([100 * r for r in ratios(figures.plan, figures.apply)], "%", 1)
    print(f"  of plain deleting   {of_plain}: under 15 % is wanted")
    print(f"  of Tend's deleting  {of_tend}")
    print(f"largest worker        {figures.largest_worker / MIB:,.0f} MiB: under 200 is wanted")
