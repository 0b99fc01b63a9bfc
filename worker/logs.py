"""Logs on standard error, JSON or console, with nothing in them that must not leave the process.

Drivers write documents and parameters into their errors, so no error's own text is logged
unless the error is one of ours.
"""

import errno
import logging
import re
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from datetime import date
from types import TracebackType
from typing import Any, TextIO

import structlog
from pymongo.errors import OperationFailure
from sqlalchemy.exc import DBAPIError
from structlog.typing import EventDict, Processor, WrappedLogger

from policies.errors import TendError
from worker.masking import EMAIL
from worker.settings import Settings

_SECRET_NAME = re.compile(
    r"(?i:passw|passphrase|secret|token|dsn|credential|authorization|cookie)"
    r"|(?:^|[_-])(?i:keys?)$|Keys?$"
)
_SECRET_TEXT = (
    (re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]{0,30}://)[^\s\"'<>]{0,2000}@"), r"\1[redacted]@"),
    (re.compile(r"(?i)\b(bearer)\s+[\w.~+/=-]+"), r"\1 [redacted]"),
    (
        re.compile(
            r"(?i)\b(\w{0,40}(?:password|passwd|secret|token|dsn|api_?key)[\"']?\s*[=:]\s*[\"']?)"
            r"(?!\[redacted\])[^\s\"'&,;}]+"
        ),
        r"\1[redacted]",
    ),
    (re.compile(r"\btend_\d{1,18}_[0-9a-f]{64}\b"), "[redacted]"),
    (EMAIL, "[redacted]"),
)
_LAST_FRAMES = 50
_DRIVERS = ("pymongo", "sqlalchemy", "alembic", "httpx", "websockets")
"""Below WARNING these log values or whole addresses, or noise."""


def configure(settings: Settings) -> None:
    """Send every log line of this process, ours and the libraries', through redaction."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, _to_stdlib],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = _StandardError()
    handler.setFormatter(
        _Formatter(
            processors=[_error_without_values, _redact, *_renderers(settings)],
            foreign_pre_chain=shared,
            keep_exc_info=True,
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    for driver in _DRIVERS:
        logging.getLogger(driver).setLevel(logging.WARNING)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread


def safe_text(error: BaseException) -> str:
    """What may be told of an error: our own sentence, or its class and the driver's codes."""
    if isinstance(error, TendError):
        return redact_text(str(error))
    codes = " ".join(_codes(error))
    return f"{type(error).__name__} ({codes})" if codes else type(error).__name__


def redact_text(text: str) -> str:
    """`text` without credentials, bearer tokens and e-mail addresses."""
    for pattern, replacement in _SECRET_TEXT:
        text = pattern.sub(replacement, text)
    return text


def redact(value: Any, name: str = "") -> Any:  # noqa: PLR0911 - one line for each kind of value
    """`value` of a key called `name` as it may be logged, in types that JSON knows."""
    match value:
        case None | bool() | int() | float():
            return value
        case _ if _SECRET_NAME.search(name):
            return "[redacted]"
        case str():
            return redact_text(value)
        case BaseException():
            return safe_text(value)
        case bytes() | bytearray():
            return f"<{len(value)} bytes>"
        case Mapping():
            return {redact_text(str(key)): redact(item, str(key)) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [redact(item) for item in value]
        case date():
            return value.isoformat()
        case _:
            return redact_text(str(value))


def _codes(error: BaseException) -> Iterator[str]:
    match error:
        case OperationFailure():
            details = error.details or {}
            parts = [details, *details.get("writeErrors", [])]
            known = [error.code, *(part.get("code") for part in parts)]
            yield from dict.fromkeys(str(code) for code in known if isinstance(code, int))
            name = details.get("codeName")
            if isinstance(name, str) and name.isidentifier():
                yield name
        case DBAPIError():
            for attribute in ("sqlstate", "sqlite_errorname"):
                code = getattr(error.orig, attribute, None)
                if isinstance(code, str):
                    yield code
        case OSError(errno=int(number)) if number in errno.errorcode:
            yield errno.errorcode[number]


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to whatever standard error is now: dramatiq replaces it in its workers."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Say which line was lost; logging itself would print the record's arguments."""
        problem = sys.exc_info()[1]
        lost = f"lost a log line of {record.name}: {type(problem).__name__}\n"
        try:
            sys.stderr.write(lost)
        except (OSError, ValueError):
            return  # standard error is gone, and there is nobody left to tell


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """Libraries pass errors as arguments of their messages; those lose their values first."""

    def format(self, record: logging.LogRecord) -> str:
        record = logging.makeLogRecord(record.__dict__)
        match record.args:
            case tuple():
                record.args = tuple(map(_told, record.args))
            case Mapping():
                record.args = {key: _told(value) for key, value in record.args.items()}
        return super().format(record)


def _told(argument: object) -> object:
    return safe_text(argument) if isinstance(argument, BaseException) else argument


def _to_stdlib(
    logger: WrappedLogger, name: str, event: EventDict
) -> tuple[tuple[EventDict], dict[str, Any]]:
    """Hand `exc_info` to logging itself, so that our lines and the libraries' carry it alike."""
    exc_info = event.pop("exc_info", None)
    args, kwargs = structlog.stdlib.ProcessorFormatter.wrap_for_formatter(logger, name, event)
    return args, {**kwargs, "exc_info": exc_info}


def _error_without_values(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    record: logging.LogRecord = event["_record"]
    error = record.exc_info[1] if record.exc_info else None
    record.exc_info = record.exc_text = None
    event.pop("exc_info", None)
    if error is not None:
        event["exception"] = [
            {
                "type": type(cause).__name__,
                "message": safe_text(cause),
                "frames": _frames(cause.__traceback__),
            }
            for cause in causes(error)
        ]
    return structlog.stdlib.ProcessorFormatter.remove_processors_meta(_logger, _name, event)


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error, what caused it, what caused that."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)


def _frames(trace: TracebackType | None) -> list[str]:
    return [
        f"{frame.f_code.co_filename}:{line}:{frame.f_code.co_name}"
        for frame, line in traceback.walk_tb(trace)
    ][-_LAST_FRAMES:]


def _redact(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    return {key: redact(value, key) for key, value in event.items()}


def _renderers(settings: Settings) -> list[Processor]:
    if settings.log == "json":
        return [structlog.processors.JSONRenderer(ensure_ascii=False)]
    return [
        _exception_as_lines,
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        ),
    ]


def _exception_as_lines(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    if isinstance(event.get("exception"), list):
        event["exception"] = "\ncaused by ".join(
            "\n  ".join([f"{error['type']}: {error['message']}", *error["frames"]])
            for error in event["exception"]
        )
    return event


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger("tend").critical("uncaught_error", exc_info=(kind, error, trace))


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
        _uncaught(args.exc_type, args.exc_value, args.exc_traceback)
