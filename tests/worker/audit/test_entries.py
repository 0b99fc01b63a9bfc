import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from tests.examples import examples
from tests.worker.audit.history import EXPIRED, expired_session
from worker.audit import entries
from worker.audit.body import Body, Intent, Outcome, Succeeded
from worker.database import Database
from worker.masking import contains_email
from worker.states import ARROWS
from worker.tables import Entry

DOCUMENT = (Path(__file__).parents[3] / "docs" / "audit.md").read_text()
OBJECT_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{24}(?![0-9a-f])")


def written(control: Database) -> list[Entry]:
    with control.transaction() as session:
        return list(session.scalars(select(Entry).order_by(Entry.id)))


def documented(heading: str) -> set[str]:
    """The words in the first column of the table under this heading."""
    section = DOCUMENT.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return {
        word
        for row in re.findall(r"^\| ([^|]*`[^|]*) \|", section, re.MULTILINE)
        for word in re.findall(r"`([^`]+)`", row)
    }


def test_the_entries_of_real_runs_hold_nothing_of_the_records_they_changed(
    control: Database,
) -> None:
    bodies = [entry.body.decode() for entry in written(control)]
    assert any("chunk_outcome" in body for body in bodies)
    sessions = [expired_session(each) for each in range(25)]
    personal = [session[name] for session in sessions for name in ("sessionId", "userId")]
    for body in bodies:
        assert not contains_email(body)
        assert not OBJECT_ID.search(body)
        assert f"{EXPIRED:%Y-%m-%d}" not in body
        assert not [value for value in personal if value in body]


def test_every_action_of_real_runs_is_documented(control: Database) -> None:
    actions = {entry.action for entry in written(control)}
    assert len(actions) > 15
    assert actions | {f"run_{arrow.end}" for arrow in ARROWS} <= documented("Actions")


@pytest.mark.parametrize(
    ("heading", "model"),
    [
        ("Fields", Body),
        ("The detail of `chunk_intent`", Intent),
        ("The detail of `chunk_outcome`", Outcome),
        ("The detail of `run_succeeded`", Succeeded),
    ],
)
def test_the_documentation_lists_each_field_and_no_other(heading: str, model: type[Body]) -> None:
    names = {field.alias or name for name, field in model.model_fields.items()}
    assert documented(heading) == names


def test_the_leaf_hash_is_that_of_rfc_6962() -> None:
    empty = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert entries.leaf_hash(b"") == empty


def test_one_body_has_one_text() -> None:
    text = entries.canonical({"b": [1, "ü"], "a": {"d": None, "c": 1.5}})
    assert text == '{"a":{"c":1.5,"d":null},"b":[1,"ü"]}'.encode()


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)


@settings(max_examples=examples(50))
@given(st.dictionaries(st.text(), scalars))
def test_reading_and_writing_canonical_bytes_gives_the_same_bytes(body: dict[str, object]) -> None:
    once = entries.canonical(body)
    assert entries.canonical(json.loads(once)) == once


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_json_does_not_know_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        entries.canonical({"detail": value})
