"""Sites with one kind of target or with both: each policy finds its own, or says what is unset."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from policies.models import Policy
from tests.worker.cli.conftest import AMPLE, Tend
from tests.worker.cli.test_bad_input import complains
from worker.registry import Policies
from worker.settings import Settings
from worker.targets.kinds import served

NO_STOCK = (
    AMPLE
    + """
job: value_repair
description: A negative stock becomes 0.
options:
  target: sql
  collection: kioskStock
  repairs:
    - {field: stock, when: negative, set: 0}
undo: 7d
"""
)


@pytest.fixture
def site(tend: Tend, tmp_path: Path) -> Tend:
    """Beside MongoDB, a SQL database of which nobody has told Tend yet."""
    with closing(sqlite3.connect(tmp_path / "shop.sqlite")) as shop, shop:
        shop.execute("CREATE TABLE kioskStock (id int PRIMARY KEY, stock int)")
        shop.execute("CREATE INDEX stock ON kioskStock (stock)")
        shop.executemany("INSERT INTO kioskStock VALUES (?, ?)", [(n, n - 5) for n in range(10)])
    tend.policy("no-stock", NO_STOCK)
    return tend


@pytest.fixture
def with_sql(site: Tend, tmp_path: Path) -> Tend:
    site.setting("TEND_SQL_URL", f"sqlite:///{tmp_path / 'shop.sqlite'}")
    return site


@pytest.fixture
def with_sql_alone(with_sql: Tend) -> Tend:
    for variable in ("TEND_MONGO_URL", "TEND_MONGO_READ_URL"):
        with_sql.patch.delenv(variable)
    return with_sql


def stock(folder: Path) -> list[Any]:
    with closing(sqlite3.connect(folder / "shop.sqlite")) as shop:
        return [row[0] for row in shop.execute("SELECT stock FROM kioskStock ORDER BY id")]


@pytest.mark.parametrize("words", ["plan no-stock", "run no-stock --reason x --inline"])
def test_a_policy_whose_target_is_not_set_says_which_setting_it_needs(
    site: Tend, words: str
) -> None:
    ended = site(*words.split())
    complains(ended, 2, "TEND_SQL_URL is not set: put the SQL database to tend")
    assert site.json("runs")["runs"] == []


def test_other_policies_go_on(site: Tend) -> None:
    site.old_sales(3)
    assert site("plan", "no-stock").code == 2
    done = site.json("run", "sales-retention", "--inline", "--reason", "x")
    assert (done["state"], done["changed"]) == ("succeeded", 3)


def test_a_site_with_sql_alone_plans_applies_and_undoes(
    with_sql_alone: Tend, tmp_path: Path
) -> None:
    before = stock(tmp_path)
    plan = with_sql_alone.json("plan", "no-stock")
    assert (plan["planned"], plan["population"]) == (5, 10)
    assert plan["plan"]["sums"]["stock"] == {"before": "-15", "after": "0"}
    done = with_sql_alone.json("apply", plan["id"], "--inline", "--reason", "x")
    assert (done["state"], done["changed"]) == ("succeeded", 5)
    assert stock(tmp_path) == [max(0, each) for each in before]
    undone = with_sql_alone.json("undo", plan["id"], "--inline", "--reason", "y")
    assert (undone["state"], undone["restored"]) == ("undone", 5)
    assert stock(tmp_path) == before
    complains(with_sql_alone("plan", "text-dates"), 2, "TEND_MONGO_URL is not set")


def test_with_both_each_policy_changes_its_own_and_only_mongodb_has_a_log(
    with_sql: Tend, tmp_path: Path
) -> None:
    with_sql.old_sales(3)
    for policy in ("no-stock", "sales-retention"):
        done = with_sql.json("run", policy, "--inline", "--reason", "x")
        assert done["state"] == "succeeded"
    assert min(stock(tmp_path)) == 0
    assert with_sql.shop.salesData.count_documents({}) == 0
    mirrored = [entry["details"]["policy"] for entry in with_sql.shop.auditlogs.find()]
    assert mirrored == ["sales-retention"]


@pytest.mark.parametrize("command", ["apply", "resume", "undo"])
def test_what_is_to_be_done_here_is_not_begun_without_its_target(
    with_sql: Tend, command: str
) -> None:
    with_sql.json("plan", "no-stock")
    if command == "undo":
        with_sql.json("apply", "r-1", "--inline", "--reason", "x")
    before = with_sql.json("show", "r-1")
    with_sql.patch.delenv("TEND_SQL_URL")
    complains(with_sql(command, "r-1", "--inline", "--reason", "y"), 2, "TEND_SQL_URL is not set")
    assert with_sql.json("show", "r-1") == before


def test_a_plan_can_be_cancelled_without_its_target(with_sql: Tend) -> None:
    with_sql.json("plan", "no-stock")
    with_sql.patch.delenv("TEND_SQL_URL")
    assert with_sql.json("cancel", "r-1", "--reason", "x")["state"] == "cancelled"


def test_a_policy_without_its_target_is_listed_as_one_that_does_not_fire(site: Tend) -> None:
    site.policy("no-stock", NO_STOCK + "schedule: {every: 1h}\n")
    listed = {each["name"]: each for each in site.json("policies")["policies"]}
    assert (listed["no-stock"]["state"], listed["no-stock"]["next_fire"]) == ("no_target", None)
    assert listed["sales-retention"]["state"] == "observing"
    assert listed["sales-retention"]["next_fire"] is not None


def test_a_host_for_looking_that_has_no_database_at_all_says_nothing_of_targets(
    site: Tend,
) -> None:
    for variable in ("TEND_MONGO_URL", "TEND_MONGO_READ_URL"):
        site.patch.delenv(variable)
    listed = site.json("policies")["policies"]
    assert {each["state"] for each in listed} == {"observing"}


def test_a_schedule_fires_only_where_its_target_is_set(site: Tend) -> None:
    assert _fires(site) == ("sales-retention",)
    site.setting("TEND_SQL_URL", "sqlite:////srv/shop.sqlite")
    assert _fires(site) == ("sales-retention", "no-stock")


def test_what_does_not_fire_is_said_once_with_the_setting(site: Tend) -> None:
    with capture_logs() as logs:
        _fires(site)
    (said,) = logs
    assert (said["log_level"], said["policy"]) == ("warning", "no-stock")
    assert said["why"].startswith("TEND_SQL_URL is not set: put the SQL database to tend")


def _fires(site: Tend) -> tuple[str, ...]:
    settings = Settings.load()
    loaded = Policies.load(settings.policy_directories)
    wanted: list[Policy] = [loaded.get(name).policy for name in ("sales-retention", "no-stock")]
    assert site.overlay in settings.policy_directories
    return tuple(policy.name for policy in served(settings, wanted))
