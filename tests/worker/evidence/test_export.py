"""Entries as files for other programs."""

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select

from tests.worker.evidence.bundles import SIGNER, sequence
from tests.worker.scenario import ANOTHER, Scenario, purge
from worker import operations
from worker.audit import entries, merkle
from worker.audit.search import Search
from worker.errors import NotSigned, UsageError
from worker.evidence import export
from worker.operations import Person
from worker.states import State
from worker.tables import Checkpoint, Entry, Position


@pytest.fixture
def scenario(happened: Scenario) -> Scenario:
    return happened


def exported(
    scenario: Scenario, path: Path, *, as_csv: bool = False, **wanted: Any
) -> dict[str, Any]:
    db = scenario.engine.database
    return export.export(db, SIGNER, Search(**wanted), path, as_csv=as_csv)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_an_export_has_every_entry_in_the_order_of_the_log(
    scenario: Scenario, tmp_path: Path
) -> None:
    path = tmp_path / "all.jsonl"
    statement = exported(scenario, path)
    with scenario.engine.database.transaction() as session:
        count = len(session.scalars(select(Position)).all())
    found = lines(path)
    assert [line["position"] for line in found] == list(range(count))
    assert (statement["count"], statement["first"], statement["last"]) == (count, 0, count - 1)
    leaves = [merkle.leaf_hash(entries.canonical(line["body"])) for line in found]
    assert [leaf.hex() for leaf in leaves] == [line["leaf_hash"] for line in found]


def test_the_statement_says_filter_count_checkpoint_and_hash(
    scenario: Scenario, tmp_path: Path
) -> None:
    path = tmp_path / "refused.jsonl"
    exported(scenario, path, policy="careful", outcome=State.REFUSED)
    said = json.loads(export.statement_of(path).read_text())
    assert said["filter"]["policy"] == "careful"
    assert said["filter"]["outcome"] == "refused"
    assert said["filter"]["run"] is None
    assert said["count"] == len(lines(path)) == 3
    assert said["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert said["checkpoint"].startswith("tend/test/1\n")
    assert said["keys"][0].startswith("tend/test/1+")


def test_target_and_outcome_narrow_an_export(scenario: Scenario, tmp_path: Path) -> None:
    exported(scenario, tmp_path / "a", target="mongo/salesData", outcome=State.UNDONE)
    assert {line["run"] for line in lines(tmp_path / "a")} == {"r-1"}
    exported(scenario, tmp_path / "b", target="mongo/sessions")
    assert lines(tmp_path / "b") == []


def test_a_run_whose_row_is_gone_is_found_by_what_its_manifests_list(
    scenario: Scenario, tmp_path: Path
) -> None:
    with scenario.engine.database.transaction() as session:
        session.execute(select(Entry.id).where(Entry.run_id == 1))
        session.connection().exec_driver_sql("delete from run_collections where run_id = 1")
    exported(scenario, tmp_path / "a", target="mongo/salesData", action="run_undone")
    assert [line["run"] for line in lines(tmp_path / "a")] == ["r-1"]
    exported(scenario, tmp_path / "b", target="mongo/sales_ata", action="run_undone")
    assert lines(tmp_path / "b") == []


def test_a_spreadsheet_computes_nothing_of_an_export(scenario: Scenario, tmp_path: Path) -> None:
    formula = Person(ANOTHER.actor, '=HYPERLINK("evil")')
    operations.enable(scenario.engine.database, purge(), formula)
    minus = Person(ANOTHER.actor.__class__("-2+3", "token"), "why not")
    operations.enable(scenario.engine.database, purge(), minus)
    sequence(scenario)
    path = tmp_path / "all.csv"
    exported(scenario, path, as_csv=True)
    with path.open(newline="") as file:
        *_, first, second = csv.DictReader(file)
    assert tuple(first) == export.COLUMNS
    assert second["actor"] == "'-2+3"
    assert json.loads(first["detail"])["reason"] == '=HYPERLINK("evil")'
    assert first["run"] == ""
    for cell in (*first.values(), *second.values()):
        assert not cell.startswith(("=", "+", "-", "@"))


def test_what_no_checkpoint_covers_is_not_exported(scenario: Scenario, tmp_path: Path) -> None:
    operations.disable(scenario.engine.database, purge(), ANOTHER)
    exported(scenario, tmp_path / "b")
    assert "policy_disabled" not in {line["action"] for line in lines(tmp_path / "b")}
    with scenario.engine.database.transaction() as session:
        session.execute(delete(Checkpoint))
    with pytest.raises(NotSigned, match="has no checkpoint yet"):
        exported(scenario, tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_neither_file_is_written_over(scenario: Scenario, tmp_path: Path) -> None:
    export.statement_of(tmp_path / "a").write_text("{}")
    with pytest.raises(UsageError, match="evidence is not written over"):
        exported(scenario, tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_a_folder_that_is_not_there_is_one_sentence(scenario: Scenario, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        exported(scenario, tmp_path / "none" / "a")
