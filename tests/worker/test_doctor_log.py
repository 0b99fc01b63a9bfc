"""What the doctor says of the audit log, its key, its verification and its anchors."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import delete
from sqlalchemy.orm import Session

from tests.worker.audit.keeping import KEY, SIGNER, sequence, write
from worker import database as control_database
from worker.audit import checkpoints, verify
from worker.audit.anchors import Anchors
from worker.database import Database
from worker.doctor import log
from worker.doctor.check import Site, Verdict
from worker.errors import AnchorError, LogAltered
from worker.settings import Settings
from worker.tables import Checkpoint, Entry, Verification

Shift = Callable[[timedelta], None]
OTHER_KEY = "B" * 43 + "="


@pytest.fixture
def control(migrated_sqlite_url: str) -> Iterator[Database]:
    database = Database(migrated_sqlite_url)
    yield database
    database.close()


@pytest.fixture
def pass_on(monkeypatch: pytest.MonkeyPatch) -> Shift:
    """Lets the control database's clock go on."""
    clock, passed = control_database.now, [timedelta()]

    def now(session: Session) -> object:
        return clock(session) + passed[0]

    monkeypatch.setattr(control_database, "now", now)
    return lambda by: passed.__setitem__(0, passed[0] + by)


@pytest.fixture
def settings(control: Database, tmp_path: Path) -> Settings:
    """Of a site whose log was signed, verified and anchored a moment ago."""
    anchors = Anchors(str(tmp_path / "anchors"))
    write(control, 5, "run_succeeded")
    made = sequence(control)
    assert made is not None
    anchors.write(checkpoints.head_of(made), made.note)
    verify.remember(control, verify.verify(control, SIGNER, anchors, full=True))
    return Settings(
        env="test",
        database_url=SecretStr(control.engine.url.render_as_string(hide_password=False)),
        audit_keys=SecretStr(KEY),
        anchor_url=SecretStr(str(tmp_path / "anchors")),
    )


def look(settings: Settings, check: str) -> Verdict:
    (found,) = [each for each in log.CHECKS if each.name == f"audit_{check}"]
    return found.look(Site(settings))


def says(settings: Settings, check: str, status: str) -> str:
    verdict = look(settings, check)
    assert verdict.status == status, verdict.says
    return verdict.says


def without(settings: Settings, name: str) -> Settings:
    return settings.model_copy(update={name: None})


def test_a_log_that_is_signed_verified_and_anchored_is_well(settings: Settings) -> None:
    assert "c-1 over 5 entries was signed" in says(settings, "log", "ok")
    assert "All 5 entries were verified" in says(settings, "verification", "ok")
    assert says(settings, "anchors", "ok") == (
        "The newest anchor, over 5 entries, is of this log; 0 signed ones came since."
    )


def test_a_missing_and_a_strange_key_are_told_apart(settings: Settings) -> None:
    assert "TEND_AUDIT_KEYS is not set" in says(without(settings, "audit_keys"), "log", "failed")
    strange = settings.model_copy(update={"audit_keys": SecretStr(OTHER_KEY)})
    assert "c-1 was signed by no key of TEND_AUDIT_KEYS" in says(strange, "log", "failed")


def test_a_log_that_nobody_signs_any_longer_shows(
    settings: Settings, control: Database, pass_on: Shift
) -> None:
    pass_on(timedelta(minutes=30))
    assert "The last checkpoint is 30 min old" in says(settings, "log", "warning")
    write(control, 2)
    assert "was signed" not in says(settings, "log", "warning")
    pass_on(timedelta(hours=3))
    assert "entries wait for their positions since" in says(settings, "log", "failed")


def test_a_verification_that_found_something_or_is_old_shows(
    settings: Settings, control: Database, pass_on: Shift
) -> None:
    pass_on(timedelta(hours=40))
    assert "was verified last 40 h ago; enable the policy audit-verification" in says(
        settings, "verification", "warning"
    )
    with control.transaction() as session:
        session.execute(delete(Entry).where(Entry.id == 3))
    verify.remember(control, verify.verify(control, SIGNER, full=True))
    assert "found 1 things against the log's integrity and 1" in says(
        settings, "verification", "failed"
    )


def test_an_installation_that_has_just_begun_need_not_be_verified_yet(
    settings: Settings, control: Database
) -> None:
    with control.transaction() as session:
        session.execute(delete(Verification))
    assert "verified never" in says(settings, "verification", "ok")


def test_anchors_that_are_not_there_not_readable_or_of_another_log_show(
    settings: Settings, control: Database, tmp_path: Path
) -> None:
    assert "is not set" in says(without(settings, "anchor_url"), "anchors", "warning")
    empty = settings.model_copy(update={"anchor_url": SecretStr(str(tmp_path / "empty"))})
    assert "holds no checkpoint yet; see" in says(empty, "anchors", "warning")
    blocked = tmp_path / "blocked"
    blocked.write_text("no folder")
    with pytest.raises(AnchorError):
        look(settings.model_copy(update={"anchor_url": SecretStr(str(blocked))}), "anchors")
    with control.transaction() as session:
        session.execute(delete(Checkpoint))
    with pytest.raises(LogAltered):
        look(settings, "anchors")


def test_checkpoints_that_no_longer_reach_the_anchors_show(
    settings: Settings, control: Database, pass_on: Shift
) -> None:
    pass_on(timedelta(hours=1))
    write(control, 3, "run_succeeded")
    assert sequence(control) is not None
    assert "but 3 signed ones are in none" in says(settings, "anchors", "failed")
