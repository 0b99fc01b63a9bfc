"""What Sentry is told of an error: where it happened and what it is, without values.

Sentry's integrations for redis, pymongo, SQLAlchemy, dramatiq and HTTP record statements,
messages and addresses as breadcrumbs, and `argv` a person's words: only those listed run.
"""

import logging
from itertools import zip_longest
from typing import Any, cast

import sentry_sdk
from sentry_sdk.crons import capture_checkin
from sentry_sdk.integrations.atexit import AtexitIntegration
from sentry_sdk.integrations.dedupe import DedupeIntegration
from sentry_sdk.integrations.excepthook import ExcepthookIntegration
from sentry_sdk.integrations.logging import LoggingIntegration
from sentry_sdk.integrations.threading import ThreadingIntegration
from sentry_sdk.types import Breadcrumb, BreadcrumbHint, Event, Hint, MonitorConfig

from worker.logs import causes, redact, redact_text, safe_text

_WHERE = ("environment", "logger", "platform", "release", "sdk", "server_name")
_WHAT = ("breadcrumbs", "contexts", "event_id", "exception", "level", "tags", "timestamp")


def connect(dsn: str, environment: str, release: str | None, process: str) -> None:
    """Report errors of this process from now on."""
    sentry_sdk.init(
        dsn=dsn,
        environment=environment,
        release=release,
        include_local_variables=False,
        max_breadcrumbs=20,
        auto_session_tracking=False,
        before_send=_scrub_event,
        before_breadcrumb=_scrub_breadcrumb,
        default_integrations=False,
        integrations=[
            AtexitIntegration(callback=lambda _pending, _timeout: None),
            DedupeIntegration(),
            ExcepthookIntegration(),
            LoggingIntegration(sentry_logs_level=None),
            ThreadingIntegration(),
        ],
    )
    sentry_sdk.get_global_scope().set_tag("process", process)


def check_in(monitor: str, name: str, status: str, config: dict[str, Any] | None) -> None:
    """Tell a cron monitor how one execution stands; what it says is all ours."""
    capture_checkin(
        monitor_slug=monitor,
        check_in_id=name,
        status=status,
        monitor_config=cast(MonitorConfig, config),
    )


def _scrub_event(event: Event, hint: Hint) -> Event | None:
    """The parts that say what and where; parts that may hold values are left behind."""
    if event.get("type") == "check_in":
        return event
    kept: dict[str, Any] = {key: value for key, value in event.items() if key in _WHERE + _WHAT}
    if "log_record" in hint:
        kept["logentry"] = {"message": _words(hint["log_record"])}
    for part in ("tags", "contexts"):
        kept[part] = redact(kept.get(part) or {})
    error = hint["exc_info"][1] if hint.get("exc_info") else None
    innermost_first = [] if error is None else [*causes(error)][::-1]
    values = kept.get("exception", {}).get("values", [])
    for shown, cause in zip_longest(values, innermost_first[: len(values)]):
        same = type(cause).__name__ == shown.get("type")
        shown["value"] = safe_text(cause) if same else ""
        mechanism = shown.get("mechanism") or {}
        shown["mechanism"] = {key: mechanism.get(key) for key in ("type", "handled")}
    return kept  # type: ignore[return-value] # a part of an event is an event


def _scrub_breadcrumb(crumb: Breadcrumb, hint: BreadcrumbHint) -> Breadcrumb | None:
    if "log_record" not in hint:
        return None
    kept = {key: crumb.get(key) for key in ("type", "level", "category", "timestamp")}
    return kept | {"message": _words(hint["log_record"])}


def _words(record: logging.LogRecord) -> str:
    """A log line's constant words, before any value was put into them."""
    words = record.msg.get("event", "") if isinstance(record.msg, dict) else record.msg
    return redact_text(words) if isinstance(words, str) else type(words).__name__
