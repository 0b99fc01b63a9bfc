"""Which policies there are, what they say, and whether their schedules may change data."""

import os
from datetime import UTC, datetime

from tests.worker.cli.conftest import AMPLE, SHIPPED, Tend


def state_of(tend: Tend, name: str) -> str:
    states = {each["name"]: each["state"] for each in tend.json("policies")["policies"]}
    return str(states[name])


def test_every_policy_is_listed_with_its_next_fire_and_last_run(tend: Tend) -> None:
    tend.json("plan", "text-dates")
    listed = {each["name"]: each for each in tend.json("policies")["policies"]}
    assert set(listed) == {path.stem for path in SHIPPED.glob("*.yaml")}
    assert listed["text-dates"]["last_run"]["id"] == "r-1"
    assert listed["sales-retention"]["last_run"] is None
    assert listed["sales-retention"]["schedule"] == "20 3 * * * UTC"
    assert listed["oauth-state-cleanup"]["schedule"] == "every 15m"
    lines = tend("policies").out.splitlines()
    assert lines[0] == f"[development] {len(listed)} policies"
    assert any("text-dates" in line and "r-1 planned" in line for line in lines)


def test_a_policy_without_a_schedule_is_run_by_hand_only(tend: Tend) -> None:
    tend.policy("text-dates", AMPLE + "schedule:\n")
    shown = tend.json("policies", "show", "text-dates")
    assert (shown["schedule"], shown["next_fire"]) == (None, None)
    assert "by hand only" in tend("policies").out


def test_the_effective_policy_names_the_origin_of_each_value(tend: Tend) -> None:
    shown = tend.json("policies", "show", "sales-retention")
    assert shown["policy"]["guards"]["max_records"] == 100_000
    assert shown["origins"]["guards.max_records"].endswith("overlay/sales-retention.yaml:2")
    shipped = (SHIPPED / "sales-retention.yaml").read_text().splitlines()
    (line,) = [number for number, text in enumerate(shipped, 1) if text.startswith("undo:")]
    assert shown["origins"]["undo"] == f"{SHIPPED}/sales-retention.yaml:{line}"
    assert shown["origins"]["catchup"] == "default"
    out = tend("policies", "show", "sales-retention").out
    assert shown["version"] in out
    for key, origin in shown["origins"].items():
        assert any(
            line.startswith(f"{key} ") and line.rstrip().endswith(origin)
            for line in out.splitlines()
        ), key


def test_the_next_fire_is_that_of_the_schedule(tend: Tend) -> None:
    tend.policy("text-dates", AMPLE + "schedule: {cron: '0 0 29 feb *', timezone: Asia/Tokyo}\n")
    shown = tend.json("policies", "show", "text-dates")["next_fire"]
    moment = datetime.fromisoformat(shown)
    assert (moment.month, moment.day, moment.hour) == (2, 28, 15)
    assert moment > datetime.now(UTC)


def test_a_policy_is_shown_without_a_control_database(tend: Tend) -> None:
    known = tend.json("policies", "show", "text-dates")
    tend.patch.delenv("TEND_DATABASE_URL")
    ended = tend("policies", "show", "text-dates", "--json")
    assert ended.code == 0
    assert ended.json == {**known, "state": None}
    assert "Whether text-dates is enabled is not known: TEND_DATABASE_URL is not set" in ended.err
    tend.setting("TEND_DATABASE_URL", "postgresql://127.0.0.1:1/tend")
    assert tend("policies", "show", "text-dates").code == 0


def test_a_policy_observes_until_it_is_enabled_and_after_it_is_disabled(tend: Tend) -> None:
    assert state_of(tend, "text-dates") == "observing"
    assert tend.json("enable", "text-dates", "--reason", "reviewed")["state"] == "enabled"
    assert state_of(tend, "text-dates") == "enabled"
    assert tend.json("disable", "text-dates", "--reason", "holidays")["state"] == "observing"
    assert state_of(tend, "text-dates") == "observing"


def test_an_enabled_policy_observes_again_once_its_text_changes(tend: Tend) -> None:
    tend.json("enable", "text-dates", "--reason", "reviewed")
    tend.policy("text-dates", AMPLE + "undo: 8d\n")
    assert state_of(tend, "text-dates") == "observing"


def test_policies_need_no_server_but_the_control_database(tend: Tend) -> None:
    for variable in ("TEND_MONGO_URL", "TEND_MONGO_READ_URL", "TEND_REDIS_URL", "TEND_ARCHIVE_URL"):
        assert os.environ[variable]
        tend.patch.delenv(variable)
    assert tend("policies").code == 0
    assert tend("policies", "show", "text-dates").code == 0
    enabled = tend("enable", "text-dates", "--reason", "reviewed")
    assert enabled.out.startswith("[development] text-dates: enabled\n")


def test_a_paused_schedule_has_no_next_fire(tend: Tend) -> None:
    tend.old_sales(2)
    tend.json("run", "sales-retention", "--reason", "x", "--inline")
    tend.json("undo", "r-1", "--reason", "x", "--inline")
    shown = tend.json("policies", "show", "sales-retention")
    assert (shown["state"], shown["next_fire"]) == ("paused", None)
    resumed = tend.json("enable", "sales-retention", "--reason", "x")
    assert resumed["state"] == "enabled"
    assert datetime.fromisoformat(resumed["next_fire"]) > datetime.now(UTC)
