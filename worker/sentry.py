"""Errors to Sentry, when a DSN is set."""

from worker.settings import Settings


def start(settings: Settings, process: str) -> None:
    """Report errors of this process (`scheduler`, `worker`, …) if `SENTRY_DSN` is set.

    Call it after `logs.configure`, whose hooks it wraps.
    """
    if settings.sentry_dsn is None:
        return
    from worker import sentry_client  # noqa: PLC0415 - 4 MiB of a worker that has no DSN

    dsn = settings.sentry_dsn.get_secret_value()
    sentry_client.connect(dsn, settings.env, settings.revision, process)
