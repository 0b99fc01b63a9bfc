"""`tend worker`: the processes that do the work."""

from contextlib import closing
from typing import Annotated

import typer

from worker import bootstrap, supervise
from worker.audit import keeping
from worker.cli import context, options


def worker(
    processes: Annotated[int, typer.Option("--processes", min=1)] = 2,
    threads: Annotated[int, typer.Option("--threads", min=1, help="In each process.")] = 4,
    as_json: options.Json = False,  # noqa: ARG001 - `main` reports by it
) -> None:
    """Run worker processes until SIGTERM; a batch that runs then is finished first."""
    settings = context.SETTINGS.get()
    settings.need("redis_url")
    context.need_target(settings)
    with closing(bootstrap.open_database(settings)) as database:
        keeping.require_anchored(settings, database)
    raise typer.Exit(supervise.supervise(processes, threads))
