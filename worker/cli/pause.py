"""`tend pause`: stop one run at its next batch until somebody resumes it."""

import time
from collections.abc import Callable

from sqlalchemy.orm import Session

from worker import claims, operations
from worker import runs as store
from worker.claims import LEASE
from worker.cli import context, options, output
from worker.cli.runs import document_of, show_run
from worker.database import Database

POLL_SECONDS = 0.1


def pause(
    run: options.RunId,
    reason: options.Reason,
    on_behalf_of: options.OnBehalfOf = None,
    as_json: options.Json = False,
) -> None:
    """Stop a run, or its undo, at the next batch; returns when the batches at work have ended."""
    person = context.person(reason, on_behalf_of)
    run_id = store.parse_id(run)
    with context.control(context.load_settings()) as database:
        operations.pause(database, run_id, person)
        await_batches(database, lambda session: claims.is_at_work(session, run_id))
        document = document_of(database, run_id)
    if as_json:
        output.print_json(document)
    else:
        show_run(output.console(), document)


def await_batches(database: Database, is_at_work: Callable[[Session], bool]) -> None:
    """A batch that had begun commits or fails within its lease."""
    until = time.monotonic() + LEASE.total_seconds()
    while time.monotonic() < until:
        with database.transaction() as session:
            if not is_at_work(session):
                return
        time.sleep(POLL_SECONDS)
