import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, update

from tests.worker.audit import keeping
from tests.worker.cli.conftest import logging_as_it_was  # noqa: F401 - a fixture
from worker.audit.anchors import Anchors
from worker.audit.checkpoints import Head
from worker.audit.signing import Signer
from worker.cli import main
from worker.database import Database
from worker.tables import Checkpoint, Entry


@pytest.fixture(autouse=True)
def settings(control: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [name for name in os.environ if name.startswith("TEND_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("TEND_DATABASE_URL", str(control.engine.url))
    monkeypatch.setenv("TEND_AUDIT_KEYS", keeping.KEY)
    monkeypatch.setenv("TEND_ENV", "test")


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    code = main(["audit", *words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_list_shows_the_entries_of_a_run_with_their_bodies(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, document = told(capsys, "list", "--run", "r-4")
    assert code == 0
    assert [entry["action"] for entry in document["entries"]] == [
        "run_created",
        "run_planning",
        "run_refused",
    ]
    assert document["entries"][2]["body"]["detail"]["planned"] == 12


def test_list_takes_every_condition_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    _, document = told(capsys, "list", "--run", "3")
    began = document["entries"][0]["at"]
    conditions = ("--policy", "sessions", "--actor", "ada@console", "--action", "run_created")
    _, document = told(capsys, "list", *conditions, "--since", began, "--limit", "2")
    assert [entry["run"] for entry in document["entries"]] == ["r-3", "r-6"]
    _, document = told(capsys, "list", *conditions, "--until", began)
    assert [entry["run"] for entry in document["entries"]] == ["r-1", "r-2"]


def test_list_for_a_person_has_one_line_for_each_entry(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "list", "--run", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + 25
    (outcome,) = [line for line in lines if "result=lost" in line]
    assert "chunk_outcome" in outcome
    assert "attempt=1 chunk=0" in outcome
    (planned,) = [line for line in lines if "run_planned" in line]
    assert "planned=12" in planned


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--run", "r-99"), "There is no run r-99"),
        (("--run", "last"), "'last' is no run id"),
        (("--policy", "session-cleanp"), "did you mean 'session-cleanup'?"),
        (("--since", "yesterday"), "--since yesterday is no time; write it as 2026-03-01"),
    ],
)
def test_what_cannot_be_listed_is_one_sentence_and_bad_usage(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], says: str
) -> None:
    assert main(["audit", "list", *words]) == 2
    assert says in capsys.readouterr().err


def test_verify_ends_with_0_when_nothing_is_off(capsys: pytest.CaptureFixture[str]) -> None:
    code, document = told(capsys, "verify")
    assert code == 0
    assert (document["ok"], document["findings"], document["open_claims"]) == (True, [], 1)
    assert main(["audit", "verify", "--full"]) == 0
    assert "6 runs: nothing is off; open claims: 1" in capsys.readouterr().out


def test_verify_ends_with_1_and_names_the_entry_that_was_altered(
    capsys: pytest.CaptureFixture[str], control: Database
) -> None:
    with control.transaction() as session:
        session.execute(update(Entry).where(Entry.id == 7).values(leaf_hash="0" * 64))
    code, document = told(capsys, "verify")
    assert code == 1
    assert (document["ok"], document["faults"]) == (False, 1)
    assert document["findings"] == [
        {
            "verdict": "integrity",
            "entry": 7,
            "run": 1,
            "says": "Entry 7 has a leaf hash that is not that of its body.",
        }
    ]
    assert main(["audit", "verify"]) == 1
    assert "Entry 7 has a leaf hash" in capsys.readouterr().out


def test_verify_gives_two_verdicts_and_says_what_nobody_outside_knows(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _, document = told(capsys, "verify", "--full")
    assert (document["integrity"], document["completeness"]) == (0, 0)
    assert document["exposed"] is None
    assert main(["audit", "verify"]) == 0
    out = capsys.readouterr().out
    assert "integrity     is as it was written" in out
    assert "TEND_ANCHOR_URL is not set" in out
    monkeypatch.setenv("TEND_ANCHOR_URL", str(tmp_path / "anchors"))
    _, document = told(capsys, "verify", "--full")
    assert document["exposed"] == document["positions"]


def test_verify_goes_on_where_the_last_one_ended_unless_it_is_full(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, first = told(capsys, "verify")
    _, second = told(capsys, "verify")
    _, third = told(capsys, "verify", "--full")
    assert first["entries"] == third["entries"] > second["entries"] == 0
    assert second["verified_from"] == first["positions"]


def test_after_an_old_backup_an_approver_lets_the_log_go_on(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    control: Database,
    tmp_path: Path,
) -> None:
    assert main(["audit", "reanchor", "--reason", "a test"]) == 1
    assert "takes a token outside of development" in capsys.readouterr().err
    monkeypatch.setenv("TEND_ENV", "development")
    assert main(["audit", "reanchor", "--reason", "a test"]) == 2
    assert "TEND_ANCHOR_URL is not set" in capsys.readouterr().err
    monkeypatch.setenv("TEND_ANCHOR_URL", str(tmp_path / "anchors"))
    origin = keeping.SIGNER.origin(1).replace("test", "development")
    gone = Head(origin, 1_000, b"0" * 32, datetime(2026, 1, 1, tzinfo=UTC))
    signer = Signer.of("development", keeping.KEY)
    Anchors(str(tmp_path / "anchors")).write(gone, signer.sign(gone.text, gone.origin))
    with control.transaction() as session:
        session.execute(delete(Checkpoint))
    code, document = told(capsys, "verify")
    assert (code, document["completeness"]) == (1, 2)
    code, document = told(capsys, "reanchor", "--reason", "CASE-31: an old backup")
    assert (code, document["origin"]) == (0, "tend/development/2")
    _, listed = told(capsys, "list", "--action", "log_reanchored")
    (entry,) = listed["entries"]
    assert entry["body"]["detail"]["anchored"]["size"] == 1_000
    assert told(capsys, "verify")[0] == 0
