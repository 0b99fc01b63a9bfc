"""Errors to Sentry, when a DSN is set."""

from typing import Any, Literal

from worker.settings import Settings

_on: list[bool] = []
"""Not empty once this process reports."""


def start(settings: Settings, process: str) -> None:
    """Report errors of this process (`scheduler`, `worker`, …) if `SENTRY_DSN` is set.

    Call it after `logs.configure`, whose hooks it wraps.
    """
    _on.clear()
    if settings.sentry_dsn is None:
        return
    from worker import sentry_client  # noqa: PLC0415 - 4 MiB of a worker that has no DSN

    dsn = settings.sentry_dsn.get_secret_value()
    sentry_client.connect(dsn, settings.env, settings.revision, process)
    _on.append(True)


def is_on() -> bool:
    return bool(_on)


def check_in(
    monitor: str,
    name: str,
    status: Literal["in_progress", "ok", "error"],
    config: dict[str, Any] | None,
) -> None:
    """Tell a cron monitor how the execution called `name`, 32 hexadecimal digits, stands."""
    from worker import sentry_client  # noqa: PLC0415 - as above

    sentry_client.check_in(monitor, name, status, config)
