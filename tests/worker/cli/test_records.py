"""`tend records`: text, CSV and JSON; masked, or revealed and on record first."""

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.worker.cli.conftest import Tend, ago
from worker import listing

FORMULA = '=HYPERLINK("http://evil","x")'


def revealed(tend: Tend) -> list[dict[str, Any]]:
    found = tend.json("audit", "list", "--action", "records_revealed")
    entries: list[dict[str, Any]] = found["entries"]
    return entries


def repaired(tend: Tend) -> None:
    tend.shop.salesData.insert_many(
        [
            {"_id": 1, "date": "2024-01-02"},
            {"_id": FORMULA, "date": "soon"},
            {"_id": "plain", "date": "never"},
            {"_id": 9, "date": ago(1)},
        ]
    )
    assert tend("run", "text-dates", "--reason", "x", "--inline").code == 0


def test_records_are_listed_with_their_outcome_and_why(tend: Tend) -> None:
    repaired(tend)
    said = tend("records", "r-1")
    lines = [line.split() for line in said.out.splitlines()]
    assert sorted(words[:2] for words in lines) == [
        ["changed", "written"],
        ["failed", "not_a_date"],
        ["failed", "not_a_date"],
    ]
    assert said.err.strip() == "r-1: 1 changed, 2 failed"
    failed = tend("records", "r-1", "--outcome", "failed")
    assert len(failed.out.splitlines()) == 2
    assert failed.err.strip() == "r-1: 1 changed, 2 failed; listed: failed"


def test_for_a_program_it_is_one_document_with_the_counts_of_the_run(tend: Tend) -> None:
    repaired(tend)
    found = tend.json("records", "r-1")
    assert found["id"] == "r-1"
    assert found["counts"] == {"changed": 1, "failed": 2}
    (changed,) = [row for row in found["records"] if row["outcome"] == "changed"]
    assert (changed["key"], changed["before"]["date"]) == (1, "2024-01-02")
    assert changed["after"]["date"].startswith("2024-01-02T00:00:00")


def test_a_spreadsheet_runs_nothing_that_a_record_says(tend: Tend) -> None:
    repaired(tend)
    said = tend("records", "r-1", "--csv", "--reveal", "--reason", "CASE-1")
    table = list(csv.DictReader(io.StringIO(said.out)))
    assert list(table[0]) == ["collection", "key", "outcome", "code", "before", "after"]
    assert {row["key"] for row in table} == {"1", f"'{FORMULA}", "plain"}
    assert json.loads(table[0]["before"])["date"] in {"2024-01-02", "soon", "never"}


def test_revealing_is_on_record_before_anything_is_shown(
    tend: Tend, monkeypatch: pytest.MonkeyPatch
) -> None:
    repaired(tend)
    assert FORMULA not in tend("records", "r-1").out
    seen: list[int] = []
    rows = listing.Listing.rows

    def counting(self: listing.Listing) -> object:
        found = revealed(tend)
        seen.append(len(found))
        return rows(self)

    monkeypatch.setattr(listing.Listing, "rows", counting)
    assert FORMULA in tend("records", "r-1", "--reveal", "--reason", "CASE-9: a complaint").out
    assert seen == [1]
    (entry,) = revealed(tend)
    assert entry["body"]["detail"] == {"reason": "CASE-9: a complaint", "outcome": None}


def test_revealing_takes_a_reason_and_an_operator(tend: Tend) -> None:
    repaired(tend)
    ended = tend("records", "r-1", "--reveal")
    assert (ended.code, ended.out) == (2, "")
    assert "--reason is empty" in ended.err
    for name, role in (("ada", "admin"), ("eve", "viewer")):
        made = tend.json("token", "create", name, "--role", role, "--reason", "x")
        tend.setting("TEND_TOKEN", made["token"])
    assert tend("records", "r-1").code == 0
    refused = tend("records", "r-1", "--reveal", "--reason", "curious")
    assert (refused.code, refused.out) == (1, "")
    assert "eve is a viewer" in refused.err
    assert revealed(tend) == []


def test_csv_and_json_exclude_one_another(tend: Tend) -> None:
    assert tend("records", "r-1", "--csv", "--json").code == 2


def test_an_object_that_is_gone_ends_the_list_with_a_sentence(tend: Tend) -> None:
    tend.old_sales(60)
    tend.json("run", "sales-retention", "--reason", "x", "--inline")
    last = max(Path(os.environ["TEND_ARCHIVE_URL"]).rglob("apply-2.*"))
    last.unlink()
    ended = tend("records", "r-1", "--json")
    assert (ended.code, ended.json["error"]["code"]) == (1, "archive_altered")
    assert len(ended.json["records"]) == ended.json["counts"]["changed"] == 50
    assert "is missing" in tend("records", "r-1").err


def test_records_of_an_unknown_run_are_a_sentence(tend: Tend) -> None:
    ended = tend("records", "r-9")
    assert (ended.code, ended.out) == (2, "")
    assert "There is no run r-9" in ended.err
