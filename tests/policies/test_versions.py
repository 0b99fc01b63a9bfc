"""The version of a policy: the same for the same meaning, another for any other meaning."""

import hashlib
import json
from pathlib import Path

import pytest

from tests.policies.written import PURGE, REPAIR, load_all, write

OTHER_WORDS = """\
# The same policy, said differently.
undo: "30d"
guards: {max_percent: 1.0, max_records: 1_00}
options:
  select: {older_than: {age: 2555d, field: createdAt}}
  collection: 'salesData'
  warnings: []
batch: {records: 500}
schedule: {cron: "20 3 * * *", timezone: UTC}
description: >-
  Sales go after
  seven years.
job: retention_purge
name: old-sales
"""


def _version(directory: Path, text: str, name: str) -> str:
    return load_all(write(directory, text, name))[name].policy.version


def test_order_spelling_remarks_and_written_defaults_do_not_matter(tmp_path: Path) -> None:
    assert _version(tmp_path / "one", PURGE, "old-sales") == _version(
        tmp_path / "other", OTHER_WORDS, "old-sales"
    )


def test_the_version_is_the_hash_of_the_canonical_text(tmp_path: Path) -> None:
    policy = load_all(write(tmp_path, PURGE))["old-sales"].policy
    assert policy.version == hashlib.sha256(policy.text.encode()).hexdigest()
    assert policy.text == json.dumps(json.loads(policy.text), sort_keys=True, separators=(",", ":"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("seven years", "7 years"),
        ("retention_purge", "value_repair"),
        ("20 3", "21 3"),
        ("salesData", "salesdata"),
        ("createdAt", "date"),
        ("2555d", "7y"),
        ("max_records: 100", "max_records: 101"),
        ("max_percent: 1", "max_percent: 1.5"),
        ("undo: 30d", "undo: none"),
        ("undo: 30d", "undo: 720h"),
        ("undo: 30d", "undo: 30d\nchunk: 9999"),
        ("undo: 30d", "undo: 30d\napproval: required"),
        ("  select:", "  dated_by: date\n  select:"),
    ],
)
def test_any_other_meaning_is_another_version(tmp_path: Path, old: str, new: str) -> None:
    changed = PURGE.replace(old, new)
    if new == "value_repair":
        repairs = REPAIR[REPAIR.index("  repairs:") : REPAIR.index("guards:")]
        start, end = changed.index("  select:"), changed.index("guards:")
        changed = changed[:start] + repairs + changed[end:]
    assert changed != PURGE
    assert _version(tmp_path / "one", PURGE, "old-sales") != _version(
        tmp_path / "other", changed, "old-sales"
    )


def test_a_repair_in_another_place_is_another_version(tmp_path: Path) -> None:
    other = REPAIR.replace('[iso8601, "%d.%m.%Y"]', '["%d.%m.%Y", iso8601]')
    assert _version(tmp_path / "one", REPAIR, "mended-sales") != _version(
        tmp_path / "other", other, "mended-sales"
    )
