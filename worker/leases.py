"""A lease kept by a thread, while whoever holds it is busy with something long."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial

import structlog

from policies.errors import TendError
from worker.claims import LEASE
from worker.errors import ClaimLost
from worker.logs import safe_text

log = structlog.get_logger()


@contextmanager
def kept(run_id: int, renew: Callable[[], None]) -> Iterator[None]:
    """Call `renew` while the block runs; one that was lost shows itself when its work is stored."""
    done = threading.Event()

    def keep() -> None:
        while not done.wait(LEASE.total_seconds() / 3):
            try:
                renew()
            except ClaimLost:
                return
            except TendError as error:
                log.warning("lease not renewed", run=run_id, why=safe_text(error))

    bound = partial(copy_context().run, keep)  # its log lines name the run's policy, too
    thread = threading.Thread(target=bound, name=f"lease of r-{run_id}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
