"""The process: uvicorn on a socket that is taken at the start, until SIGTERM."""

import os
import signal
import socket
import threading
import time

import structlog
import uvicorn

from policies.errors import TendError
from worker.console.app import create_app
from worker.console.installation import Installation
from worker.console.protocol import Protocol

GRACE_SECONDS = 3
"""For answers that are under way when the process must stop."""
GOODBYE_SECONDS = 4
"""After these: Python waits for ever for a thread whose request hangs."""

log = structlog.get_logger()


class CannotListen(TendError):
    """The address cannot be listened on."""

    code = "cannot_listen"


class Server:
    """Listens from the start; raises `CannotListen` if it cannot."""

    def __init__(self, host: str, port: int, installation: Installation) -> None:
        self._socket = listen(host, port)
        self.host, self.port = self._socket.getsockname()[:2]
        self._installation = installation
        self._uvicorn = uvicorn.Server(
            uvicorn.Config(
                create_app(installation),
                http=Protocol,
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )

    def serve(self) -> None:
        """Answer requests until `stop`; from any thread."""
        self._uvicorn.run([self._socket])

    def stop(self) -> None:
        self._installation.stopping.set()
        self._uvicorn.should_exit = True

    def serve_until_told(self) -> None:
        """Answer requests until SIGTERM or SIGINT, and end the process soon after."""
        told = {signal.SIGTERM, signal.SIGINT}
        signal.pthread_sigmask(signal.SIG_BLOCK, told)  # before the threads, which inherit it
        thread = threading.Thread(target=self.serve, name="console", daemon=True)
        thread.start()
        log.info("console listens", host=self.host, port=self.port)
        signal.sigwait(told)
        log.info("console stops")
        threading.Thread(target=_end_anyway, name="end", daemon=True).start()
        self.stop()
        thread.join()


def _end_anyway() -> None:
    """It was asked for, so the process ends as if nothing hung."""
    time.sleep(GRACE_SECONDS + GOODBYE_SECONDS)  # the process ends meanwhile if nothing hangs
    log.warning("console ends though a request hangs")
    os._exit(0)


def listen(host: str, port: int) -> socket.socket:
    """Raises `CannotListen`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else error.strerror
        raise CannotListen(
            f"The console cannot listen on {host}:{port} ({why}); choose others with "
            "--host and --port."
        ) from error
    # Connections inherit it. Without, what follows an answer's head waits 40 ms for the browser to
    # say that it has the head; asyncio sets it only for sockets that were made with a protocol.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening
