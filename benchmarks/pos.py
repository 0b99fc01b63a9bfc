"""POS sync: what the breaker costs, that one process probes, that limits hold over processes, and
what failing stores cost the others."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import redis
from pydantic import SecretStr
from sqlalchemy import Connection, text, update
from sqlalchemy.orm import Session
from stamina.instrumentation import set_on_retry_hooks

from benchmarks.rounds import ratios, told
from demo.servers import postgres, valkey
from jobs.pos_sync import keeping
from jobs.pos_sync.breaker import ENOUGH, Breaker, Verdict
from jobs.pos_sync.catalog_sql import SqlCatalog
from jobs.pos_sync.credentials import Credentials
from jobs.pos_sync.limits import Limits, Pace
from jobs.pos_sync.register import due, register
from jobs.pos_sync.stores import Store
from jobs.pos_sync.syncing import AT_ONCE, perform_one
from jobs.pos_sync.tables import PosStore
from jobs.pos_sync.tools import Tools
from jobs.tables import Table
from jobs.task import Alert, Notice
from worker.database import Database
from worker.keys import RunKey
from worker.targets.sql_server import SqlServer

Work = Callable[[str, str], str]
ACQUIRES = 5_000
MOST_ROUNDS = 2
"""With 1,000 stores a round takes minutes."""
PACE = Pace(50, 1)
TABLES = (
    "CREATE TABLE stores (id integer PRIMARY KEY, status text, data_as_of timestamp)",
    """CREATE TABLE products (id serial PRIMARY KEY, store_id integer, external_id text,
        name text, price numeric(12, 4), stock integer, updated_at timestamp)""",
    "CREATE UNIQUE INDEX ON products (store_id, external_id)",
)


def measure(folder: Path, stores: int, rounds: int) -> None:
    """Each figure against real servers on this machine."""
    set_on_retry_hooks([])  # stamina logs every retry
    with valkey(folder) as server, redis.Redis.from_url(server.url) as client:
        _acquire(client, rounds)
        _probes(client, server.url, rounds)
        _limits(client, server.url)
        with postgres(folder) as database, _provider() as place:
            bench = _opened(folder, database.create_database("kiosks"), client, place, stores)
            _failing(bench, stores, min(rounds, MOST_ROUNDS))


def _acquire(client: "redis.Redis", rounds: int) -> None:
    breaker = Breaker(client)
    p50 = []
    for _ in range(rounds):
        taken = []
        for number in range(ACQUIRES):
            began = time.perf_counter()
            breaker.acquire(str(number % 100))
            taken.append((time.perf_counter() - began) * 1000)
        p50.append(sorted(taken)[len(taken) // 2])
    print(f"breaker, acquire at p50: {told(p50, 'ms', 3)}: under 1 is wanted")


def _probes(client: "redis.Redis", url: str, rounds: int) -> None:
    breaker, found = Breaker(client), []
    for number in range(rounds):
        store = f"probed {number}"
        generation = breaker.acquire(store).generation
        for _ in range(ENOUGH):
            breaker.record(store, generation, good=False)
        client.hset(f"tend:pos:breaker:{store}", "until", 0)
        verdicts = _in_processes(16, _probe, url, store)
        found.append(sum(verdict == Verdict.PROBE for verdict in verdicts))
    print(f"probes made by 16 processes at once: {found}: 1 each is wanted")


def _limits(client: "redis.Redis", url: str) -> None:
    moments = sorted(
        moment for turns in _in_processes(8, _turns, url, "shop") for moment in turns.split()
    )
    seconds = float(moments[-1]) - float(moments[0])
    client.flushall()
    print(f"8 processes at {PACE.requests}/s: {(len(moments) - 1) / seconds:.1f} requests/s")


def _failing(bench: "_Bench", stores: int, rounds: int) -> None:
    alone, beside = [], []
    ill = stores // 5
    for _ in range(rounds):
        bench.reset(range(stores - ill))
        alone.append(bench.sync())
        bench.reset(range(stores - ill, stores))
        bench.sync()  # the failing ones fail, and leave the schedule of the healthy ones
        bench.reset(range(stores - ill))
        recovery = threading.Thread(target=bench.recover)
        recovery.start()
        beside.append(bench.sync())
        recovery.join()
    print(f"{stores - ill} healthy stores alone: {told(alone, 's')}")
    print(f"the same while {ill} others fail and are recovered: {told(beside, 's')}")
    print(f"ratio: {told(ratios(beside, alone), '')}: at most 1.10 is wanted")


@dataclass
class _Bench:
    """The control database and what attempts work with."""

    database: Database
    tools: Tools

    def reset(self, numbers: Sequence[int]) -> None:
        """These stores are due now, the others later."""
        keys = [f"sql/{number}" for number in numbers]
        later = datetime(2999, 1, 1, tzinfo=UTC)
        with self.database.transaction() as session:
            session.execute(update(PosStore).values(next_at=later))
            now = update(PosStore).where(PosStore.key.in_(keys)).values(next_at=None)
            session.execute(now)

    def sync(self) -> float:
        return self._work(failed=False)

    def recover(self) -> None:
        with self.database.transaction() as session:
            ill = update(PosStore).where(PosStore.condition != "healthy")
            session.execute(ill.values(next_at=None))
        self._work(failed=True)

    def _work(self, *, failed: bool) -> float:
        now = datetime.now(UTC)
        with self.database.transaction() as session:
            keys = [row.key for row in due(session, now, failed=failed)]
        began = time.perf_counter()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda key: perform_one(self.tools, key, now), keys))
        return time.perf_counter() - began


class _State:
    """The family's state without an engine: nobody is told, nothing is recorded."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        with self._database.transaction() as session:
            yield session

    def notify(self, session: Session, notice: Notice) -> None: ...

    def raise_alert(self, session: Session, alert: Alert) -> bool:  # noqa: ARG002 - nobody is told
        return False

    def clear_alert(self, session: Session, cause: str) -> bool:  # noqa: ARG002 - nobody is told
        return False

    def record(self, session: Session, action: str, detail: object) -> None: ...


def _opened(folder: Path, url: str, client: "redis.Redis", place: str, stores: int) -> _Bench:
    database, server = Database(f"sqlite:///{folder}/control.sqlite"), SqlServer(url)
    Table.metadata.create_all(database.engine)

    @contextmanager
    def writing() -> Iterator[Connection]:
        with server.writing("kiosks", time.monotonic() + 60) as transaction:
            yield transaction.connection

    with writing() as connection:
        for table in TABLES:
            connection.execute(text(table))
        rows = [{"id": number} for number in range(stores)]
        connection.execute(text("INSERT INTO stores (id) VALUES (:id)"), rows)
    catalog = SqlCatalog(writing)
    catalog.prepare()
    tools = Tools(
        state=_State(database),
        vault=RunKey.new(),
        client=client,
        catalogs={"sql": catalog},
        clock=lambda: datetime.now(UTC),
        private=frozenset({place}),
    )
    ill = stores - stores // 5
    with database.transaction() as session:
        register(session, [_store(number, place, ill) for number in range(stores)])
    for number in range(stores):
        keeping.keep(tools, f"sql/{number}", Credentials(access_token=SecretStr("x")), None)
    return _Bench(database, tools)


def _store(number: int, place: str, ill: int) -> Store:
    """From number `ill` on they fail."""
    path = "broken" if number >= ill else "good"
    return Store(f"sql/{number}", f"Kiosk {number}", "rest", f"http://{place}/{path}")


@contextmanager
def _provider() -> Iterator[str]:
    """Twenty products for whoever asks for good ones, 503 for the others."""
    rows = [
        {"id": str(number), "name": "Tent", "price": "1.10", "updated_at": "2026-01-01T00:00:00Z"}
        for number in range(20)
    ]
    page = json.dumps({"products": rows, "next_cursor": None}).encode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            is_good = self.path.startswith("/good")
            body = page if is_good else b"<html>"
            self.send_response(200 if is_good else 503)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def _probe(url: str, store: str) -> str:
    with redis.Redis.from_url(url) as client:
        return Breaker(client).acquire(store).verdict


def _turns(url: str, account: str) -> str:
    """The moments of twenty turns."""
    with redis.Redis.from_url(url) as client:
        limits, found = Limits(client), []
        for _ in range(20):
            limits.take(account, PACE, 60)
            found.append(repr(time.time()))
        return " ".join(found)


def _begin(work: Work, url: str, name: str, ready: Barrier, found: "Queue[str]") -> None:
    ready.wait(120)
    found.put(work(url, name))


def _in_processes(count: int, work: Work, url: str, name: str) -> list[str]:
    """What so many processes find that begin at once."""
    processes = get_context("spawn")
    ready, found = processes.Barrier(count), processes.Queue()
    started = [
        processes.Process(target=_begin, args=(work, url, name, ready, found)) for _ in range(count)
    ]
    for process in started:
        process.start()
    answers = [found.get(timeout=120) for _ in started]
    for process in started:
        process.join()
    return answers
