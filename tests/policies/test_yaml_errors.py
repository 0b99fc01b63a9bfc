"""Files that are no YAML, or YAML in a spelling that does not mean what it seems to."""

from pathlib import Path

import pytest

from tests.policies.written import PURGE, complaint, write

WRONG = {
    "a cron line without quotes": (
        '"20 3 * * *"',
        "*/5 * * * *",
        (
            "5: not YAML: while scanning an alias, expected alphabetic or numeric character, but "
            "found '/'; put a value that begins with such a character in quotes"
        ),
    ),
    "an alias": (
        '"20 3 * * *"',
        "*daily",
        (
            "5: not YAML: while scanning an alias, none is known; put a value that begins with "
            "such a character in quotes"
        ),
    ),
    "no where text is meant": (
        "collection: salesData",
        "collection: no",
        "7: options.collection: YAML reads no as true or false; write that, or 'no' in quotes",
    ),
    "true where text is meant": (
        "description: Sales go after seven years.",
        "description: true",
        "3: description: write text, in quotes if YAML reads it as something else",
    ),
    "a date where text is meant": (
        "description: Sales go after seven years.",
        "description: 2024-01-01",
        "3: description: YAML reads 2024-01-01 as a date; write '2024-01-01' in quotes",
    ),
    "a number in base eight": (
        "max_records: 100",
        "max_records: 0100",
        (
            "13: guards.max_records: YAML reads 0100 as another number; write it in decimal, "
            "or '0100' in quotes"
        ),
    ),
    "a number in base sixty": (
        'cron: "20 3 * * *"',
        "cron: 12:30",
        (
            "5: schedule.cron: YAML reads 12:30 as another number; write it in decimal, "
            "or '12:30' in quotes"
        ),
    ),
    "infinity": (
        "max_percent: 1",
        "max_percent: .inf",
        (
            "14: guards.max_percent: YAML reads .inf as another number; write it in decimal, "
            "or '.inf' in quotes"
        ),
    ),
    "a key that YAML reads as something else": (
        "max_percent: 1",
        "on: 1",
        "14: guards: 'on' is no key; a key is text, in quotes if YAML reads it as something else",
    ),
    "a tag": (
        "description: Sales go after seven years.",
        "description: !!python/name:os.system x",
        "3: description: the tag tag:yaml.org,2002:python/name:os.system is not understood",
    ),
    "a tab": (
        "  max_records: 100",
        "\tmax_records: 100",
        (
            "13: not YAML: while scanning for the next token, found character '\\t' that cannot "
            "start any token; put a value that begins with such a character in quotes"
        ),
    ),
    "two documents": (
        "undo: 30d",
        "undo: 30d\n---\nname: another",
        "16: not YAML: expected a single document in the stream, but found another document",
    ),
    "a control character": (
        "seven years",
        "seven\x07years",
        "3: not YAML: special characters are not allowed",
    ),
    "a list": (
        PURGE,
        "- name: old-sales",
        "1: write a mapping of keys, beginning with name",
    ),
    "nothing but a remark": (
        PURGE,
        "# later",
        "1: write a mapping of keys, beginning with name",
    ),
}


@pytest.mark.parametrize(("old", "new", "says"), WRONG.values(), ids=WRONG.keys())
def test_the_error_names_file_and_line(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in PURGE
    write(tmp_path, PURGE.replace(old, new, 1), "old-sales")
    assert complaint(tmp_path) == f"{tmp_path}/old-sales.yaml:{says}"


def test_text_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "old-sales.yaml").write_bytes(PURGE.replace("Sales", "Umsätze").encode("latin-1"))
    assert complaint(tmp_path) == f"{tmp_path}/old-sales.yaml: is not UTF-8 text"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "old-sales.yaml").symlink_to("nowhere")
    assert complaint(tmp_path).startswith(f"{tmp_path}/old-sales.yaml: cannot be read: No such")
