"""Plan, apply, run, undo: what they do to the records, and what they say to a program."""

import os
import re
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import update

from jobs.base import Change
from jobs.retention_purge import RetentionPurge
from tests.worker.cli.conftest import AMPLE, Tend, ago
from worker.database import Database
from worker.errors import DeadlineExceeded, TargetUnreachable
from worker.tables import Run
from worker.targets.mongo import MongoTarget

KEYS = [
    *("id", "policy", "policy_version", "state", "waiting_for", "throttle", "reason", "actor"),
    *("actor_proof", "on_behalf_of", "environment", "revision", "trigger", "scheduled_for"),
    *("cutoff", "planned", "reported", "population", "changed", "cascade", "skipped", "failed"),
    *("held", "uncertain", "remaining", "restored", "cascade_restored", "conflicts", "digest"),
    *("created_at", "started_at", "finished_at", "approval", "refusal", "error"),
]


def adds_up(run: dict[str, Any]) -> bool:
    others: int = run["changed"] + run["failed"] + run["held"] + run["uncertain"]
    return bool(run["planned"] == others + sum(run["skipped"].values()))


def control() -> Database:
    return Database(os.environ["TEND_DATABASE_URL"])


def test_a_plan_is_applied_and_taken_back(tend: Tend) -> None:
    tend.old_sales(60)
    tend.shop.salesData.insert_one({"_id": "young", "createdAt": ago(1)})
    before = list(tend.shop.salesData.find().sort("_id"))
    plan = tend.json("plan", "sales-retention")
    assert (plan["state"], plan["planned"], plan["population"]) == ("planned", 60, 61)
    assert plan["skipped"] == {"changed_since": 0, "gone": 0, "not_reached": 60}
    assert list(tend.shop.salesData.find().sort("_id")) == before

    applied = tend.json("apply", plan["id"], "--reason", "they are old", "--inline")
    assert list(applied) == KEYS
    assert (applied["state"], applied["changed"]) == ("succeeded", 60)
    assert applied["digest"] == plan["digest"]
    assert [sale["_id"] for sale in tend.shop.salesData.find()] == ["young"]

    undone = tend.json("undo", plan["id"], "--reason", "they were not", "--inline")
    assert (undone["state"], undone["restored"], undone["conflicts"]) == ("undone", 60, 0)
    assert list(tend.shop.salesData.find().sort("_id")) == before
    assert adds_up(plan)
    assert adds_up(applied)
    assert adds_up(undone)


def test_a_plan_says_everything_a_person_should_read(tend: Tend) -> None:
    tend.old_sales(12)
    tend.shop.salesData.insert_one({"createdAt": ago(1)})
    lines = tend("plan", "sales-retention").out.splitlines()
    assert lines[0] == "[development] r-1 of sales-retention: planned"
    assert lines[-1] == 'tend apply r-1 --reason "…"'
    facts = dict(re.findall(r"^  (\w+(?: \w+)?)  +(.*?) *$", "\n".join(lines), re.MULTILINE))
    assert facts["records"] == "12 of 13 (92.3077 %)"
    oldest = f"{ago(3000):%Y-%m-%d}"
    assert facts["oldest"].startswith(oldest)
    assert facts["newest"].startswith(oldest)
    assert facts["duration"] == "no run of this policy yet"
    assert re.fullmatch(r"[\d,]+ bytes at most", facts["archive"])
    assert re.fullmatch(r"[0-9a-f]{64}", facts["digest"])
    cutoff = re.fullmatch(r"createdAt before ([\d-]+ [\d:.]+) UTC", facts["cutoff"])
    assert cutoff is not None
    age = datetime.now(UTC) - datetime.fromisoformat(cutoff[1]).replace(tzinfo=UTC)
    assert age.days == 2555
    assert sum("deleted" in line for line in lines) == 10


def test_a_population_that_takes_too_long_to_count_is_said_to_be_about_so_large(
    tend: Tend, monkeypatch: pytest.MonkeyPatch
) -> None:
    tend.old_sales(12)
    tend.shop.salesData.insert_many([{"createdAt": ago(1)} for _ in range(20)])

    def takes_too_long(*_: object) -> int:
        raise DeadlineExceeded("the count")

    monkeypatch.setattr(MongoTarget, "population", takes_too_long)
    assert re.search(r"records +12 of about 32 \(about 37.5 %", tend("plan", "sales-retention").out)
    assert not tend.json("plan", "sales-retention")["plan"]["population_is_exact"]


def test_a_plan_for_a_program_holds_the_same(tend: Tend) -> None:
    tend.shop.salesData.insert_many(
        [
            {"quantity": -3, "revenue": -2.5, "createdAt": ago(1)},
            {"quantity": 4, "revenue": -1.5, "createdAt": ago(2)},
            {"quantity": -4, "type": "return"},
            *({"quantity": 1} for _ in range(997)),
        ]
    )
    plan = tend.json("plan", "negative-sales-values")["plan"]
    assert plan["percent"] == 0.2
    assert plan["sums"]["quantity"] == {"before": "-3", "after": "0"}
    assert plan["sums"]["revenue"] == {"before": "-4.0", "after": "0"}
    (warning,) = plan["warnings"]
    assert warning["records"] == 1
    shown = sorted((one["before"]["quantity"], one["after"]["quantity"]) for one in plan["sample"])
    assert shown == [(-3, 0), (4, 4)]
    assert [guard["tripped"] for guard in plan["guards"]] == [False, False]
    assert plan["apply"] == 'tend apply r-1 --reason "…"'


def test_sessions_are_masked_in_a_sample(tend: Tend) -> None:
    session = "5f2c9a7700d1e8b3"
    tend.shop.sessions.insert_one({"_id": session, "isActive": True, "expiresAt": ago(1)})
    ended = tend("plan", "session-cleanup")
    assert ended.code == 0
    assert session[:4] in ended.out
    assert session not in ended.out


def test_where_and_limit_only_narrow(tend: Tend) -> None:
    tend.old_sales(30)
    assert tend.json("plan", "sales-retention", "--limit", "7")["planned"] == 7
    narrow = tend.json("plan", "sales-retention", "--where", "_id=3")
    assert narrow["planned"] == 1
    run = tend.json(
        "run", "sales-retention", "--reason", "x", "--inline", "--where", "quantity=1", "--limit=4"
    )
    assert (run["planned"], run["changed"]) == (4, 4)
    assert (run["remaining"]["total"], run["remaining"]["not_planned"]) == (26, 26)


def test_what_is_left_is_said_and_explained(tend: Tend) -> None:
    tend.shop.salesData.insert_many(
        [{"date": "2024-01-02"}, *({"_id": f"bad-{number}", "date": "soon"} for number in range(3))]
    )
    ended = tend("run", "text-dates", "--reason", "x", "--inline")
    assert ended.code == 0
    assert "r-1 of text-dates: succeeded, 3 left" in ended.out
    assert "3 failed: the job cannot change them" in ended.out
    shown = tend.json("show", "r-1")
    assert (shown["changed"], shown["failed"], shown["remaining"]["failed"]) == (1, 3, 3)
    assert [one["code"] for one in shown["failed_records"]] == ["not_a_date"] * 3
    assert all("•••" in one["key"] for one in shown["failed_records"])
    assert shown["chunks"]["apply"] == {"done": 1}
    assert tend("show", "1").out.count("not_a_date") == 3


def test_drift_since_the_plan_is_reported_and_left(tend: Tend) -> None:
    tend.shop.sessions.insert_many(
        [{"_id": number, "isActive": True, "expiresAt": ago(1)} for number in range(9)]
    )
    tend.json("plan", "session-cleanup")
    tend.shop.sessions.update_one({"_id": 3}, {"$set": {"expiresAt": ago(-7)}})
    tend.shop.sessions.delete_one({"_id": 4})
    ended = tend("apply", "r-1", "--reason", "x", "--inline")
    assert ended.code == 0
    assert re.search(r"changed since the plan +1\b", ended.out)
    assert re.search(r"gone since the plan +1\b", ended.out)
    assert [session["_id"] for session in tend.shop.sessions.find()] == [3]


def test_an_undo_lists_conflicts_and_says_how_the_schedule_goes_on(tend: Tend) -> None:
    tend.old_sales(12)
    tend.json("run", "sales-retention", "--reason", "x", "--inline")
    tend.shop.salesData.insert_one({"_id": 5, "mine": "new"})
    ended = tend("undo", "r-1", "--reason", "it was wrong", "--inline")
    assert ended.code == 0
    assert ended.out.splitlines()[-1] == 'tend enable sales-retention --reason "…"'
    assert re.search(r"^  5 +key_taken", ended.out, re.MULTILINE)
    assert tend.shop.salesData.find_one({"_id": 5}) == {"_id": 5, "mine": "new"}
    shown = tend.json("show", "r-1")
    assert (shown["restored"], shown["conflicts"]) == (11, 1)
    assert shown["conflict_records"] == [{"key": 5, "code": "key_taken"}]
    states = {each["name"]: each["state"] for each in tend.json("policies")["policies"]}
    assert states["sales-retention"] == "paused"
    assert tend.json("enable", "sales-retention", "--reason", "mended")["state"] == "enabled"


def test_for_a_program_an_undo_holds_conflicts_and_the_command(tend: Tend) -> None:
    tend.old_sales(2)
    tend.json("run", "sales-retention", "--reason", "x", "--inline")
    tend.shop.salesData.insert_one({"_id": 1})
    undone = tend.json("undo", "r-1", "--reason", "x", "--inline")
    assert list(undone) == [*KEYS, "conflict_records", "enable"]
    assert undone["conflict_records"] == [{"key": 1, "code": "key_taken"}]
    assert undone["enable"] == 'tend enable sales-retention --reason "…"'


def test_a_person_sees_the_first_conflicts_and_a_program_all(tend: Tend) -> None:
    tend.old_sales(30)
    tend.json("run", "sales-retention", "--reason", "x", "--inline")
    tend.shop.salesData.insert_many([{"_id": number} for number in range(30)])
    undone = tend.json("undo", "r-1", "--reason", "x", "--inline")
    assert (undone["restored"], undone["conflicts"]) == (0, 30)
    assert sorted(one["key"] for one in undone["conflict_records"]) == list(range(30))
    assert "in conflict, the first 20 of 30" in tend("show", "r-1").out
    assert len(tend.json("show", "r-1")["conflict_records"]) == 20


def test_who_asked_and_for_whom_is_on_record(tend: Tend) -> None:
    run = tend.json(
        "run", "text-dates", "--reason", "ticket 4711", "--inline", "--on-behalf-of", "finance"
    )
    assert (run["reason"], run["on_behalf_of"]) == ("ticket 4711", "finance")
    assert run["actor_proof"] == "claimed"
    assert "@" in run["actor"]


def test_the_environment_stands_in_front_of_what_people_read(tend: Tend) -> None:
    tend.setting("TEND_ENV", "staging")
    tend.setting("TEND_KEYS", "8Qm5eHAcJyUPZMPtEDHYRBMGE1MUhEvP7OGEyFB4Yv0=")
    for words in ("policies", "runs", "plan text-dates", "policies show text-dates", "show r-1"):
        assert tend(*words.split()).out.startswith("[staging] ")
    assert tend.json("show", "r-1")["environment"] == "staging"


def test_a_scheduled_plan_says_that_it_only_observes(tend: Tend) -> None:
    tend.old_sales(1234)
    tend.json("plan", "sales-retention")
    database = control()
    with database.transaction() as session:
        session.execute(update(Run).values(trigger="schedule"))
    database.close()
    assert "observing: would change 1,234" in tend("runs").out
    assert "observing: would change 1,234" in tend("show", "r-1").out
    assert tend.json("show", "r-1")["state"] == "planned"


def test_runs_are_listed_newest_first_and_can_be_chosen(tend: Tend) -> None:
    for policy in ("sales-retention", "text-dates", "sales-retention"):
        tend.json("plan", policy)
    tend.json("cancel", "r-1", "--reason", "not needed")

    def listed(*words: str) -> list[str]:
        return [run["id"] for run in tend.json("runs", *words)["runs"]]

    assert listed() == ["r-3", "r-2", "r-1"]
    assert listed("--limit", "1") == ["r-3"]
    assert listed("--policy", "sales-retention") == ["r-3", "r-1"]
    assert listed("--state", "cancelled") == ["r-1"]
    assert list(tend.json("runs")["runs"][0]) == KEYS


def test_a_cancelled_run_stays_as_it_is_and_is_mirrored(tend: Tend) -> None:
    tend.old_sales(3)
    tend.json("plan", "sales-retention")
    assert tend.json("cancel", "r-1", "--reason", "not now")["state"] == "cancelled"
    ended = tend("cancel", "r-1", "--reason", "again")
    assert (ended.code, ended.out) == (1, "")
    summary = tend.shop.auditlogs.find_one({"action": "data_retention_cleanup"})
    assert summary is not None
    assert summary["details"]["state"] == "cancelled"


def test_a_finished_inline_run_belongs_to_the_workers_again(tend: Tend) -> None:
    tend.json("plan", "text-dates")
    tend.json("run", "text-dates", "--reason", "x", "--inline")
    database = control()
    with database.transaction() as session:
        assert [run.inline for run in session.query(Run)] == [False, False]
    database.close()


def test_a_run_whose_verification_failed_can_be_resumed_at_once(
    tend: Tend, monkeypatch: pytest.MonkeyPatch
) -> None:
    tend.old_sales(3)

    def breaks(*_: object) -> int:
        raise ZeroDivisionError

    original = MongoTarget.count
    monkeypatch.setattr(MongoTarget, "count", breaks)
    ended = tend("run", "sales-retention", "--reason", "x", "--inline", "--json")
    assert (ended.code, ended.json["state"], ended.json["changed"]) == (1, "failed", 3)
    monkeypatch.setattr(MongoTarget, "count", original)
    began = time.monotonic()
    resumed = tend.json("resume", "r-1", "--reason", "again", "--inline")
    assert (resumed["state"], resumed["changed"]) == ("succeeded", 3)
    assert time.monotonic() - began < 30


def test_what_takes_too_long_to_count_is_not_said_to_be_nothing(
    tend: Tend, monkeypatch: pytest.MonkeyPatch
) -> None:
    tend.old_sales(3)

    def takes_too_long(*_: object) -> int:
        raise DeadlineExceeded("the count")

    monkeypatch.setattr(MongoTarget, "count", takes_too_long)
    ended = tend("run", "sales-retention", "--reason", "x", "--inline")
    assert ended.code == 0
    assert "succeeded, 0 or more left" in ended.out
    assert "counting the rest took too long" in ended.out


def test_a_summary_that_cannot_be_mirrored_fails_no_run(
    tend: Tend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(MongoTarget, "mirror", breaks)
    ended = tend("run", "text-dates", "--reason", "x", "--inline", "--json")
    assert (ended.code, ended.json["state"]) == (0, "succeeded")
    assert "The summary of r-1 is not in the application's log yet: ZeroDivisionError" in ended.err


def test_the_records_of_an_expired_archive_are_not_at_hand_and_show_goes_on(tend: Tend) -> None:
    tend.shop.salesData.insert_one({"date": "soon"})
    tend.policy("text-dates", AMPLE)
    tend.json("run", "text-dates", "--reason", "x", "--inline")
    tend.patch.delenv("TEND_ARCHIVE_URL")
    ended = tend("show", "r-1", "--json")
    assert (ended.code, ended.json["failed"], ended.json["failed_records"]) == (0, 1, None)
    assert "The records of r-1 cannot be listed: TEND_ARCHIVE_URL is not set" in ended.err


def test_a_run_is_cancelled_even_if_its_fences_cannot_be_closed_yet(
    tend: Tend, monkeypatch: pytest.MonkeyPatch
) -> None:
    tend.old_sales(3)

    def breaks(*_: object) -> Change:
        raise ZeroDivisionError

    def does_not_answer(*_: object) -> None:
        raise TargetUnreachable("MongoDB does not answer.")

    tend.json("plan", "sales-retention")
    monkeypatch.setattr(RetentionPurge, "change", breaks)
    assert tend("apply", "r-1", "--reason", "x", "--inline").code == 1
    monkeypatch.setattr(MongoTarget, "close_fence", does_not_answer)
    ended = tend("cancel", "r-1", "--reason", "enough", "--json")
    assert (ended.code, ended.json["state"]) == (0, "cancelled")
    assert "its fences are not closed yet: MongoDB does not answer." in ended.err
