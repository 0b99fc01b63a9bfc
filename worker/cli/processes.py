"""The long-running processes, and the migration that goes before them."""

from contextlib import closing
from functools import partial
from typing import Annotated

import typer

from worker import bootstrap, logs, queue, reconciler, sentry, supervise
from worker import migrate as migrations
from worker import scheduler as scheduling
from worker.alerts.telling import Place, tell
from worker.audit import keeping, nightly
from worker.chores import Chore
from worker.cli import context, options, output
from worker.cli.output import heading
from worker.database import Database
from worker.errors import DatabaseUnreachable
from worker.keys import Keyring
from worker.notices import delivery
from worker.notices.channels import channels_of
from worker.settings import Settings
from worker.targets.kinds import served


def migrate(as_json: options.Json = False) -> None:
    """Bring the control database to this version of Tend; does nothing if it is there."""
    settings = context.load_settings()
    with closing(Database(context.as_owner(settings).need("database_url"))) as database:
        try:
            applied = migrations.upgrade(database)
        except OSError as error:
            raise DatabaseUnreachable(
                f"The folder of the control database cannot be made ({error.strerror}); check "
                "TEND_DATABASE_URL."
            ) from error
    if as_json:
        output.print_json({"applied": applied})
        return
    out = output.console()
    heading(out, settings.env, "migrated" if applied else "nothing to migrate")
    for revision in applied:
        out.print(f"  {revision}")


def scheduler(as_json: options.Json = False) -> None:  # noqa: ARG001 - `main` reports by it
    """Run the process that fires policies and rings the workers, until SIGTERM.

    Any number of them may run at once.
    """
    settings = Settings.load()
    logs.configure(settings)
    sentry.start(settings, "scheduler")
    policies = served(settings, [loaded.policy for loaded in context.load_policies(settings)])
    broker = queue.connect(settings.need("redis_url"))
    channels, keyring = channels_of(settings), Keyring.from_settings(settings)
    place = Place(settings.env, settings.console_url)
    with closing(bootstrap.open_database(settings)) as database:
        keeping.require_anchored(settings, database)
        send = partial(delivery.deliver, database, keyring, channels, settings.env)
        notifying = Chore("notices", send, delivery.SECONDS)
        telling_alerts = Chore("alerts", partial(tell, database, keyring, place), delivery.SECONDS)
        scheduling.run(
            database,
            policies,
            settings.env,
            ring=partial(queue.ring, broker),
            reconcile=partial(reconciler.reconcile, database),
            chores=[
                *keeping.chores(settings, database),
                *nightly.chores(settings, database),
                notifying,
                telling_alerts,
            ],
        )


def worker(
    processes: Annotated[int, typer.Option("--processes", min=1)] = 2,
    threads: Annotated[int, typer.Option("--threads", min=1, help="In each process.")] = 4,
    as_json: options.Json = False,  # noqa: ARG001 - `main` reports by it
) -> None:
    """Run worker processes until SIGTERM; a batch that runs then is finished first."""
    settings = Settings.load()
    settings.need("redis_url")
    context.need_target(settings)
    with closing(bootstrap.open_database(settings)) as database:
        keeping.require_anchored(settings, database)
    raise typer.Exit(supervise.supervise(processes, threads))
