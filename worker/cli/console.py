"""`tend console`: the process that answers over HTTP."""

import logging
from contextlib import closing
from typing import Annotated

import typer

from worker import logs, sentry
from worker.cli import context, options
from worker.console.installation import Installation
from worker.console.readiness import Readiness
from worker.console.server import Server
from worker.database import Database


def console(
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="0: any free one.")] = 8080,
    as_json: options.Json = False,  # noqa: ARG001 - `main` reports by it
) -> None:
    """Run the process that answers over HTTP, until SIGTERM: pages, API and health.

    It runs without a control database too, and then says that it is not ready.
    """
    settings = context.SETTINGS.get()
    logs.configure(settings)
    sentry.start(settings, "console")
    logging.getLogger("alembic").setLevel(logging.WARNING)  # INFO has two lines for each probe
    with closing(Database(settings.need("database_url"), settings.revision)) as database:
        Server(host, port, Installation(settings, database, Readiness(database))).serve_until_told()
