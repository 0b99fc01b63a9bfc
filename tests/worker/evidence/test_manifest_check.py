"""What `tend audit verify` finds when a manifest is not what its entry says."""

from collections.abc import Callable

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from tests.worker.scenario import Scenario
from worker.audit.verify import verify
from worker.tables import Manifest


def forge_a_line(session: Session) -> None:
    manifest = session.scalars(select(Manifest).where(Manifest.direction == "apply")).one()
    manifest.payload = bytes(32) + manifest.payload[32:]


def forge_row_and_lines(session: Session) -> None:
    manifest = session.scalars(select(Manifest).where(Manifest.direction == "apply")).one()
    manifest.payload, manifest.lines, manifest.root = b"", 0, "00" * 32


def remove_it(session: Session) -> None:
    session.execute(delete(Manifest).where(Manifest.direction == "apply"))


def change_the_counts(session: Session) -> None:
    session.execute(update(Manifest).values(counts={"mongo/salesData": {"deleted": 1}}))


def change_the_row(session: Session) -> None:
    session.execute(update(Manifest).values(root="00" * 32))


def invent_one(session: Session) -> None:
    session.add(
        Manifest(run_id=999, direction="apply", number=0, lines=0, root="", counts={}, payload=b"")
    )


def test_manifests_as_they_were_written_are_no_finding(happened: Scenario) -> None:
    assert verify(happened.engine.database).findings == []


@pytest.mark.parametrize(
    ("tamper", "says"),
    [
        (forge_a_line, "bears another manifest than the one that is kept"),
        (forge_row_and_lines, "bears another manifest than the one that is kept"),
        (change_the_counts, "bears another manifest than the one that is kept"),
        (change_the_row, "bears a manifest whose row says otherwise"),
        (remove_it, "bears a manifest that is gone"),
        (invent_one, "Run r-999 has a manifest that no entry bears"),
    ],
)
def test_a_manifest_that_was_tampered_with_is_found(
    happened: Scenario, tamper: Callable[[Session], None], says: str
) -> None:
    db = happened.engine.database
    with db.transaction() as session:
        tamper(session)
    assert any(says in one.says for one in verify(db).findings)
