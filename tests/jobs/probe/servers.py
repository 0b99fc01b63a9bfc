"""Servers that can be made ill: each answers as it is told, until it is told otherwise."""

import asyncio
import datetime as dt
import ipaddress
import json
import ssl
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.asyncio.server import ServerConnection, serve

HEALTHY = {"status": "ok", "version": "1"}


@contextmanager
def _loop() -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """A thread with a loop in it, and the way to run something there."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield lambda work: asyncio.run_coroutine_threadsafe(work, loop).result(30)
    finally:
        asyncio.run_coroutine_threadsafe(_end_all(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


async def _end_all() -> None:
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@dataclass
class Endpoint:
    """An HTTP server with one answer for everything."""

    port: int = 0
    scheme: str = "http"
    status: int = 200
    body: bytes = field(default_factory=lambda: json.dumps(HEALTHY).encode())
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    asked: int = 0

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/health"

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            self.asked += 1
            await asyncio.sleep(self.seconds)
            head = {**self.headers, "Content-Length": str(len(self.body)), "Connection": "close"}
            lines = [f"HTTP/1.1 {self.status} Told", *(f"{k}: {v}" for k, v in head.items())]
            writer.write("\r\n".join([*lines, "", ""]).encode() + self.body)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@contextmanager
def endpoint(certificate: Path | None = None) -> Iterator[Endpoint]:
    found = Endpoint(scheme="https" if certificate else "http")
    secured = None
    if certificate is not None:
        secured = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        secured.load_cert_chain(certificate)
    with _loop() as run:

        async def begin() -> asyncio.Server:
            return await asyncio.start_server(found.answer, "127.0.0.1", 0, ssl=secured)

        async def end() -> None:
            server.close()  # in the loop's own thread, for a connection may end in this moment

        server = run(begin())
        found.port = server.sockets[0].getsockname()[1]
        yield found
        run(end())


def certificate(folder: Path, days: float) -> Path:
    """A certificate for 127.0.0.1 that ends in so many days, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"for {days} days")])
    ends = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ends - dt.timedelta(days=90))
        .not_valid_after(ends)
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"certificate-{days}.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(built.public_bytes(serialization.Encoding.PEM) + secret)
    return path


Speak = Callable[[ServerConnection], Awaitable[None]]


@dataclass
class Channel:
    """A WebSocket server that speaks as it is told."""

    speak: Speak
    port: int = 0

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/cable"


@contextmanager
def channel(speak: Speak, *, subprotocol: str | None = None) -> Iterator[Channel]:
    found = Channel(speak)
    spoken: Any = [subprotocol] if subprotocol else None

    async def answer(connection: ServerConnection) -> None:
        await found.speak(connection)

    with _loop() as run:

        async def begin() -> Any:
            return await serve(answer, "127.0.0.1", 0, subprotocols=spoken, ping_interval=None)

        server = run(begin())
        found.port = next(iter(server.sockets)).getsockname()[1]
        yield found

        async def end() -> None:
            server.close()

        run(end())


async def echo(connection: ServerConnection) -> None:
    """Sends back what it gets."""
    async for message in connection:
        await connection.send(message)


async def silent(connection: ServerConnection) -> None:
    """Accepts, and never speaks."""
    await connection.wait_closed()


async def drop(connection: ServerConnection) -> None:
    """Accepts, and closes with an error."""
    await connection.close(1011, "something went wrong")


async def cable(connection: ServerConnection) -> None:
    """ActionCable as Rails speaks it, with a channel whose `echo` sends back what it gets."""
    await connection.send(json.dumps({"type": "welcome"}))
    async for text in connection:
        asked = json.loads(text)
        named = asked["identifier"]
        if asked["command"] == "subscribe":
            known = json.loads(named)["channel"] == "KioskChannel"
            kind = "confirm_subscription" if known else "reject_subscription"
            await connection.send(json.dumps({"type": kind, "identifier": named}))
            await connection.send(json.dumps({"type": "ping", "message": 1}))
        elif json.loads(asked["data"])["action"] == "echo":
            answer = {"identifier": named, "message": json.loads(asked["data"])}
            await connection.send(json.dumps(answer))
