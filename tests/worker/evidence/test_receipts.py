"""What a receipt tells one subject, and that a bare Python can check it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from tests.worker.evidence.bundles import SIGNER, checked, sequence
from tests.worker.evidence.manifested import ADA, BOB, keys
from tests.worker.scenario import TESTER, Scenario, old
from worker import holding
from worker.errors import NotSigned, SubjectUnknown
from worker.evidence import verifier
from worker.evidence.receipts import receipt
from worker.tables import Run

ADAS = ("userId", str(ADA))


@pytest.fixture
def scenario(happened: Scenario) -> Scenario:
    return happened


def told(scenario: Scenario, subject: tuple[str, str] = ADAS) -> dict[str, Any]:
    return receipt(scenario.engine.database, scenario.engine.keyring, SIGNER, subject)


def lines_of(document: dict[str, Any]) -> set[str]:
    return {line["line"] for one in document["changes"] for line in one["lines"]}


def kept(document: dict[str, Any], folder: Path) -> Path:
    """The receipt beside the verifier, as a person gets them."""
    (folder / "receipt").mkdir(exist_ok=True)
    (folder / "receipt" / "verify.py").write_bytes(Path(verifier.__file__).read_bytes())
    path = folder / "receipt.json"
    path.write_text(json.dumps(document))
    return path


def destroy_archive(scenario: Scenario, *, is_signed: bool = True) -> None:
    db = scenario.engine.database
    holding.release(db, "case-7", None, TESTER)
    with db.transaction() as session:
        session.execute(update(Run).where(Run.id == 1).values(expires_at=old(9999)))
    scenario.advance(1)
    if is_signed:
        sequence(scenario)


def test_a_receipt_counts_the_records_of_its_subject_and_of_nobody_else(
    scenario: Scenario,
) -> None:
    said = told(scenario)
    assert {(one["collection"], one["became"], len(one["lines"])) for one in said["changes"]} == {
        ("mongo/salesData", "deleted", 12),
        ("mongo/salesData", "restored", 12),
    }
    assert str(BOB) not in json.dumps(said)
    others = told(scenario, ("userId", str(BOB)))
    lines = [
        {line["line"] for one in each["changes"] for line in one["lines"]}
        for each in (said, others)
    ]
    assert lines[0].isdisjoint(lines[1])


def test_a_receipt_has_two_dates(scenario: Scenario) -> None:
    before = told(scenario)["changes"][0]
    assert before["last_copy_destroyed_at"] is None
    assert before["last_copy_expires_at"] > before["at"]
    destroy_archive(scenario)
    (done,) = [entry for entry in scenario.entries(1) if entry.action == "archive_destroyed"]
    after = told(scenario)["changes"][0]
    assert after["at"] == before["at"]
    assert after["last_copy_destroyed_at"] == json.loads(done.body)["at"]


@pytest.mark.system
def test_a_bare_python_finds_nothing_off_in_a_receipt(scenario: Scenario, tmp_path: Path) -> None:
    destroy_archive(scenario)
    code, said = checked(kept(told(scenario), tmp_path))
    assert code == 0, said
    assert "mongo/salesData: 12 records deleted at " in said


def claim_another_subject(said: dict[str, Any]) -> None:
    said["subject_key"] = "00" * 32


def claim_another_date(said: dict[str, Any]) -> None:
    said["changes"][0]["at"] = "2020-01-01T00:00:00.000000Z"


def claim_a_destruction(said: dict[str, Any]) -> None:
    said["changes"][0]["last_copy_destroyed_at"] = "2020-01-01T00:00:00.000000Z"


def forge_a_line(said: dict[str, Any]) -> None:
    line = said["changes"][0]["lines"][0]
    line["line"] = line["line"][:32] + "00" * 16


def forge_an_entry(said: dict[str, Any]) -> None:
    entry = said["changes"][0]["entries"][0]
    entry["body"] = entry["body"].replace('"deleted":12', '"deleted":1')
    entry["body"] = entry["body"].replace('"unreadable":0', '"unreadable":1')


def count_twice(said: dict[str, Any]) -> None:
    lines = said["changes"][0]["lines"]
    lines.append(lines[0])


def sign_otherwise(said: dict[str, Any]) -> None:
    said["checkpoint"] = said["checkpoint"].replace("at 20", "at 19")


@pytest.mark.system
@pytest.mark.parametrize(
    ("forge", "says"),
    [
        (claim_another_subject, "a line is not one of this subject"),
        (claim_another_date, "the date is not that of its entry"),
        (claim_a_destruction, "the date of the last copy is not that of its entry"),
        (forge_a_line, "a line does not stand in the manifest"),
        (forge_an_entry, "an entry does not stand in the log"),
        (count_twice, "a line is not one of this subject"),
        (sign_otherwise, "a checkpoint is signed by no key"),
    ],
)
def test_a_forged_receipt_is_found_out(
    scenario: Scenario, tmp_path: Path, forge: Callable[[dict[str, Any]], None], says: str
) -> None:
    said = told(scenario)
    forge(said)
    code, words = checked(kept(said, tmp_path))
    assert code == 1
    assert says in words


def test_somebody_of_whom_nothing_was_changed_has_no_receipt(scenario: Scenario) -> None:
    with pytest.raises(SubjectUnknown, match="Tend has changed no record of theirs"):
        told(scenario, ("userId", "nobody"))


def test_after_its_key_is_destroyed_a_subject_has_no_receipt(scenario: Scenario) -> None:
    holding.release(scenario.engine.database, "case-7", None, TESTER)
    keys(scenario).destroy(ADAS, TESTER)
    with pytest.raises(SubjectUnknown, match="or the key was destroyed"):
        told(scenario)


def test_a_receipt_waits_for_the_checkpoint_that_covers_it(scenario: Scenario) -> None:
    assert told(scenario)["changes"]
    destroy_archive(scenario, is_signed=False)
    with pytest.raises(NotSigned, match="No checkpoint covers"):
        told(scenario)
