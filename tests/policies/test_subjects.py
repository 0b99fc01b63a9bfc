"""Which field names a subject, and in which forms it may hold one."""

from pathlib import Path

import pytest

import policies
from policies.errors import PolicyError
from policies.models import RecordOptions
from policies.subjects import Subjects, load_subjects
from tests.policies.written import load_all

SHIPPED = Path(policies.__path__[0])
HEX = "65f0c1d2e3a4b5c6d7e8f901"


def _written(folder: Path, text: str) -> Path:
    (folder / "holds").mkdir(parents=True)
    (folder / "holds" / "subjects.yaml").write_text(text)
    return folder


def _forms(kind: str, value: str) -> list[object]:
    subjects = Subjects.model_validate({"mongo/users": {"userId": {"field": "_id", "type": kind}}})
    held = subjects.held("mongo/users", [("userId", value)])
    return [] if held is None else [part["equals"] for part in held.model_dump()["any"]]


def _form(value: object, kind: str | None = None) -> dict[str, object]:
    return {"field": "_id", "value": value, "type": kind}


def test_each_shipped_policy_changes_a_collection_whose_subjects_are_declared() -> None:
    subjects = load_subjects([SHIPPED])
    places = {
        each.policy.collection
        for each in load_all(SHIPPED).values()
        if isinstance(each.policy.options, RecordOptions)
    }
    assert places
    assert [place for place in places if place and not subjects.declares(place)] == []


def test_an_object_id_is_looked_for_as_such() -> None:
    assert _forms("objectid", HEX) == [_form(HEX, "objectid")]


def test_any_takes_each_form_that_the_value_can_be_read_as() -> None:
    assert _forms("any", HEX) == [_form(HEX), _form(HEX, "objectid")]
    assert _forms("any", "42") == [_form("42"), _form(42)]
    assert _forms("any", "042") == [_form("042")]


def test_a_value_that_cannot_have_the_fields_type_protects_nothing_there() -> None:
    assert _forms("objectid", "42") == []
    assert _forms("integer", HEX) == []


def test_a_subject_that_a_collection_does_not_name_protects_nothing_there() -> None:
    subjects = Subjects.model_validate({"mongo/oauthstates": {}})
    assert subjects.held("mongo/oauthstates", [("userId", "42")]) is None


def test_a_later_directory_adds_collections_and_replaces_fields(tmp_path: Path) -> None:
    base = _written(tmp_path / "base", "mongo/users:\n  userId: {field: _id, type: text}\n")
    text = (
        "mongo/users:\n  userId: {type: integer}\nmongo/carts:\n  userId: {field: u, type: any}\n"
    )
    overlay = _written(tmp_path / "overlay", text)
    assert load_subjects([base, overlay]).model_dump() == {
        "mongo/users": {"userId": {"field": "_id", "type": "integer"}},
        "mongo/carts": {"userId": {"field": "u", "type": "any"}},
    }


def test_a_wrong_key_is_named_with_file_and_line(tmp_path: Path) -> None:
    folder = _written(tmp_path, "mongo/users:\n  userId: {feild: _id, type: text}\n")
    with pytest.raises(PolicyError, match=r"holds/subjects\.yaml:2: mongo/users\.userId"):
        load_subjects([folder])


def test_without_a_file_no_collection_is_declared(tmp_path: Path) -> None:
    assert not load_subjects([tmp_path]).declares("mongo/users")
