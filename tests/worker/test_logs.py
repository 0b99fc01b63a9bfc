import json
import logging
import re
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dramatiq
import pytest
import sentry_sdk
import structlog
from apscheduler.events import EVENT_JOB_ERROR
from apscheduler.schedulers.background import BackgroundScheduler
from bson import ObjectId
from dramatiq.brokers.stub import StubBroker
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport
from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from worker import sentry
from worker.errors import TargetUnreachable
from worker.logs import configure, redact, redact_text, safe_text
from worker.settings import Settings

PERSON = "ada@example.com"
VALUE = "Lovelace-4711"
Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    hooks = sys.excepthook, threading.excepthook
    configuration = structlog.get_config()
    root.handlers[:] = []  # configure() closes what it finds, and these belong to pytest
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    sys.excepthook, threading.excepthook = hooks
    structlog.configure(**configuration)


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Lines:
    """Configures JSON logs; returns what was logged so far, having looked for leaks in it."""
    configure(Settings(log="json"))

    def read() -> list[dict[str, Any]]:
        captured = capsys.readouterr()
        assert PERSON not in captured.err
        assert VALUE not in captured.err
        assert captured.out == ""
        return [json.loads(line) for line in captured.err.splitlines()]

    return read


def sql_error() -> SQLAlchemyError:
    """What SQLite and SQLAlchemy really say: statement and parameters."""
    with create_engine("sqlite://").begin() as connection:
        connection.execute(text("create table users (email text unique)"))
        insert = text("insert into users values (:email)")
        connection.execute(insert, {"email": PERSON})
        try:
            connection.execute(insert, {"email": PERSON})
        except SQLAlchemyError as error:
            return error
    raise AssertionError("the second insert must fail")


def duplicate_key() -> DuplicateKeyError:
    """As mongod 6.0 answers and pymongo raises it."""
    details = {
        "index": 0,
        "code": 11000,
        "errmsg": f'E11000 duplicate key error collection: d.users dup key: {{ e: "{PERSON}" }}',
        "keyPattern": {"email": 1},
        "keyValue": {"email": PERSON},
    }
    return DuplicateKeyError(str(details["errmsg"]), 11000, details)


def bulk_write() -> BulkWriteError:
    failed = {**(duplicate_key().details or {}), "op": {"_id": ObjectId(), "email": PERSON}}
    return BulkWriteError({"writeErrors": [failed], "writeConcernErrors": [], "nInserted": 0})


def command_failure() -> OperationFailure:
    answer = {"ok": 0, "errmsg": f"bad {VALUE}", "code": 50, "codeName": "MaxTimeMSExpired"}
    return OperationFailure(f"bad {VALUE}", 50, answer)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (duplicate_key(), "DuplicateKeyError (11000)"),
        (bulk_write(), "BulkWriteError (65 11000)"),
        (command_failure(), "OperationFailure (50 MaxTimeMSExpired)"),
        (sql_error(), "IntegrityError (SQLITE_CONSTRAINT_UNIQUE)"),
        (FileNotFoundError(2, "No such file", f"/archive/{VALUE}"), "FileNotFoundError (ENOENT)"),
        (ValueError(f"invalid date {VALUE}"), "ValueError"),
        (TargetUnreachable("MongoDB does not answer."), "MongoDB does not answer."),
        (TargetUnreachable(f"{PERSON} is no host."), "[redacted] is no host."),
    ],
)
def test_an_error_is_told_by_its_class_and_codes_unless_it_is_ours(
    error: Exception, told: str
) -> None:
    assert safe_text(error) == told


@pytest.mark.parametrize(
    "given",
    [
        {"event": f"connecting to mongodb://tend:{VALUE}@one,two/ordernimbus"},
        {"event": f"postgresql://tend:{VALUE}@db/tend is slow"},
        {"event": f"redis://:{VALUE}@redis/5"},
        {"event": f"asked by {PERSON}"},
        {"event": f"header was Authorization: Bearer {VALUE}"},
        {"event": f'options were password="{VALUE}"'},
        {"event": "x", "password": VALUE},
        {"event": "x", "accessToken": VALUE},
        {"event": "x", "api_key": VALUE},
        {"event": "x", "SENTRY_DSN": VALUE},
        {"event": "x", "deep": [{"client-secret": VALUE}, (PERSON,), {PERSON: 1}]},
        {"event": "x", "key": {"email": PERSON}},
        {"event": "x", "raw": VALUE.encode()},
        {"event": "x", "error": duplicate_key()},
        {"event": "x", "setting": SecretStr(VALUE)},
    ],
)
def test_what_must_not_leave_the_process_is_not_in_the_line(
    lines: Lines, given: dict[str, Any]
) -> None:
    structlog.get_logger("tend").info(**given)
    (line,) = lines()
    assert line["level"] == "info"


def test_a_line_says_when_in_utc_where_and_what(lines: Lines) -> None:
    with structlog.contextvars.bound_contextvars(run="r-1042"):
        structlog.get_logger("tend.engine").info("batch_applied", keys=500, at=datetime.now(UTC))
    (line,) = lines()
    written = datetime.fromisoformat(line.pop("timestamp"))
    assert written.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - written) < timedelta(minutes=1)
    assert datetime.fromisoformat(line.pop("at")).tzinfo is not None
    assert line == {
        "event": "batch_applied",
        "keys": 500,
        "level": "info",
        "logger": "tend.engine",
        "run": "r-1042",
    }


def test_a_traceback_names_places_and_no_values(lines: Lines) -> None:
    try:
        try:
            raise duplicate_key()
        except DuplicateKeyError as error:
            raise TargetUnreachable("MongoDB does not answer.") from error
    except TargetUnreachable:
        structlog.get_logger("tend").exception("batch_failed")
    (line,) = lines()
    ours, cause = line["exception"]
    assert (ours["type"], ours["message"]) == ("TargetUnreachable", "MongoDB does not answer.")
    assert cause["message"] == "DuplicateKeyError (11000)"
    for frame in ours["frames"] + cause["frames"]:
        assert re.fullmatch(r".+test_logs\.py:\d+:test_a_traceback_names\w+", frame)


def test_lines_of_libraries_lose_their_values_too(lines: Lines) -> None:
    library = logging.getLogger("some.library")
    library.warning("retrying %s for %s", sql_error(), PERSON)
    library.warning("failed: %(error)s", {"error": duplicate_key()})
    try:
        raise sql_error()
    except SQLAlchemyError:
        library.exception("unexpected")
    retrying, failed, unexpected = lines()
    assert retrying["event"] == "retrying IntegrityError (SQLITE_CONSTRAINT_UNIQUE) for [redacted]"
    assert failed["event"] == "failed: DuplicateKeyError (11000)"
    assert unexpected["exception"][0]["message"] == "IntegrityError (SQLITE_CONSTRAINT_UNIQUE)"


def test_drivers_do_not_log_their_statements(lines: Lines) -> None:
    configure(Settings(log="json"))
    sql_error()
    logging.getLogger("pymongo.command").info(VALUE)
    assert lines() == []


def test_what_is_asked_over_http_is_not_logged_with_its_query(lines: Lines) -> None:
    configure(Settings(log="json"))
    logging.getLogger("httpx").info("HTTP Request: GET https://shop.example/health?key=%s", VALUE)
    logging.getLogger("websockets.client").info(VALUE)
    assert lines() == []


def test_a_failing_apscheduler_job_is_logged_without_its_values(lines: Lines) -> None:
    failed = threading.Event()
    scheduler = BackgroundScheduler(timezone=UTC)
    scheduler.add_listener(lambda _event: failed.set(), EVENT_JOB_ERROR)

    def tick() -> None:
        raise sql_error()

    scheduler.add_job(tick)
    scheduler.start()
    assert failed.wait(10)
    scheduler.shutdown()
    assert "SQLITE_CONSTRAINT_UNIQUE" in json.dumps(lines())


def test_a_failing_dramatiq_actor_is_logged_without_its_values(lines: Lines) -> None:
    broker = StubBroker(middleware=[])

    def ring() -> None:
        raise duplicate_key()

    actor = dramatiq.actor(broker=broker)(ring)
    worker = dramatiq.Worker(broker, worker_timeout=10, worker_threads=1)
    actor.send()
    worker.start()
    broker.join(actor.queue_name, fail_fast=False, timeout=10_000)
    worker.stop()
    assert "DuplicateKeyError (11000)" in json.dumps(lines())


def test_an_error_that_nobody_caught_is_logged_without_its_values(lines: Lines) -> None:
    def fail() -> None:
        raise duplicate_key()

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    error = sql_error()
    sys.excepthook(type(error), error, error.__traceback__)
    told = [line["exception"][0]["message"] for line in lines()]
    assert told == ["DuplicateKeyError (11000)", "IntegrityError (SQLITE_CONSTRAINT_UNIQUE)"]


def test_a_line_that_cannot_be_written_does_not_print_its_arguments(
    lines: Lines, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = logging.getLogger()
    ours = [one for one in root.handlers if not type(one).__module__.startswith("_pytest")]
    monkeypatch.setattr(root, "handlers", ours)  # pytest's own raise at such a line
    logging.getLogger("some.library").warning("%d rows", PERSON)
    assert capsys.readouterr().err == "lost a log line of some.library: TypeError\n"
    assert lines() == []


def test_the_console_shows_the_same_error_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Settings(log="console"))
    try:
        raise duplicate_key()
    except DuplicateKeyError:
        structlog.get_logger("tend").exception("batch_failed", run="r-1042")
    written = capsys.readouterr().err
    assert "batch_failed" in written
    assert "r-1042" in written
    assert "\nDuplicateKeyError: DuplicateKeyError (11000)\n  " in written
    assert PERSON not in written


@given(st.from_regex(r"[a-z]{1,8}:[A-Za-z0-9%:@/._~!$&()*+,;=-]{4,40}", fullmatch=True))
def test_no_credentials_survive_in_a_url(credentials: str) -> None:
    written = redact_text(f"cannot reach mongodb://{credentials}@localhost:27017/d, gave up")
    assert written == "cannot reach mongodb://[redacted]@localhost:27017/d, gave up"


@given(
    st.recursive(
        st.none() | st.text() | st.binary() | st.datetimes() | st.uuids() | st.sets(st.integers()),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_redacted_values_are_plain_json(value: Any) -> None:
    json.dumps(redact(value))


class Kept(Transport):
    """Keeps what would have been sent to Sentry."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[str] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        self.sent.append(envelope.serialize().decode())


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch, lines: Lines) -> Iterator[Callable[[], dict[str, Any]]]:
    """Starts Sentry with a transport that keeps; returns the one event, without any leak."""
    monkeypatch.setenv("TEND_REVISION", "4f2c9d1")
    monkeypatch.setattr(sys, "argv", ["tend", "run", "--reason", PERSON])
    with sentry_sdk.isolation_scope():
        sentry.start(
            Settings(env="staging", sentry_dsn=SecretStr("https://key@127.0.0.1/1")), "worker"
        )
        client, kept = sentry_sdk.get_client(), Kept()
        assert client.transport is not None
        client.transport.kill()
        client.transport = kept

        def only_event() -> dict[str, Any]:
            (sent,) = kept.sent
            assert PERSON not in sent
            assert VALUE not in sent
            lines()
            event: dict[str, Any] = json.loads(sent.splitlines()[-1])
            return event

        yield only_event
        client.close()
        sentry_sdk.get_global_scope().set_client(None)


@pytest.mark.parametrize("make", [sql_error, duplicate_key, bulk_write, command_failure])
def test_sentry_gets_an_error_without_values(
    events: Callable[[], dict[str, Any]], make: Callable[[], Exception]
) -> None:
    error = make()

    def batch(document: str) -> None:
        error.add_note(f"while writing {document}")
        raise TargetUnreachable("MongoDB does not answer.") from error

    try:
        batch(f"{PERSON} {VALUE}")
    except TargetUnreachable as raised:
        sentry_sdk.capture_exception(raised)
    event = events()
    *_, cause, ours = event["exception"]["values"]
    assert (cause["value"], ours["value"]) == (safe_text(error), "MongoDB does not answer.")
    assert ours["stacktrace"]["frames"][-1]["function"] == "batch"
    assert (event["environment"], event["release"]) == ("staging", "4f2c9d1")
    assert event["tags"]["process"] == "worker"


def test_sentry_gets_the_words_of_a_log_line_and_not_its_values(
    events: Callable[[], dict[str, Any]],
) -> None:
    structlog.get_logger("tend").info("claimed", email=PERSON)
    logging.getLogger("some.library").warning("retrying %s", PERSON)
    try:
        raise duplicate_key()
    except DuplicateKeyError:
        structlog.get_logger("tend").exception("batch_failed", email=PERSON)
    event = events()
    assert event["logentry"] == {"message": "batch_failed"}
    assert event["exception"]["values"][0]["value"] == "DuplicateKeyError (11000)"
    crumbs = [crumb["message"] for crumb in event["breadcrumbs"]["values"]]
    assert crumbs == ["claimed", "retrying %s"]


def test_sentry_gets_a_librarys_error_line_without_its_arguments(
    events: Callable[[], dict[str, Any]],
) -> None:
    logging.getLogger("some.library").error("cannot handle %s", PERSON, extra={"doc": VALUE})
    assert events()["logentry"] == {"message": "cannot handle %s"}


def test_statements_and_addresses_leave_no_breadcrumb_for_sentry(
    events: Callable[[], dict[str, Any]],
) -> None:
    sql_error()
    sentry_sdk.add_breadcrumb(category="query", message=f"find {PERSON}", data={"value": VALUE})
    sentry_sdk.set_context("run", {"id": "r-1042", "note": PERSON})
    sentry_sdk.set_user({"email": PERSON})
    sentry_sdk.capture_exception(ValueError(VALUE))
    event = events()
    assert event["breadcrumbs"]["values"] == []
    assert event["contexts"]["run"] == {"id": "r-1042", "note": "[redacted]"}
    assert "user" not in event


def test_without_a_dsn_nothing_is_reported() -> None:
    sentry.start(Settings(sentry_dsn=None), "worker")
    assert not sentry_sdk.get_client().is_active()


def test_a_token_is_told_to_nobody() -> None:
    assert (
        redact_text("typed tend_17_" + "0f" * 32 + " by mistake") == "typed [redacted] by mistake"
    )
