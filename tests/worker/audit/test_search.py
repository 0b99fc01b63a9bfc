from datetime import timedelta

import pytest
from pydantic import ValidationError

from worker.audit.search import Search, as_json, search
from worker.database import Database
from worker.tables import Entry


def found(control: Database, **wanted: object) -> list[Entry]:
    with control.transaction() as session:
        return search(session, Search.model_validate(wanted))


def test_without_conditions_the_newest_entries_come_and_the_newest_is_last(
    control: Database,
) -> None:
    everything = [entry.id for entry in found(control)]
    assert everything == sorted(everything)
    assert [entry.id for entry in found(control, limit=3)] == everything[-3:]


@pytest.mark.parametrize(
    ("column", "condition", "value"),
    [
        ("run_id", "run", 2),
        ("policy", "policy", "careful"),
        ("actor", "actor", "ada@console"),
        ("action", "action", "chunk_intent"),
    ],
)
def test_a_condition_finds_all_of_its_entries_and_no_others(
    control: Database, column: str, condition: str, value: object
) -> None:
    expected = [entry.id for entry in found(control) if getattr(entry, column) == value]
    assert 0 < len(expected) < len(found(control))
    assert [entry.id for entry in found(control, **{condition: value})] == expected


def test_conditions_narrow_one_another(control: Database) -> None:
    both = found(control, run=2, action="chunk_intent")
    assert {(entry.run_id, entry.action) for entry in both} == {(2, "chunk_intent")}
    assert found(control, run=2, policy="careful") == []


def test_since_is_part_of_the_time_and_until_is_not(control: Database) -> None:
    tenth, twentieth = (found(control)[position].at for position in (10, 20))
    between = found(control, since=tenth, until=twentieth)
    assert {entry.at for entry in between} == {
        entry.at for entry in found(control) if tenth <= entry.at < twentieth
    }
    assert found(control, since=found(control)[-1].at + timedelta(seconds=1)) == []


def test_an_entry_as_json_is_what_the_issue_promises(control: Database) -> None:
    (entry,) = found(control, run=1, action="run_created")
    shown = as_json(entry)
    assert set(shown) == {"id", "at", "action", "run", "policy", "actor", "leaf_hash", "body"}
    assert (shown["run"], shown["body"]["detail"]["reason"]) == ("r-1", "ticket 4711")
    assert shown["at"] == shown["body"]["at"]


def test_a_body_that_cannot_be_decoded_does_not_hide_its_entry(control: Database) -> None:
    (entry,) = found(control, run=1, action="run_created")
    entry.body = b"\xff"
    assert as_json(entry)["body"] is None


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValidationError, match="timezone"):
        Search.model_validate({"since": "2026-01-01T00:00:00"})
