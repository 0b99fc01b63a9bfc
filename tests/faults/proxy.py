"""A TCP proxy that loses a request, or the reply to it, when a word passes by, or is slow."""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

What = Literal["request", "reply"]
_RESET = struct.pack("ii", 1, 0)


@dataclass
class Loss:
    """What is lost, how often, and whether the connection stays open, as if nothing were wrong."""

    word: bytes
    what: What
    times: int
    silent: bool
    happened: int = 0

    def befalls(self, request: bytes) -> bool:
        if self.happened == self.times or self.word not in request:
            return False
        self.happened += 1
        return True


@dataclass
class Proxy:
    """Listens on `port` of the loopback interface and forwards to another one."""

    upstream: int
    listener: socket.socket
    loss: Loss | None = None
    delay: float = 0.0
    """Seconds by which each request is late."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def lose(self, what: What, word: bytes, *, times: int = 1, silent: bool = False) -> Loss:
        """From now on lose this, so often."""
        self.loss = Loss(word, what, times, silent)
        return self.loss

    def accept(self) -> None:
        with suppress(OSError):  # the listener is closed
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.upstream))
                _Pair(self, client, server).start()

    def lost(self, request: bytes) -> Loss | None:
        with self._lock:
            return self.loss if self.loss is not None and self.loss.befalls(request) else None


@dataclass
class _Pair:
    """One client's connection and the one that carries it on."""

    proxy: Proxy
    client: socket.socket
    server: socket.socket
    losing: Loss | None = None

    def start(self) -> None:
        for pump in (self.requests, self.replies):
            threading.Thread(target=pump, daemon=True).start()

    def requests(self) -> None:
        with suppress(OSError):
            while request := self.client.recv(65536):
                time.sleep(self.proxy.delay)  # the fault itself
                loss = self.losing or self.proxy.lost(request)
                if loss is not None and loss.what == "request":
                    self.end(loss)
                    continue
                self.losing = loss
                self.server.sendall(request)
        self.close()

    def replies(self) -> None:
        with suppress(OSError):
            while reply := self.server.recv(65536):
                if self.losing is not None:
                    self.end(self.losing)
                    continue
                self.client.sendall(reply)
        self.close()

    def end(self, loss: Loss) -> None:
        self.losing = loss
        if not loss.silent:
            self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.close()

    def close(self) -> None:
        for end in (self.client, self.server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads it
            end.close()


@contextmanager
def proxy(upstream: int) -> Iterator[Proxy]:
    """A proxy before a port of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = Proxy(upstream, listener)
        threading.Thread(target=found.accept, daemon=True).start()
        yield found
