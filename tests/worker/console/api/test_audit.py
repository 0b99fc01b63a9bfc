"""The audit log over HTTP: pages, one entry with its proof, and evidence to carry away."""

import hashlib
import io
import json
import subprocess
import sys
import zipfile
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.worker.console.api.conftest import Api
from tests.worker.console.conftest import Answer
from worker.audit import keeping, merkle


def entries(api: Api, count: int) -> None:
    for _ in range(count):
        api.does("/policies/sales-retention/enable")


def unpacked(answer: Answer) -> zipfile.ZipFile:
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/zip"), answer.body
    return zipfile.ZipFile(io.BytesIO(answer.body))


def test_pages_go_back_to_the_first_entry(api: Api) -> None:
    entries(api, 5)
    everything = [each["id"] for each in api.get("/audit?limit=200")["entries"]]
    found: list[int] = []
    before = ""
    while True:
        page = api.get(f"/audit?limit=3{before}")
        found = [*(each["id"] for each in page["entries"]), *found]
        if page["next"] is None:
            break
        before = f"&before={page['next']}"
    assert found == everything


def test_an_entry_comes_with_what_proves_it_once_a_checkpoint_covers_it(api: Api) -> None:
    entries(api, 3)
    number = api.get("/audit?action=policy_enabled")["entries"][0]["id"]
    assert api.get(f"/audit/{number}")["log"] is None
    keeping.keep_once(api.settings, api.database)
    log = api.get(f"/audit/{number}")["log"]
    assert json.loads(log["body"])["action"] == "policy_enabled"
    size, root = log["checkpoint"].splitlines()[1:3]
    leaf = merkle.leaf_hash(log["body"].encode())
    proof = [bytes.fromhex(step) for step in log["proof"]]
    assert merkle.verify_inclusion(leaf, log["position"], int(size), proof, b64decode(root))


def test_an_unknown_entry_is_not_found(api: Api) -> None:
    missing = api("GET", "/audit/2147483647")
    assert (missing.status, missing.json["error"]["code"]) == (404, "entry_unknown")


def test_an_export_is_the_file_that_its_statement_hashes(api: Api) -> None:
    entries(api, 2)
    for query, name in (("", "audit.jsonl"), ("&csv=true", "audit.csv")):
        packed = unpacked(api("GET", f"/audit/export?policy=sales-retention{query}"))
        statement = json.loads(packed.read(f"{name}.statement.json"))
        assert statement["count"] == 2
        assert hashlib.sha256(packed.read(name)).hexdigest() == statement["sha256"]


@pytest.mark.system
def test_a_bundle_is_verified_by_its_own_file(api: Api, tmp_path: Path) -> None:
    entries(api, 2)
    api.does("/brake/pull")
    begin, end = (datetime.now(UTC) + timedelta(days=days) for days in (-1, 1))
    period = f"from={quote(begin.isoformat())}&to={quote(end.isoformat())}"
    unpacked(api("GET", f"/audit/bundle?{period}")).extractall(tmp_path / "bundle")
    done = subprocess.run(
        [sys.executable, "-I", "verify.py"],
        cwd=tmp_path / "bundle",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    alone = api("GET", f"/audit/bundle?{period}&sample=1")
    assert (alone.status, alone.json["error"]["code"]) == (422, "usage")


def test_a_verification_says_what_the_command_says(api: Api) -> None:
    entries(api, 1)
    verdict = api("POST", "/audit/verify", {"full": True}, as_="viewer").json
    assert (verdict["ok"], verdict["faults"]) == (True, 0)
    assert api.tend.json("audit", "verify", "--full").keys() == verdict.keys()


def test_a_receipt_of_somebody_unknown_is_not_found_and_names_them_in_no_address(api: Api) -> None:
    keeping.keep_once(api.settings, api.database)
    unknown = api("POST", "/audit/receipt", {"subject": "userId=nobody"})
    assert (unknown.status, unknown.json["error"]["code"]) == (404, "subject_unknown")
    assert api("GET", "/audit/receipt?subject=userId=nobody").status in (405, 422)
