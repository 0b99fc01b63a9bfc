"""Probes: what 1,000 HTTP and 1,000 WebSocket endpoints a minute cost the worker that asks them."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.queues import Queue
from pathlib import Path

import psutil
from cryptography.fernet import Fernet
from sqlalchemy import select
from websockets.asyncio.server import ServerConnection, serve

from benchmarks.rounds import told
from jobs.probe.http import HttpOptions
from jobs.probe.websocket import WebSocketOptions
from jobs.tables import Table
from policies.probes import Probe, ProbeOptions
from worker.database import Database
from worker.keys import Keyring
from worker.probes.context import Site
from worker.probes.prober import TICK_SECONDS, Prober
from worker.tables import ProbeState, ProbeTrouble

ENDPOINTS = 1_000
EVERY = 60
BODY = json.dumps({"status": "ok", "version": "1"}).encode()
HEAD = f"HTTP/1.1 200 OK\r\nContent-Length: {len(BODY)}\r\nConnection: close\r\n\r\n".encode()


def measure(folder: Path, rounds: int) -> None:
    """Each round is a minute; the servers are a process of their own, and do not count."""
    with _served() as (http, cable):
        database = Database(f"sqlite:///{folder / 'control.sqlite'}")
        Table.metadata.create_all(database.engine)
        keyring = Keyring(Fernet.generate_key().decode())
        wanted = [_http(http), _websocket(cable)]
        prober = Prober(Site(database, {}, None), keyring, wanted)
        cost = [_minute(prober) for _ in range(rounds)]
        with database.transaction() as session:
            took = session.scalars(select(ProbeState.took_ms)).all()
            ill = session.scalars(select(ProbeTrouble.check)).all()
        database.close()
    print(
        f"{ENDPOINTS:,} HTTP and {ENDPOINTS:,} WebSocket probes a minute "
        f"{told(cost, '% of a core')}: under 20 % is wanted"
    )
    looks = " and ".join(f"{each / 1000:.1f} s" for each in took if each is not None)
    print(f"  a look took {looks}; found ill, though none is: {dict(Counter(ill)) or 'none'}")


def _minute(prober: Prober) -> float:
    process, began = psutil.Process(), time.monotonic()
    before = sum(process.cpu_times()[:2])
    while time.monotonic() < began + EVERY:
        prober.begin_due()
        time.sleep(TICK_SECONDS)
    return 100 * (sum(process.cpu_times()[:2]) - before) / (time.monotonic() - began)


def _http(port: int) -> Probe:
    url = f"http://127.0.0.1:{port}/health"
    named = [{"name": f"e{number}", "url": url, "body": "health"} for number in range(ENDPOINTS)]
    return _probe("http", HttpOptions.model_validate({"endpoints": named}))


def _websocket(port: int) -> Probe:
    url = f"ws://127.0.0.1:{port}/cable"
    named = [{"name": f"k{number}", "url": url, "store": "1"} for number in range(ENDPOINTS)]
    options = {"endpoints": named, "send": "are you there?"}
    return _probe("websocket", WebSocketOptions.model_validate(options))


def _probe(kind: str, options: ProbeOptions) -> Probe:
    times = {"every": f"{EVERY}s", "within": "50s"}
    document = {"name": kind, "kind": kind, "description": "", "options": options, **times}
    return Probe.model_validate(document)


@contextmanager
def _served() -> Iterator[tuple[int, int]]:
    context = get_context("spawn")
    ports: Queue[tuple[int, int]] = context.Queue()
    process = context.Process(target=_serve, args=(ports,), daemon=True)
    process.start()
    try:
        yield ports.get(timeout=30)
    finally:
        process.terminate()
        process.join()


def _serve(ports: "Queue[tuple[int, int]]") -> None:
    asyncio.run(_answer(ports))


async def _answer(ports: "Queue[tuple[int, int]]") -> None:
    http = await asyncio.start_server(_health, "127.0.0.1", 0)
    async with serve(_echo, "127.0.0.1", 0, compression=None) as cable:
        ports.put((http.sockets[0].getsockname()[1], next(iter(cable.sockets)).getsockname()[1]))
        await http.serve_forever()


async def _health(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(HEAD + BODY)
    await writer.drain()
    writer.close()


async def _echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)
