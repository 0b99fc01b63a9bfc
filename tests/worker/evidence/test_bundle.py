"""The bundle, and the verifier that a reviewer runs on it with a bare Python."""

import hashlib
import json
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete

from tests.worker.evidence.bundles import (
    SIGNER,
    checked,
    sequence,
    unpacked,
    wanted,
    written,
)
from tests.worker.evidence.manifested import ADA
from tests.worker.scenario import TESTER, Scenario, purge
from worker import operations
from worker.errors import NotSigned, UsageError
from worker.evidence import bundle, verifier
from worker.evidence.sample import Sample
from worker.masking import contains_email
from worker.tables import Checkpoint

SAMPLE = Sample(5, "auditor-2026")


@pytest.fixture
def scenario(happened: Scenario) -> Scenario:
    return happened


@pytest.fixture
def packed(scenario: Scenario, tmp_path: Path) -> Path:
    return written(scenario, tmp_path, sample=SAMPLE)


def read(packed: Path, name: str) -> Any:
    with zipfile.ZipFile(packed) as files:
        return json.loads(files.read(name))


def lines(packed: Path, name: str) -> list[Any]:
    with zipfile.ZipFile(packed) as files:
        return [json.loads(line) for line in files.read(name).splitlines()]


@pytest.mark.system
def test_a_bare_python_finds_nothing_off_packed_or_unpacked(packed: Path) -> None:
    folder = unpacked(packed)
    for place in (folder, packed):
        code, said = checked(place)
        assert (code, said.splitlines()[-1]) == (0, "nothing is off"), said
    assert "mongo/salesData deleted: 20 records" in said
    assert "mongo/salesData restored: 20 records" in said


@pytest.mark.system
def test_the_key_that_a_reviewer_had_before_is_believed_instead(packed: Path) -> None:
    folder = unpacked(packed)
    known = (folder / "keys.txt").read_text()
    assert checked(folder, known)[0] == 0
    name, _, _ = known.partition("+")
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

    from worker.audit.notes import verifier_key  # noqa: PLC0415

    strange = verifier_key(name, Ed25519PrivateKey.generate().public_key())
    code, said = checked(folder, strange)
    assert code == 1
    assert "signed by no key" in said


def test_it_holds_what_the_issue_names(packed: Path) -> None:
    with zipfile.ZipFile(packed) as files:
        names = set(files.namelist())
    policy = purge()
    assert names >= {
        "README.txt",
        "summary.html",
        "summary.pdf",
        "bundle.json",
        "entries.jsonl",
        "leaves.bin",
        "checkpoints.jsonl",
        "keys.txt",
        "policies.json",
        "holds.json",
        "exceptions.json",
        "sample.json",
        "verify.py",
        "manifests/r-1.apply.0.bin",
        "manifests/r-1.undo.0.bin",
        f"policies/{policy.name}/{policy.version}.json",
    }


def test_no_file_names_a_person_whose_records_were_changed(packed: Path) -> None:
    with zipfile.ZipFile(packed) as files:
        for name in files.namelist():
            content = files.read(name)
            assert str(ADA).encode() not in content, name
            if not name.endswith((".bin", ".pdf", ".py")):
                assert not contains_email(content.decode()), name


def test_each_version_of_a_policy_says_what_changed_and_who_enabled_it(packed: Path) -> None:
    under_test = next(one for one in read(packed, "policies.json") if one["policy"] == "under-test")
    first, second = under_test["versions"]
    assert first["changes"] == []
    assert second["changes"] == [{"key": "chunk", "before": 25, "after": 30}]
    assert [one["actor"] for one in second["enabled"]] == ["another"]
    assert [one["actor"] for one in first["enabled"]] == ["another"]


def test_exceptions_and_holds_are_listed(packed: Path) -> None:
    exceptions = read(packed, "exceptions.json")
    assert [one["policy"] for one in exceptions["refusals"]] == ["careful"]
    assert [one["run"] for one in exceptions["undos"]] == ["r-1"]
    assert [one["case"] for one in read(packed, "holds.json")] == ["case-7"]


def _plain(stamp: str) -> str:
    return stamp.replace("T", " ").removesuffix("Z")


def test_page_one_is_in_plain_words_and_the_same_in_every_form(packed: Path) -> None:
    folder = unpacked(packed)
    page = (folder / "README.txt").read_text()
    shown = (folder / "summary.html").read_text()
    statement = read(packed, "bundle.json")
    for words in (
        "from {} until before {}".format(
            *(_plain(statement["filter"][end]) for end in ("from", "to"))
        ),
        "none: every policy",
        "20 deleted, 20 restored",
        "What this cannot prove",
        "Missed fires",
        "Overrides",
    ):
        assert words in page
        assert words in shown
    assert shown.count("<svg") == 2
    assert (folder / "summary.pdf").read_bytes().startswith(b"%PDF-")


def bodies(packed: Path) -> dict[int, Any]:
    return {line["position"]: json.loads(line["body"]) for line in lines(packed, "entries.jsonl")}


def test_a_sample_has_runs_with_all_of_their_entries_and_single_changed_records(
    packed: Path,
) -> None:
    sample, found = read(packed, "sample.json"), bodies(packed)
    of_runs: dict[str, list[int]] = {}
    for position, body in found.items():
        if body["run"] is not None:
            of_runs.setdefault(f"r-{body['run']}", []).append(position)
    sampled = {
        one["run"]: [entry["position"] for entry in one["entries"]] for one in sample["runs"]
    }
    assert sampled == of_runs  # there are fewer than five
    assert len(sample["records"]) == 5
    for one in sample["records"]:
        bearer = found[one["entry"]["position"]]
        assert verifier.manifest_name(bearer) == one["manifest"]
        with zipfile.ZipFile(packed) as files:
            raw = files.read(f"manifests/{one['manifest']}.bin")
        assert bytes.fromhex(one["line"]) == raw[one["index"] * 32 : one["index"] * 32 + 32]


def test_a_sample_is_drawn_the_same_again_and_otherwise_with_another_seed(packed: Path) -> None:
    def drawn(seed: str) -> list[str]:
        drawing = Sample(5, seed).drawing()
        for body in bodies(packed).values():
            drawing.take(body)
        return drawing.records.names

    sampled = [
        f"{one['manifest']}.{one['index']}" for one in read(packed, "sample.json")["records"]
    ]
    assert sampled == drawn(SAMPLE.seed)
    assert sampled != drawn("another seed")


@given(names=st.lists(st.text(max_size=3), max_size=40), count=st.integers(0, 8), seed=st.text())
def test_what_is_drawn_depends_on_no_order_and_on_no_repetition(
    names: list[str], count: int, seed: str
) -> None:
    def drawn(given: list[str]) -> list[str]:
        draw = verifier.Draw(seed, count)
        for name in given:
            draw.take(name)
        return draw.names

    def rank(name: str) -> bytes:
        return hashlib.sha256(f"{seed}:{name}".encode()).digest()

    assert drawn(names) == drawn(names[::-1] * 2) == sorted(set(names), key=rank)[:count]


@pytest.mark.system
def test_a_bundle_of_one_policy_has_its_entries_alone_and_says_so(
    scenario: Scenario, tmp_path: Path
) -> None:
    packed = written(scenario, tmp_path, policy="careful")
    bodies = [json.loads(line["body"]) for line in lines(packed, "entries.jsonl")]
    assert {body["policy"] for body in bodies} == {"careful"}
    folder = unpacked(packed)
    assert checked(folder)[0] == 0
    assert "of one policy alone" in (folder / "README.txt").read_text()


@pytest.mark.system
def test_a_period_without_entries_has_a_bundle_that_says_so(
    scenario: Scenario, tmp_path: Path
) -> None:
    late = wanted()
    nothing = bundle.Wanted("test", late.since - timedelta(days=9), late.since)
    path = tmp_path / "nothing.zip"
    bundle.write(scenario.engine.database, SIGNER, nothing, path)
    code, said = checked(unpacked(path))
    assert code == 0
    assert "0 entries" in said


def forge_body(folder: Path) -> None:
    path = folder / "entries.jsonl"
    first, *rest = path.read_text().splitlines()
    path.write_text("\n".join([first.replace("policy_enabled", "policy_disabled"), *rest]))


def drop_entry(folder: Path) -> None:
    path = folder / "entries.jsonl"
    kept = path.read_text().splitlines()
    path.write_text("\n".join(kept[:3] + kept[4:]))


def swap_leaves(folder: Path) -> None:
    raw = (folder / "leaves.bin").read_bytes()
    (folder / "leaves.bin").write_bytes(raw[32:64] + raw[:32] + raw[64:])


def cut_the_tail(folder: Path) -> None:
    (folder / "leaves.bin").write_bytes((folder / "leaves.bin").read_bytes()[:-32])


def forge_checkpoint(folder: Path) -> None:
    path = folder / "checkpoints.jsonl"
    path.write_text(path.read_text().replace("at 20", "at 19"))


def forge_manifest(folder: Path) -> None:
    path = folder / "manifests" / "r-1.apply.0.bin"
    path.write_bytes(bytes(32) + path.read_bytes()[32:])


def forge_policy(folder: Path) -> None:
    path = next((folder / "policies" / "under-test").iterdir())
    path.write_text(path.read_text().replace("7d", "8d"))


def choose_the_sample(folder: Path) -> None:
    path = folder / "sample.json"
    path.write_text(path.read_text().replace("auditor-2026", "my own"))


def take_an_entry_out_of_the_sample(folder: Path) -> None:
    sample = json.loads((folder / "sample.json").read_text())
    del sample["runs"][0]["entries"][0]
    (folder / "sample.json").write_text(json.dumps(sample))


def put_another_record_into_the_sample(folder: Path) -> None:
    sample = json.loads((folder / "sample.json").read_text())
    sample["records"][0]["line"] = sample["records"][1]["line"]
    (folder / "sample.json").write_text(json.dumps(sample))


def forge_summary(folder: Path) -> None:
    path = folder / "summary.html"
    path.write_text(path.read_text().replace("20 deleted", "2 deleted"))


def replace_keys(folder: Path) -> None:
    (folder / "keys.txt").write_text("nobody's key")


@pytest.mark.system
@pytest.mark.parametrize(
    ("forge", "says"),
    [
        (forge_body, "is not the one that stands there in the log"),
        (drop_entry, "entries are left out between 2 and 4"),
        (swap_leaves, "is not the root over them"),
        (cut_the_tail, "no checkpoint covers exactly the leaves"),
        (forge_checkpoint, "a checkpoint is signed by no key"),
        (forge_manifest, "r-1.apply.0.bin is not the manifest of entry"),
        (forge_policy, "is not the policy text of that version"),
        (choose_the_sample, "the sample is not the one that its seed draws"),
        (take_an_entry_out_of_the_sample, "has other entries in this bundle"),
        (put_another_record_into_the_sample, "is not in its manifest"),
        (forge_summary, "summary.html is not the file that bundle.json names"),
        (replace_keys, "a file cannot be read"),
        (lambda folder: (folder / "more.txt").touch(), "more.txt is not named in bundle.json"),
        (lambda folder: (folder / "holds.json").unlink(), "holds.json is missing"),
    ],
)
def test_the_verifier_says_what_was_forged(
    packed: Path, forge: Callable[[Path], object], says: str
) -> None:
    folder = unpacked(packed)
    forge(folder)
    code, said = checked(folder)
    assert code == 1
    assert says in said


@pytest.mark.system
def test_evidence_is_refused_until_a_checkpoint_covers_it(
    scenario: Scenario, tmp_path: Path
) -> None:
    operations.disable(scenario.engine.database, purge(), TESTER)
    with pytest.raises(NotSigned, match="No checkpoint covers"):
        written(scenario, tmp_path)
    with scenario.engine.database.transaction() as session:
        session.execute(delete(Checkpoint))
    with pytest.raises(NotSigned):
        written(scenario, tmp_path)
    assert list(tmp_path.glob("evidence*")) == []
    sequence(scenario)
    assert checked(unpacked(written(scenario, tmp_path)))[0] == 0


def test_a_file_that_is_there_is_not_written_over(scenario: Scenario, tmp_path: Path) -> None:
    path = tmp_path / "evidence.zip"
    path.write_text("last year's")
    with pytest.raises(UsageError, match="evidence is not written over"):
        written(scenario, tmp_path)
    assert path.read_text() == "last year's"
