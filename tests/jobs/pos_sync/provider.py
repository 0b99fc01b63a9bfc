"""An HTTP server on a real socket that answers well, badly, late, half or not at all."""

import json
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

PAYLOADS = Path(__file__).parents[3].parent / "shared" / "data" / "pos"


def payload(name: str) -> bytes:
    """A file of `../shared/data/pos`, such as `synthetic/truncated_200.json`."""
    return (PAYLOADS / name).read_bytes()


@dataclass(frozen=True)
class Asked:
    """One request as the server saw it."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode()))


@dataclass(frozen=True)
class Answer:
    """What goes out: a whole answer, or one that goes wrong on the way."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    declared: int | None = None
    """The length that the header claims, if it lies."""
    reset: bool = False
    """The connection is reset instead of closed."""
    drip: bool = False
    """A byte at a time, for as long as somebody listens."""
    hang: bool = False
    """Nothing comes."""


def said(document: Any, status: int = 200, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, json.dumps(document).encode(), named)


def file(name: str, status: int = 200, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, payload(name), named)


class Provider:
    """Answers come from `script` while it lasts, then from `route`."""

    def __init__(self, server: ThreadingTCPServer) -> None:
        self.port: int = server.server_address[1]
        self.script: deque[Answer] = deque()
        self.route: Callable[[Asked], Answer] = lambda _asked: Answer(404)
        self.asked: list[Asked] = []
        self.ended = threading.Event()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    def answer(self, asked: Asked) -> Answer:
        with self._lock:
            self.asked.append(asked)
            if self.script:
                return self.script.popleft()
        return self.route(asked)


@contextmanager
def provider() -> Iterator[Provider]:
    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                while (asked := _read(self)) is not None:
                    if not _play(self, playing.answer(asked), playing.ended):
                        return

    class Server(ThreadingTCPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, *_: object) -> None:
            """A client that hangs up is part of the play."""

    with Server(("127.0.0.1", 0), Handler) as server:
        playing = Provider(server)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield playing
        finally:
            playing.ended.set()
            server.shutdown()
            thread.join()


@contextmanager
def deaf() -> Iterator[str]:
    """`host:port` of a server whose queue is full: connections are neither taken nor refused."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            with suppress(BlockingIOError):
                one.connect(listener.getsockname())
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        for one in waiting:
            one.close()


def _read(handler: StreamRequestHandler) -> Asked | None:
    first = handler.rfile.readline().decode()
    if not first:
        return None
    method, target, _ = first.split(" ", 2)
    headers: dict[str, str] = {}
    while line := handler.rfile.readline().decode().strip():
        name, _, value = line.partition(":")
        headers[name.casefold()] = value.strip()
    body = handler.rfile.read(int(headers.get("content-length", "0")))
    parts = urlsplit(target)
    return Asked(method, parts.path, dict(parse_qsl(parts.query)), headers, body)


def _play(handler: StreamRequestHandler, answer: Answer, ended: threading.Event) -> bool:
    """Send it; whether the connection is still good for another."""
    if answer.hang:
        ended.wait(60)
        return False
    length = len(answer.body) if answer.declared is None else answer.declared
    head = f"HTTP/1.1 {answer.status} Said\r\ncontent-length: {length}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items()) + "\r\n"
    whole = head.encode() + answer.body
    if answer.drip:
        while not ended.wait(0.02):
            handler.wfile.write(b"x" if not whole else whole[:1])
            whole = whole[1:]
        return False
    handler.wfile.write(whole)
    handler.wfile.flush()
    if answer.reset:
        linger = struct.pack("ii", 1, 0)
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        handler.connection.close()
    return answer.declared is None and not answer.reset
