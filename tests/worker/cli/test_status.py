"""`tend status`: what a person reads at a glance, and that it always ends well."""

import re
import time

from tests.worker.cli.conftest import Tend
from tests.worker.cli.test_changes import control
from worker.heartbeat import Heartbeat


def lines(out: str) -> list[str]:
    return [" ".join(line.split()) for line in out.splitlines()]


def test_a_person_sees_what_is_overdue_and_since_when(tend: Tend) -> None:
    tend.old_sales(3)
    told = tend("status")
    assert told.code == 0
    assert told.out.splitlines()[0].endswith(" policies, 0 enabled")
    (row,) = [line for line in lines(told.out) if line.startswith("sales-retention ")]
    assert row.startswith("sales-retention observing 3 3000d 0h never 20")


def test_processes_say_whether_they_live(tend: Tend) -> None:
    database = control()
    Heartbeat(database, "scheduler").beat()
    database.close()
    told = lines(tend("status").out)
    assert any(line.startswith("scheduler: A scheduler lives. (seen ") for line in told)
    assert "worker: No worker runs; start one with `tend worker`." in told


def test_a_run_that_waits_says_for_what(tend: Tend) -> None:
    tend.old_sales(3)
    tend.json("plan", "sales-retention")
    told = lines(tend("status").out)
    assert "r-1 of sales-retention: planned, 0 of 3, waits for `tend apply r-1`" in told


def test_what_could_not_be_looked_at_is_said_below_the_rows(tend: Tend) -> None:
    tend.shop.salesData.drop_index("createdAt_1")
    told = tend("status")
    assert told.code == 0
    (row,) = [line for line in lines(told.out) if line.startswith("sales-retention observing")]
    assert "not known" in row
    assert "sales-retention: MongoDB database" in told.out


def test_with_the_target_away_it_still_ends_well_and_soon(tend: Tend) -> None:
    for name in ("TEND_MONGO_URL", "TEND_MONGO_READ_URL"):
        tend.setting(name, "mongodb://127.0.0.1:1/shop")
    began = time.monotonic()
    rows = tend.json("status")["policies"]
    assert time.monotonic() - began < 30
    asked = [row for row in rows if row["problem"]]
    assert len(asked) > 5
    assert all(re.search("does not answer|no answer", row["problem"]) for row in asked)


def test_without_any_target_every_row_says_which_setting_is_missing(tend: Tend) -> None:
    for name in ("TEND_MONGO_URL", "TEND_MONGO_READ_URL"):
        tend.patch.delenv(name)
    rows = tend.json("status")["policies"]
    assert {row["problem"].partition(":")[0] for row in rows if row["problem"]} == {
        "TEND_MONGO_URL is not set",
        "TEND_SQL_URL is not set",
    }


def test_a_policy_for_a_database_that_the_site_has_not_is_no_problem(tend: Tend) -> None:
    rows = {row["policy"]: row for row in tend.json("status")["policies"]}
    row = rows["negative-stock"]
    assert (row["state"], row["overdue"], row["problem"]) == ("no_target", None, None)
    (line,) = [line for line in lines(tend("status").out) if line.startswith("negative-stock")]
    assert line == "negative-stock no target never"


def test_without_a_control_database_there_is_no_status(tend: Tend) -> None:
    tend.setting("TEND_DATABASE_URL", "postgresql://127.0.0.1:1/tend")
    assert tend("status").code == 1
