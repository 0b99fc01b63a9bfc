"""`tend audit export`, `bundle`, `receipt`, `forget` and `prune`, as a person types them."""

import json
from pathlib import Path

import pytest
from bson import ObjectId

from tests.worker.cli.conftest import Tend, ago
from tests.worker.evidence.bundles import checked, unpacked

ADA = ObjectId("66f0c1d2e3a4b5c6d7e8f901")
SUBJECT = f"userId={ADA}"
PERIOD = ("--from", "2020-01-01", "--to", "2999-01-01")


@pytest.fixture
def purged(tend: Tend) -> Tend:
    """Two sales of one user are gone, and their archive is still there."""
    tend.shop.salesData.insert_many([{"createdAt": ago(3000), "userId": ADA} for _ in range(2)])
    assert tend("run", "sales-retention", "--reason", "a test", "--inline").code == 0
    return tend


def test_a_receipt_for_a_person_has_a_line_for_each_chunk(purged: Tend) -> None:
    ended = purged("audit", "receipt", "--subject", SUBJECT)
    assert ended.code == 0, ended.err
    heading, _, line = ended.out.splitlines()
    assert heading.endswith(f"{SUBJECT}: 2 records")
    assert line.split()[:5] == ["r-1", "sales-retention", "mongo/salesData", "2", "deleted"]
    assert "due 20" in line


@pytest.mark.system
def test_a_receipt_as_json_is_checked_by_a_bare_python(purged: Tend, tmp_path: Path) -> None:
    assert purged("audit", "bundle", str(tmp_path / "q.zip"), *PERIOD).code == 0
    folder = unpacked(tmp_path / "q.zip")
    receipt = purged.json("audit", "receipt", "--subject", SUBJECT)
    folder.with_suffix(".json").write_text(json.dumps(receipt))
    code, said = checked(folder.with_suffix(".json"), (folder / "keys.txt").read_text())
    assert code == 0, said


def test_a_subject_that_is_forgotten_has_no_receipt_and_the_log_verifies(purged: Tend) -> None:
    words = ("audit", "forget", "--subject", SUBJECT)
    assert purged(*words).code == 2  # without a reason
    assert purged(*words, "--reason", "request 812").code == 0
    ended = purged("audit", "receipt", "--subject", SUBJECT)
    assert ended.code == 2
    assert "the key was destroyed" in ended.err
    assert purged("audit", "verify").code == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("receipt", "--subject", "nobody"), "--subject is NAME=VALUE"),
        (("receipt", "--subject", "userid=1"), "did you mean 'userId'?"),
        (("bundle", "a.zip", *PERIOD, "--sample", "3"), "--sample and --seed belong together"),
        (("bundle", "a.zip", *PERIOD, "--seed", "x"), "--sample and --seed belong together"),
        (
            ("bundle", "a.zip", "--from", "2026-01-02", "--to", "2026-01-02"),
            "--from must be before",
        ),
        (("bundle", "none/a.zip", *PERIOD), "cannot be written"),
        (("export", "a", "--since", "soon"), "--since soon is no time"),
        (("prune", "none.zip", "--reason", "x"), "is no bundle that `tend audit bundle` wrote"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_leaves_no_file(
    purged: Tend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], says: str
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    ended = purged("audit", *words)
    assert ended.code == 2
    assert says in ended.err
    assert list((tmp_path / "here").iterdir()) == []


def test_an_export_and_a_bundle_say_how_many_entries_they_have(
    purged: Tend, tmp_path: Path
) -> None:
    lines = tmp_path / "all.jsonl"
    statement = purged.json("audit", "export", str(lines))
    assert statement["count"] == len(lines.read_text().splitlines())
    bundle = purged.json("audit", "bundle", str(tmp_path / "q.zip"), *PERIOD)
    assert bundle["entries"]["count"] == statement["count"]
    ended = purged("audit", "export", str(tmp_path / "f.csv"), "--csv", "--outcome", "failed")
    assert "0 entries" in ended.out


def test_entries_that_are_young_are_not_pruned(purged: Tend, tmp_path: Path) -> None:
    path = str(tmp_path / "q.zip")
    assert purged("audit", "bundle", path, *PERIOD).code == 0
    ended = purged("audit", "prune", path, "--reason", "too early")
    assert ended.code == 1
    assert "audit/retention.yaml keeps what is younger" in ended.err
