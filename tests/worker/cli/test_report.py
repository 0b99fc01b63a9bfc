"""`tend report retention`: what a reviewer reads, and when it ends with 1."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.worker.cli.conftest import AMPLE, Tend, ago
from tests.worker.cli.test_status import lines

OLD_STOCK = """
job: retention_purge
description: Products nobody has touched for a year go.
options:
  target: sql
  collection: products
  select:
    older_than: {field: updated_at, age: 365d}
undo: 7d
"""


@pytest.fixture
def shop(tend: Tend) -> Tend:
    for collection in ("auditlogs", "oauthstates"):
        tend.shop[collection].create_index("timestamp")
    tend.shop.salesData_quarantine.create_index("until")
    tend.shop.salesData.insert_many(
        [
            {"createdAt": ago(3000 + number), "userId": f"user-{number % 3}", "storeId": "s-1"}
            for number in range(7)
        ]
    )
    return tend


OVERDUE = (
    "sales-retention: 7 records overdue, the oldest 3006d 0h old; never succeeded, 0 deleted in all"
)


def test_the_groups_are_told_with_their_oldest_record(shop: Tend) -> None:
    told = shop("report", "retention", "--policy", "sales-retention", "--by", "storeId")
    assert told.code == 0
    assert lines(told.out)[:2] == [
        "[development] overdue in 1 policies",
        OVERDUE,
    ]
    assert lines(told.out)[3].startswith("s-1 7 ")
    assert lines(told.out)[3].endswith(" 3006d 0h")


def test_the_rest_is_summed_up(shop: Tend) -> None:
    words = ("report", "retention", "--policy", "sales-retention", "--limit", "1")
    told = lines(shop(*words).out)
    assert told[3].startswith("us••• 3 ")
    assert told[4] == "2 more 4"


def test_every_policy_with_an_age_is_asked(shop: Tend) -> None:
    told = shop("report", "retention", "--json").json["policies"]
    assert [each["policy"] for each in told if each["records"]] == ["sales-retention"]
    assert {"session-cleanup", "oauth-state-cleanup"} <= {each["policy"] for each in told}
    assert "text-dates" not in {each["policy"] for each in told}


def test_a_policy_that_could_not_be_looked_at_makes_it_end_with_1(shop: Tend) -> None:
    shop.shop.salesData.drop_index("createdAt_1")
    told = shop("report", "retention")
    assert told.code == 1
    assert "sales-retention: MongoDB database" in told.out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--policy", "sales-retentoin"], "did you mean 'sales-retention'?"),
        (["--by", "user id"], "--by user id is no field; write one such as userId"),
        (["--by", "$where"], "is no field"),
        (["--limit", "0"], "--limit"),
    ],
)
def test_what_cannot_be_asked_is_refused(shop: Tend, words: list[str], says: str) -> None:
    refused = shop("report", "retention", *words)
    assert refused.code == 2
    assert says in refused.err


def test_rows_of_a_sql_table_are_grouped_alike(tend: Tend, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.sqlite")) as database, database:
        columns = "id int PRIMARY KEY, store_id int, updated_at datetime"
        database.execute(f"CREATE TABLE products ({columns})")
        database.execute("CREATE INDEX u ON products (updated_at)")
        rows = [(n, n % 2, f"{ago(400 + n):%Y-%m-%d %H:%M:%S}") for n in range(5)]
        database.executemany("INSERT INTO products VALUES (?, ?, ?)", rows)
    tend.setting("TEND_SQL_URL", f"sqlite:///{tmp_path / 'shop.sqlite'}")
    tend.policy("old-stock", AMPLE + OLD_STOCK)
    words = ("report", "retention", "--policy", "old-stock", "--by")
    (told,) = tend.json(*words, "store_id")["policies"]
    assert [(each["value"], each["records"]) for each in told["groups"]] == [(0, 3), (1, 2)]
    wrong = tend(*words, "storeId")
    assert wrong.code == 1
    assert "has no column 'storeId'" in wrong.out


def test_a_retention_report_says_when_a_policy_succeeded_last_and_what_it_deleted(
    shop: Tend,
) -> None:
    words = ("report", "retention", "--policy", "sales-retention")
    assert "never succeeded, 0 deleted in all" in shop(*words).out
    shop.json("run", "sales-retention", "--limit", "2", "--reason", "x", "--inline")
    (said,) = shop.json(*words)["policies"]
    assert (said["last_success"], said["deleted"], said["held"]) == ("r-1", 2, 0)
    assert said["oldest_age_seconds"] > 0
    assert ", the oldest " in shop(*words).out


def test_access_and_failures_are_reported_for_a_period(shop: Tend) -> None:
    period = ("--from", "2020-01-01", "--to", "2999-01-01")
    shop.policy("sales-retention", "guards: {max_records: 0, max_percent: 0}\n")
    assert shop("run", "sales-retention", "--reason", "x", "--inline").code == 3
    failed = shop("report", "failures", *period)
    assert "1 failures, 1 that nobody reacted to" in failed.out
    assert "by nobody yet" in failed.out
    assert shop.json("report", "failures", *period)["failures"][0]["run"] == "r-1"
    access = shop("report", "access", *period)
    assert "1 people" in access.out
    assert "claimed" in access.out
    assert shop("report", "access", "--from", "soon", "--to", "2999-01-01").code == 2
