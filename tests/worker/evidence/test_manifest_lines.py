"""The bytes of a manifest, as one must be able to make them again in years."""

import hashlib
import hmac
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import bson
import pytest
from bson import Decimal128, Int64

from tests.worker.evidence.manifested import ADA, BOB, keys, written
from tests.worker.scenario import NOW, Scenario, old, purge
from worker import objects
from worker.evidence.manifests import NOBODY, Lines, Listed, name_of, root_of
from worker.evidence.subject_keys import Subject
from worker.tables import Manifest, Run
from worker.targets.record_key import identity

pytestmark = pytest.mark.sqlite_control
SALES = "mongo/salesData"
A, B = ("userId", str(ADA)), ("storeId", "s-1")

FIXED_ROOT = "b3988b36fae26a8691b27fa6d6262a09f6555630846416826b1e2129dbfe4343"
FIXED_LINES = [
    "334dd7955f34990cc9614f9e50d254e1dd86376932b5aad2c11bf7382b7c1fff",
    "b0ee725391918f3cfd9d52e46b739619e62c440970052a28ea943af3673a9082",
    "c133dc33e0702c517daa16949f586b5f48315166426d0b27708eb939c25db1d6",
    "eb73825580db82fff97d52b4a9a608931ac9c4aa187af7a29793dc22bae0e635",
    "f25b8886dc7bd20cff7ad989a6a4380087a8b2f0e7bfbb5160f20e9451326089",
    "f8d07fecc22a68bc3846608d8995c04d80df56e5547157ce6b20192571e7c1f6",
]
ODD_KEYS = (7, Int64(8), 7.5, "seven", True, {"of": 7}, b"7", NOW, Decimal128("9"), ADA)
ODD_VALUES = (7, Int64(2**40), 7.5, "é", "", True, None, [7, "x"], NOW, Decimal128("7.0"), ADA)


def test_lines_under_given_keys_are_these_bytes() -> None:
    """Whoever changes them can no longer read what was written before."""
    lines = Lines()
    for key, became, subjects in (
        (ADA, "deleted", (A, B)),
        (BOB, "deleted", (B,)),
        ("s-77", "written", (A,)),
        (5, "deleted", (NOBODY,)),
        ({"of": 5.0}, "deleted", (A,)),
    ):
        lines.add(Listed(SALES, became, identity(key), subjects))
    made = lines.made(name_of(7, "apply", 3), {A: b"a" * 32, B: b"b" * 32, NOBODY: b"n" * 32})
    assert [line.hex() for line in made] == FIXED_LINES
    assert root_of(made) == FIXED_ROOT


def test_a_manifest_has_the_lines_that_its_definition_gives(scenario: Scenario) -> None:
    """Keys and subjects of every type, through archive and manifest, against a plain oracle."""
    records: list[dict[str, Any]] = [
        *({"_id": key, "userId": ADA, "storeId": "s-1"} for key in ODD_KEYS),
        *({"_id": f"u{n}", "userId": value} for n, value in enumerate(ODD_VALUES)),
        *({"_id": f"s{n}", "storeId": value} for n, value in enumerate(ODD_VALUES)),
        *({"_id": f"both{n}", "storeId": "s-1", "userId": BOB} for n in range(3)),
        {"_id": "last", "nested": {"userId": BOB}},
    ]
    scenario.shop.salesData.insert_many([{**each, "createdAt": old(3000)} for each in records])
    by_key = {bson.encode({"": each["_id"]}): each for each in records}
    run = scenario.run_through(purge(chunk=50_000))
    assert run.state == "succeeded"
    run = scenario.advance(scenario.undo(run).id)
    for manifest, became in zip(written(scenario, run.id), ("deleted", "restored"), strict=True):
        order = [by_key[key] for key in _keys_as_archived(scenario, run, manifest.direction)]
        assert len(order) == len(records)
        assert manifest.payload == b"".join(_expected(scenario, manifest, became, order))
        assert manifest.counts == {SALES: {became: len(records)}}


def _keys_as_archived(scenario: Scenario, run: Run, direction: str) -> list[bytes]:
    assert run.key is not None
    key = scenario.engine.keyring.unwrap(run.key)
    (chunk,) = scenario.chunks(run.id, direction)
    refs = objects.changed(chunk)
    assert len(refs) > 1
    return [
        bson.encode({"": one.key}) for ref in refs for one in scenario.engine.archive.read(key, ref)
    ]


def _expected(
    scenario: Scenario, manifest: Manifest, became: str, records: Iterable[Mapping[str, Any]]
) -> list[bytes]:
    chunk = f"r-{manifest.run_id}/{manifest.direction}/0"
    seen = Counter[Subject]()
    made: list[bytes] = []
    known = keys(scenario)
    with scenario.engine.database.transaction() as session:
        for record in records:
            for subject in _subjects(record):
                _, key = known.find(session, subject)
                text = f"tag\0{chunk}\0{SALES}\0{became}\0{seen[subject]}"
                name = f"record\0{SALES}\0".encode() + bson.encode({"": record["_id"]})
                made.append(_half(key, text.encode()) + _half(key, name))
                seen[subject] += 1
    return sorted(made)


def _subjects(record: Mapping[str, Any]) -> list[Subject]:
    found = [(name, str(record[name])) for name in ("userId", "storeId") if name in record]
    return [each for each in found if record[each[0]] is not None] or [NOBODY]


def _half(key: bytes, text: bytes) -> bytes:
    return hmac.new(key, text, hashlib.sha256).digest()[:16]
