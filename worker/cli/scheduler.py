"""`tend scheduler`: the process that fires policies and sends what is owed."""

from contextlib import closing
from functools import partial

from worker import bootstrap, logs, queue, reconciler, sentry, vault
from worker import scheduler as scheduling
from worker.alerts import watch
from worker.alerts.telling import Place, tell
from worker.audit import keeping
from worker.chores import Chore
from worker.cli import context, options
from worker.keys import Keyring
from worker.metrics import listener
from worker.notices import delivery
from worker.notices.channels import channels_of
from worker.targets.kinds import served


def scheduler(as_json: options.Json = False) -> None:  # noqa: ARG001 - `main` reports by it
    """Run the process that fires policies and rings the workers, until SIGTERM.

    Any number of them may run at once.
    """
    settings = context.SETTINGS.get()
    logs.configure(settings)
    sentry.start(settings, "scheduler")
    policies = served(settings, [loaded.policy for loaded in context.load_policies(settings)])
    broker = queue.connect(settings.need("redis_url"))
    channels, keyring = channels_of(settings), Keyring.from_settings(settings)
    place = Place(settings.env, settings.console_url)
    with closing(bootstrap.open_database(settings)) as database:
        keeping.require_anchored(settings, database)
        vault.renew(database, keyring)
        send = partial(delivery.deliver, database, keyring, channels, settings.env)
        notifying = Chore("notices", send, delivery.SECONDS)
        telling_alerts = Chore("alerts", partial(tell, database, keyring, place), delivery.SECONDS)
        watching = watch.of_schedulers(settings, database, keyring, policies)
        scheduling.run(
            database,
            policies,
            settings.env,
            ring=partial(queue.ring, broker),
            reconcile=partial(reconciler.reconcile, database),
            chores=[
                *keeping.chores(settings, database),
                notifying,
                telling_alerts,
                watching,
                *listener.chores(settings, database, "scheduler"),
            ],
        )
