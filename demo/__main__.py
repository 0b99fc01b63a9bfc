"""`make demo`: real servers, real retail data; the scheduler fires, two workers repair."""

import argparse
import os
import signal
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from pydantic import SecretStr
from pymongo import MongoClient
from rich.console import Console
from rich.table import Table
from sqlalchemy import select

import policies
from demo import console as web
from demo import dataset, incidents, kiosk, screenshots
from demo.check import Check, check
from demo.progress import Steps
from demo.servers import mongod, valkey
from demo.tend import CommandFailed, command, process
from policies.errors import TendError
from worker import claims
from worker.archive import ArchiveStore
from worker.database import Database
from worker.keys import Keyring
from worker.settings import Settings
from worker.states import UNFINISHED, State
from worker.tables import Chunk, Run

OVERLAY = Path(__file__).parent / "overlay"
DEADLINE_SECONDS = 900
POLL_SECONDS = 0.5
WAIT = "wait for it or cancel it first"
TAKEN_BACK = "session-cleanup"
PURGE = "sales-retention"


class DemoFailed(TendError):
    """The demonstration did not end as it should."""

    code = "demo_failed"


@dataclass(frozen=True)
class Stage:
    """What is running, and where to look at it."""

    console: Console
    environment: dict[str, str]
    shop: MongoClient[dict[str, Any]]
    control: Database
    folder: Path

    @property
    def kiosks(self) -> Path:
        """The SQL database beside MongoDB."""
        return self.folder / "kiosks.sqlite"


def main() -> int:
    wanted = _wanted()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 116)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with tempfile.TemporaryDirectory(prefix="tend-demo-") as folder:
            return _demonstrate(console, Path(folder), wanted)
    except KeyboardInterrupt:
        console.print("\nStopped; every process it started is gone.")
        return 130
    except TendError as error:
        console.print(str(error), style="red")
        return 1


@dataclass(frozen=True)
class Wanted:
    """What the demonstration was started with."""

    rows: int | None
    """All of them if it is None."""
    screenshots: Path | None


def _wanted() -> Wanted:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--rows", default="200000", help="a number, or all")
    parser.add_argument("--screenshots", type=Path, help="a folder for pictures of the console")
    given = parser.parse_args()
    if given.rows != "all" and (not given.rows.isdigit() or int(given.rows) == 0):
        parser.error(f"ROWS is a number of rows or all, not '{given.rows}'")
    return Wanted(None if given.rows == "all" else int(given.rows), given.screenshots)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _demonstrate(console: Console, folder: Path, wanted: Wanted) -> int:
    with ExitStack() as stack:
        stage = stack.enter_context(_stage(console, folder))
        _load(stage, wanted.rows)
        names = sorted(path.stem for path in OVERLAY.glob("*.yaml"))
        before = _contents(stage, "sessions")
        for name in names:
            command(stage.environment, "enable", name, "--reason", "the demonstration")
        stack.enter_context(_processes(stage))
        opened = stack.enter_context(web.console(stage.environment, folder))
        console.print(f"The console is at {opened.address}; this lets you in, once:")
        console.print(opened.login(), soft_wrap=True)
        console.print("The scheduler fires the policies; two worker processes do the work.\n")
        runs = _follow(stage, names)
        checks = {run.policy: _check(stage, run) for run in runs}
        _print_table(stage, runs, checks)
        _judge(runs, checks)
        _take_back(stage, next(run for run in runs if run.policy == TAKEN_BACK), before)
        if wanted.screenshots is not None:
            planned = incidents.happen(opened.environment, stage.shop.get_default_database())
            purge = next(run for run in runs if run.policy == PURGE)
            screenshots.take(opened, f"r-{purge.id}", planned, wanted.screenshots)
        if sys.stdout.isatty():
            console.print("The console goes on until Ctrl-C; this lets you in once more:")
            console.print(opened.login(), soft_wrap=True)
            signal.pause()
    return 0


def _judge(runs: list[Run], checks: dict[str, Check]) -> None:
    wrong = [
        f"{run.policy} {run.state}: {run.error or run.refusal}"
        for run in runs
        if run.state != State.SUCCEEDED
    ]
    wrong += [
        f"{name}: the check differs" for name, result in checks.items() if not result.is_exact
    ]
    if wrong:
        raise DemoFailed("Not as it should be: " + "; ".join(wrong))


@contextmanager
def _stage(console: Console, folder: Path) -> Iterator[Stage]:
    console.print("Starting MongoDB and Valkey on free loopback ports …")
    with ExitStack() as stack:
        mongo = stack.enter_context(mongod(folder))
        redis = stack.enter_context(valkey(folder))
        shop: MongoClient[dict[str, Any]] = MongoClient(mongo.url("ordernimbus"), tz_aware=True)
        stack.callback(shop.close)
        environment = {
            "TEND_DATABASE_URL": f"sqlite:///{folder}/tend.sqlite",
            "TEND_REDIS_URL": redis.url,
            "TEND_MONGO_URL": mongo.url("ordernimbus"),
            "TEND_SQL_URL": f"sqlite:///{folder}/kiosks.sqlite",
            "TEND_ARCHIVE_URL": f"file://{folder}/archive",
            "TEND_KEYS": Fernet.generate_key().decode(),
            "TEND_AUDIT_KEYS": b64encode(os.urandom(32)).decode(),
            "TEND_POLICY_DIR": f"{policies.__path__[0]}:{OVERLAY}:{OVERLAY}/stores",
            "TEND_ENV": "demo",
            "TEND_LOG": "json",
        }
        command(environment, "migrate")
        control = Database(environment["TEND_DATABASE_URL"])
        stack.callback(control.close)
        yield Stage(console, environment, shop, control, folder)


@contextmanager
def _processes(stage: Stage) -> Iterator[None]:
    logs = stage.folder
    with (
        process(stage.environment, logs / "scheduler.log", "scheduler"),
        process(stage.environment, logs / "worker.log", "worker", "--processes", "2"),
    ):
        yield


def _load(stage: Stage, rows: int | None) -> None:
    started = time.monotonic()
    with Steps(stage.console).shown() as steps:
        damage = dataset.load(
            stage.shop.get_default_database(),
            rows,
            datetime.now(UTC),
            progress=lambda done, total: steps.show("loading retail data", done, total),
        )
    kiosk.make(stage.kiosks, datetime.now(UTC))
    stage.console.print(
        f"{damage.sales.total:,} real sales are in, {damage.sales.total - damage.sales.young:,} of "
        f"them older than 2,555 days, and {kiosk.PRODUCTS:,} products of kiosks in SQLite, in "
        f"{time.monotonic() - started:.0f} s.\n"
    )


def _follow(stage: Stage, names: list[str]) -> list[Run]:
    """Watch the first scheduled run of each policy to its end."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    with Steps(stage.console).shown() as steps:
        while time.monotonic() < deadline:
            runs = _first_runs(stage, names)
            for run in runs:
                steps.show(run.policy, _worked(stage, run), run.planned, run.state)
            over = [run for run in runs if run.state not in UNFINISHED]
            if len(over) == len(names):
                return over
            time.sleep(POLL_SECONDS)
    raise DemoFailed(f"Not every policy was done within {DEADLINE_SECONDS} s; {_last_words(stage)}")


def _first_runs(stage: Stage, names: list[str]) -> list[Run]:
    with stage.control.transaction() as session:
        runs = session.scalars(
            select(Run)
            .where(Run.trigger == "schedule", Run.state != State.SKIPPED)
            .order_by(Run.id)
        ).all()
    return [first for name in names if (first := next((r for r in runs if r.policy == name), None))]


def _worked(stage: Stage, run: Run) -> int:
    return sum(chunk.cursor for chunk in _chunks(stage, run))


def _chunks(stage: Stage, run: Run) -> list[Chunk]:
    with stage.control.transaction() as session:
        return list(
            session.scalars(select(Chunk).where(Chunk.run_id == run.id, Chunk.direction == "apply"))
        )


def _check(stage: Stage, run: Run) -> Check:
    archive = ArchiveStore(stage.environment["TEND_ARCHIVE_URL"])
    keyring = Keyring.from_settings(Settings(keys=SecretStr(stage.environment["TEND_KEYS"])))
    shop = stage.shop.get_default_database()
    return check(shop, stage.kiosks, run, _chunks(stage, run), archive, keyring)


def _print_table(stage: Stage, runs: list[Run], checks: dict[str, Check]) -> None:
    table = Table(title="What Tend did, beside plain queries run afterwards with the same cutoff")
    table.add_column("policy", no_wrap=True)
    for heading in (
        "planned",
        "changed",
        "skipped",
        "failed",
        "left",
        "seconds",
        "listed",
        "query finds",
    ):
        table.add_column(heading, justify="right")
    table.add_column("check")
    for run in runs:
        with stage.control.transaction() as session:
            totals = claims.totals(session, run.id)
        numbers = (run.planned, totals.changed, totals.changed_since + totals.gone, totals.failed)
        result = checks[run.policy]
        table.add_row(
            run.policy,
            *(f"{number:,}" for number in numbers),
            f"{run.remaining['total']:,}" if run.remaining else run.state,
            _seconds(run),
            f"{result.listed:,}",
            f"{result.found:,}",
            "exact" if result.is_exact else "DIFFERS",
        )
    stage.console.print(table)
    for run in runs:
        with stage.control.transaction() as session:
            beside = claims.cascade(session, run.id)
        if beside:
            went = ", ".join(f"{number:,} {name}" for name, number in beside.items())
            stage.console.print(f"With the records of {run.policy} went {went}.")


def _seconds(run: Run) -> str:
    if run.started_at is None or run.finished_at is None:
        return ""
    return f"{(run.finished_at - run.started_at).total_seconds():.1f}"


def _contents(stage: Stage, collection: str) -> dict[Any, Any]:
    return {
        record["_id"]: record for record in stage.shop.get_default_database()[collection].find()
    }


def _take_back(stage: Stage, run: Run, before: dict[Any, Any]) -> None:
    """Undo one run, and compare every record with what was there before the run.

    The policy is disabled first, as a person does who takes something back: it would fire again.
    """
    reason = ("--reason", "the demonstration")
    command(stage.environment, "disable", run.policy, *reason)
    undone = _undone(stage, run, *reason, "--wait")
    if _contents(stage, "sessions") != before:
        raise DemoFailed(f"After the undo of r-{run.id}, the sessions are not what they were.")
    verified = command(stage.environment, "audit", "verify")
    stage.console.print(
        f"`tend undo r-{run.id}` put back {undone['restored']:,} sessions, each as it was before; "
        f"`tend audit verify` checked {verified['entries']:,} entries."
    )


def _undone(stage: Stage, run: Run, *options: str) -> Any:
    """Another policy may plan at the same records just now: then do as `tend` says, and wait."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        try:
            return command(stage.environment, "undo", f"r-{run.id}", *options)
        except CommandFailed as error:
            said = " ".join(str(error).split())  # its lines are as wide as a terminal
            if WAIT not in said or time.monotonic() > deadline:
                raise
        time.sleep(POLL_SECONDS)


def _last_words(stage: Stage) -> str:
    logs = (stage.folder / name for name in ("scheduler.log", "worker.log"))
    lines = [log.read_text().splitlines()[-3:] for log in logs if log.exists()]
    return "the logs end with:\n" + "\n".join(line for part in lines for line in part)


if __name__ == "__main__":
    sys.exit(main())
