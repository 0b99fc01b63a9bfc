"""POS sync: what the breaker costs, that one process probes, that limits hold over processes, and
what failing stores cost the others."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from multiprocessing.connection import Connection as PipeConnection
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
from jobs.pos_sync.options import PosOptions
from jobs.pos_sync.register import register
from jobs.pos_sync.stores import Store
from jobs.pos_sync.syncing import manners, perform_all
from jobs.pos_sync.tables import PosStore
from jobs.pos_sync.tools import Tools
from jobs.tables import Table
from jobs.task import Alert, Notice
from worker.database import Database
from worker.keys import RunKey
from worker.targets.sql_server import SqlServer

Work = Callable[[str, str], str]
ACQUIRES = 5_000
BATCH = 16
"""Of the shipped policies."""
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
    well, ill = _keys(0, stores - stores // 5), _keys(stores - stores // 5, stores)
    bench.sync(well)  # so that each measured pass finds the same products there
    alone, beside, among = [], [], []
    for _ in range(rounds):
        alone.append(bench.sync(well))
        among.append(bench.sync(_mixed(well, ill)))
        with bench.recovering(ill):
            beside.append(bench.sync(well))
    print(f"{len(well)} healthy stores alone: {told(alone, 's')}")
    for name, taken in (
        (f"the same while {len(ill)} others fail and are recovered", beside),
        (f"the same in one look with {len(ill)} others that begin to fail", among),
    ):
        print(f"{name}: {told(taken, 's')}")
        print(f"ratio: {told(ratios(taken, alone), '')}: at most 1.10 is wanted")


def _keys(first: int, end: int) -> list[str]:
    return [f"sql/{number}" for number in range(first, end)]


def _mixed(well: list[str], ill: list[str]) -> list[str]:
    """Four that are well, one that is ill, and so on."""
    every = len(well) // len(ill)
    return [
        key
        for number, one in enumerate(ill)
        for key in (*well[number * every : (number + 1) * every], one)
    ]


@dataclass
class _Bench:
    """The control database and what attempts work with."""

    database: Database
    tools: Tools

    def sync(self, keys: Sequence[str]) -> float:
        """Seconds until the last of them that is well is synced, as `pos-sync` does it."""
        self._due(keys, condition="healthy", failures=0)
        return self._work(keys, PosOptions(stores_in=("sql",)))

    @contextmanager
    def recovering(self, keys: Sequence[str]) -> Iterator[None]:
        """What `pos-sync-retry` does, for as long as something else is measured."""
        is_over = threading.Event()
        options = PosOptions(stores_in=("sql",), mode="recovery")

        def recover() -> None:
            while not is_over.is_set():
                self._due(keys)
                self._work(keys, options, is_over)

        worker = threading.Thread(target=recover)
        self._due(keys, condition="degraded")
        worker.start()
        yield
        is_over.set()
        worker.join()

    def _due(self, keys: Sequence[str], **values: object) -> None:
        with self.database.transaction() as session:
            now = update(PosStore).where(PosStore.key.in_(keys))
            session.execute(now.values(next_at=None, **values))

    def _work(
        self, keys: Sequence[str], options: PosOptions, is_over: threading.Event | None = None
    ) -> float:
        """Batch by batch, as the engine hands them out."""
        tools, now = replace(self.tools, **manners(options)), datetime.now(UTC)
        began = time.perf_counter()
        for first in range(0, len(keys), BATCH):
            if is_over is not None and is_over.is_set():
                break
            perform_all(tools, keys[first : first + BATCH], now)
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
    """`host:port` of a process of its own, as a provider is."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_provide, args=(theirs,), daemon=True)
    process.start()
    yield ours.recv()
    process.terminate()
    process.join()


def _provide(ready: PipeConnection) -> None:
    """Twenty products for whoever asks for good ones; 503 for the others."""
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
        ready.send(f"127.0.0.1:{server.server_address[1]}")
        server.serve_forever()


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
