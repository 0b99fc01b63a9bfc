"""Every way to get a policy file wrong, and the sentence that says where."""

from pathlib import Path

import pytest

from policies.errors import PolicyError
from policies.loader import load
from tests.policies.written import PURGE, REPAIR, complaint, write

WRONG = {
    "an unknown key close to a known one": (
        "guards:",
        "guard:",
        "12: guard: unknown key; did you mean 'guards'?",
    ),
    "an unknown key close to none": (
        "max_records: 100",
        "wheels: 4",
        "13: guards.wheels: unknown key; choose from: max_percent, max_records",
    ),
    "an unknown key deep inside": (
        "field: createdAt",
        "feld: createdAt",
        "10: options.select.older_than.feld: unknown key; did you mean 'field'?",
    ),
    "an unknown key of the job's options": (
        "collection: salesData",
        "colection: salesData",
        "7: options.colection: unknown key; did you mean 'collection'?",
    ),
    "a missing key": (
        "undo: 30d\n",
        "",
        "1: undo: this key is missing",
    ),
    "a missing key deep inside": (
        "      age: 2555d\n",
        "",
        "9: options.select.older_than.age: this key is missing",
    ),
    "a key given twice": (
        "guards:",
        "job: retention_purge\nguards:",
        "12: job: given a second time, first on line 2",
    ),
    "a key given twice deep inside": (
        "age: 2555d",
        "field: date",
        "11: options.select.older_than.field: given a second time, first on line 10",
    ),
    "a name that is not the file's": (
        "name: old-sales",
        "name: new-sales",
        "1: name: the file is old-sales.yaml, so the name must be 'old-sales'",
    ),
    "an unknown job": (
        "job: retention_purge",
        "job: retention_purges",
        "2: job: there is no job 'retention_purges'; did you mean 'retention_purge'?",
    ),
    "an age without a unit": (
        "age: 2555d",
        "age: 2555",
        (
            "11: options.select.older_than.age: write an age as a number and one of s, m, h, d, y, "
            "such as 2555d or 7y"
        ),
    ),
    "a calendar year where a length is needed": (
        "undo: 30d",
        "undo: 1y",
        "15: undo: a calendar year has no fixed length; write it in d, h, m or s, or write 'none'",
    ),
    "a selector that does not exist": (
        "older_than:",
        "older_then:",
        "8: options.select: there is no selector 'older_then'; did you mean 'older_than'?",
    ),
    "a selector that is text": (
        "select:\n    older_than:\n      field: createdAt\n      age: 2555d",
        "select: everything",
        (
            "8: options.select: a selector is one of older_than, younger_than, less_than, "
            "more_than, not_a_number, missing, is_type, equals, not_in, any, all, none"
        ),
    ),
    "an ObjectId that is none": (
        "select:\n    older_than:\n      field: createdAt\n      age: 2555d",
        "select: {equals: {field: userId, value: abc, type: objectid}}",
        ("8: options.select.equals: the value of an ObjectId has 24 digits from 0 to f, in quotes"),
    ),
    "options that are no mapping": (
        PURGE[PURGE.index("options:") : PURGE.index("guards:")],
        "options: all\n",
        "6: options: write a mapping of keys",
    ),
    "both ways to schedule": (
        'cron: "20 3 * * *"',
        'cron: "20 3 * * *"\n  every: 1h',
        "4: schedule: a schedule has either cron or every",
    ),
    "a weekday as a number": (
        '"20 3 * * *"',
        '"20 3 * * 1"',
        (
            "5: schedule.cron: write weekdays as mon to sun: programs disagree on whether 0 is "
            "Sunday or Monday"
        ),
    ),
    "a negative guard": (
        "max_records: 100",
        "max_records: -1",
        "13: guards.max_records: Input should be greater than or equal to 0",
    ),
    "a guard as text": (
        "max_records: 100",
        'max_records: "100"',
        "13: guards.max_records: write a whole number",
    ),
    "a percentage above 100": (
        "max_percent: 1",
        "max_percent: 101",
        "14: guards.max_percent: Input should be less than or equal to 100",
    ),
    "a word that is not on the list": (
        "undo: 30d",
        "undo: 30d\ncatchup: newest",
        "16: catchup: write 'latest', 'skip' or 'all'",
    ),
}

WRONG_REPAIR = {
    "an unknown kind of repair": (
        "when: negative",
        "when: positive",
        (
            "8: options.repairs.0.when: write 'negative', 'zero', 'missing', 'not_a_number' or "
            "'text_date', or write a mapping of keys"
        ),
    ),
    "a repair without its kind": (
        "      when: negative\n",
        "",
        "7: options.repairs.0.when: this key is missing",
    ),
    "a repair that needs another repair": (
        "set: 0",
        "set: -1",
        ("7: options.repairs.0: set is itself negative, and would be mended again and again"),
    ),
    "an unknown key of a repair": (
        "when: text_date",
        "when: text_date\n      formats: [iso8601]",
        (
            "12: options.repairs.1.formats: unknown key; choose from: field, parse, quarantine, "
            "set, timezone, unset, when"
        ),
    ),
    "a format without a year": (
        "%d.%m.%Y",
        "%d.%m.",
        (
            "12: options.repairs.1.parse.1: '%d.%m.' must say year, month and day, and %p with %I; "
            "or write iso8601"
        ),
    ),
    "a format with half a year": (
        "%d.%m.%Y",
        "%d.%m.%y",
        (
            "12: options.repairs.1.parse.1: '%d.%m.%y' leaves something open: "
            "write %Y, %m, %d, %H and %z"
        ),
    ),
    "a format that is none": (
        "%d.%m.%Y",
        "%Q",
        "12: options.repairs.1.parse.1: '%Q' is no format that Python's strptime can read",
    ),
    "a zone that does not exist": (
        "parse:",
        "timezone: Europe/Atlantis\n      parse:",
        "12: options.repairs.1.timezone: invalid timezone: Europe/Atlantis",
    ),
    "one field mended twice in the same way": (
        "field: date\n      when: text_date",
        (
            "field: quantity\n      when: negative\n      set: 1\n    - field: date\n"
            "      when: text_date"
        ),
        "4: options: quantity has two repairs for negative; write one",
    ),
}


@pytest.mark.parametrize(("old", "new", "says"), WRONG.values(), ids=WRONG.keys())
def test_the_error_names_file_line_and_key(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in PURGE
    write(tmp_path, PURGE.replace(old, new, 1), "old-sales")
    assert complaint(tmp_path) == f"{tmp_path}/old-sales.yaml:{says}"


@pytest.mark.parametrize(("old", "new", "says"), WRONG_REPAIR.values(), ids=WRONG_REPAIR.keys())
def test_the_error_names_the_repair(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in REPAIR
    write(tmp_path, REPAIR.replace(old, new, 1))
    assert complaint(tmp_path) == f"{tmp_path}/mended-sales.yaml:{says}"


def test_a_union_of_types_is_explained_in_one_sentence(tmp_path: Path) -> None:
    condition = "equals: {field: kind, value: [a]}"
    write(tmp_path, REPAIR.replace("  repairs:", f"  unless:\n    {condition}\n  repairs:"))
    assert complaint(tmp_path) == (
        f"{tmp_path}/mended-sales.yaml:7: options.unless.equals.value: write true or false, "
        "or write a whole number, or write a number, "
        "or write text, in quotes if YAML reads it as something else"
    )


def test_the_first_problem_of_every_file_is_reported(tmp_path: Path) -> None:
    write(tmp_path, PURGE.replace("max_records: 100", "max_records: x").replace("30d", "30"))
    write(tmp_path, "name: [", "broken")
    write(tmp_path, REPAIR)
    assert [line.removeprefix(f"{tmp_path}/") for line in complaint(tmp_path).split("\n")] == [
        (
            "broken.yaml:1: not YAML: while parsing a flow node, expected the node content, "
            "but found '<stream end>'"
        ),
        "old-sales.yaml:13: guards.max_records: write a whole number",
    ]


def test_the_other_ending_is_not_silently_ignored(tmp_path: Path) -> None:
    (tmp_path / "old-sales.yml").write_text(PURGE)
    assert complaint(tmp_path) == f"{tmp_path}/old-sales.yml: call it old-sales.yaml"


def test_an_empty_directory_is_refused(tmp_path: Path) -> None:
    assert complaint(tmp_path) == f"{tmp_path}: this directory holds no policy (*.yaml)"


def test_a_missing_directory_is_refused(tmp_path: Path) -> None:
    missing = tmp_path / "policies"
    assert complaint(missing) == f"{missing}: there is no such policy directory"


def test_no_directory_at_all_is_refused() -> None:
    with pytest.raises(PolicyError, match="name at least one"):
        load([], {})
