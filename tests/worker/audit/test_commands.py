import json
import os
from typing import Any

import pytest
from sqlalchemy import update

from tests.worker.cli.conftest import logging_as_it_was  # noqa: F401 - a fixture
from worker.cli import main
from worker.database import Database
from worker.tables import Entry


@pytest.fixture(autouse=True)
def settings(control: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [name for name in os.environ if name.startswith("TEND_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("TEND_DATABASE_URL", str(control.engine.url))


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
    assert main(["audit", "verify"]) == 0
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
            "entry": 7,
            "run": 1,
            "says": "Entry 7 has a leaf hash that is not that of its body.",
        }
    ]
    assert main(["audit", "verify"]) == 1
    assert "Entry 7 has a leaf hash" in capsys.readouterr().out
