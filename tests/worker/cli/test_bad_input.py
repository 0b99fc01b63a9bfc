"""Whatever is wrong gets one sentence, the right exit code, and loses nothing."""

import os
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from jobs.base import Change, Record
from jobs.retention_purge import RetentionPurge
from policies.models import Policy
from tests.worker.cli.conftest import AMPLE, Ended, Tend, ago


def complains(ended: Ended, code: int, *words: str) -> None:
    """One sentence with these words on standard error, and nothing on standard output."""
    assert ended.code == code, ended.err
    sentence = ended.err.strip().splitlines()[-1]
    for word in words:
        assert word in sentence
    assert ended.out == ""
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("run sales-retention", "Missing option '--reason'; see `tend run --help`."),
        ("apply r-1 --inline", "Missing option '--reason'"),
        ("undo r-1", "--reason is empty"),
        ("cancel r-1", "Missing option '--reason'"),
        ("approve r-1", "Missing option '--reason'"),
        ("reject r-1", "Missing option '--reason'"),
        ("override r-1 --reason x", "Missing option '--guard'"),
        ("approve r-7 --reason x --inline", "There is no run r-7"),
        ("reject r-7 --reason x", "There is no run r-7"),
        ("override r-7 --guard max_records --reason x", "There is no run r-7"),
        ("resume r-1", "Missing option '--reason'"),
        ("enable text-dates", "Missing option '--reason'"),
        ("disable text-dates", "Missing option '--reason'"),
        ("plan", "Missing argument 'POLICY'"),
        ("plan text-dates --limit 0", "Invalid value for '--limit'"),
        ("plan text-dates --limit many", "Invalid value for '--limit'"),
        ("plan text-dates --where nonsense", "neither field=value nor a selector"),
        ("plan text-dates --where {older_then:1}", "--where is no selector"),
        ("plan text-date", "did you mean 'text-dates'?"),
        ("policies show text-date", "did you mean 'text-dates'?"),
        ("enable text-date --reason x", "did you mean 'text-dates'?"),
        ("runs --policy text-date", "did you mean 'text-dates'?"),
        ("runs --state done", "Invalid value for '--state'"),
        ("show r-7", "There is no run r-7; `tend runs` lists those there are."),
        ("show seven", "'seven' is no run id"),
        ("apply r-7 --reason x --inline", "There is no run r-7"),
        ("undo r-7 --reason x --inline", "There is no run r-7"),
        ("cancel r-7 --reason x", "There is no run r-7"),
        ("resume r-7 --reason x", "There is no run r-7"),
        ("run text-dates --reason bob@example.org", "--reason contains an e-mail address"),
        ("run text-dates --reason …", "--reason is empty"),
        ("enable text-dates --reason x --on-behalf-of b@example.org", "contains an e-mail address"),
        ("enable text-dates --reason x --on-behalf-of=", "--on-behalf-of is empty"),
        ("rnu", "Did you mean 'run'?"),
        ("plan text-dates --reasons x", "No such option: --reasons"),
        ("", "Missing command; see `tend --help`."),
        ("worker --processes 0", "Invalid value for '--processes'"),
    ],
)
def test_bad_usage_is_one_sentence_and_code_2(bare: Tend, words: str, says: str) -> None:
    complains(bare(*words.split()), 2, says)
    assert bare.json("runs")["runs"] == []


@pytest.mark.parametrize(
    "words", ["plan text-date", "plan text-dates --limit 0", "show r-7", "rnu", "audit verify --x"]
)
def test_for_a_program_an_error_is_a_document_with_the_same_sentence(
    bare: Tend, words: str
) -> None:
    ended = bare(*words.split(), "--json")
    assert ended.code == 2
    assert set(ended.json) == {"status", "error"}
    assert ended.json["status"] == "error"
    assert set(ended.json["error"]) == {"code", "message", "details"}
    assert ended.json["error"]["message"] == ended.err.strip()


@pytest.mark.parametrize(
    ("variable", "words"),
    [
        ("TEND_DATABASE_URL", "policies"),
        ("TEND_DATABASE_URL", "migrate"),
        ("TEND_DATABASE_URL", "scheduler"),
        ("TEND_DATABASE_URL", "worker"),
        ("TEND_MONGO_URL", "plan text-dates"),
        ("TEND_MONGO_URL", "run text-dates --reason x --inline"),
        ("TEND_MONGO_URL", "worker"),
        ("TEND_ARCHIVE_URL", "run text-dates --reason x --inline"),
        ("TEND_ARCHIVE_URL", "worker"),
        ("TEND_REDIS_URL", "run text-dates --reason x"),
        ("TEND_REDIS_URL", "scheduler"),
        ("TEND_REDIS_URL", "worker"),
    ],
)
def test_a_missing_setting_is_named_before_anything_starts(
    bare: Tend, variable: str, words: str
) -> None:
    value = os.environ[variable]
    bare.patch.delenv(variable)
    complains(bare(*words.split()), 2, f"{variable} is not set")
    bare.setting(variable, value)
    assert bare.json("runs")["runs"] == []


@pytest.mark.parametrize("words", ["plan text-dates", "run text-dates --reason x --inline"])
def test_an_archive_that_cannot_be_opened_is_named(bare: Tend, words: str) -> None:
    bare.setting("TEND_ARCHIVE_URL", "foo://bar")
    complains(bare(*words.split()), 2, "TEND_ARCHIVE_URL names a store that fsspec cannot open")
    assert bare.json("runs")["runs"] == []


def test_a_folder_that_cannot_be_made_is_one_sentence(bare: Tend, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    bare.setting("TEND_DATABASE_URL", f"sqlite:///{tmp_path}/file/control.sqlite")
    complains(bare("migrate"), 1, "cannot be made", "check TEND_DATABASE_URL")


def test_a_wrong_setting_is_named_and_its_value_is_not(bare: Tend) -> None:
    bare.setting("TEND_MONGO_URL", "mongodb://bob:hunter2@")
    ended = bare("runs")
    complains(ended, 2, "TEND_MONGO_URL")
    assert "hunter2" not in ended.err


@pytest.mark.parametrize(
    "words", ["policies", "plan text-dates", "scheduler", "run text-dates --reason x"]
)
def test_a_broken_policy_file_is_named_with_line_and_key(bare: Tend, words: str) -> None:
    bare.policy("text-dates", "guards:\n  max_recrods: 5\n")
    complains(bare(*words.split()), 2, "text-dates.yaml:3: guards.max_recrods: unknown key")


def test_a_broken_policy_file_does_not_keep_anybody_from_cancelling(tend: Tend) -> None:
    run = tend.json("plan", "text-dates")
    tend.policy("text-dates", "guards: 7\n")
    assert tend.json("cancel", run["id"], "--reason", "at 2 a.m.")["state"] == "cancelled"


@pytest.mark.parametrize("words", ["runs", "policies", "plan text-dates", "worker", "scheduler"])
def test_a_control_database_that_is_not_migrated_says_how_to(unmigrated: Tend, words: str) -> None:
    complains(unmigrated(*words.split()), 1, "run `tend migrate`")


@pytest.mark.parametrize("words", ["runs", "worker", "migrate"])
def test_a_control_database_newer_than_the_code_is_left_alone(bare: Tend, words: str) -> None:
    with sqlite3.connect(os.environ["TEND_DATABASE_URL"].removeprefix("sqlite:///")) as database:
        database.execute("update alembic_version set version_num = '9999'")
    database.close()
    complains(bare(words), 1, "9999", "a newer Tend migrated it")


def test_an_unreachable_control_database_is_one_sentence(bare: Tend) -> None:
    bare.setting("TEND_DATABASE_URL", "postgresql://tend:hunter2@127.0.0.1:1/tend")
    ended = bare("runs")
    complains(ended, 1, "does not answer; check TEND_DATABASE_URL")
    assert "hunter2" not in ended.err


def test_an_unreachable_target_fails_the_plan_and_says_so(
    tend: Tend, monkeypatch: pytest.MonkeyPatch
) -> None:
    for patience in ("LOOK_SECONDS", "POPULATION_SECONDS"):
        monkeypatch.setattr(f"worker.targets.mongo.{patience}", 1)
    for variable in ("TEND_MONGO_URL", "TEND_MONGO_READ_URL"):
        tend.setting(variable, "mongodb://127.0.0.1:1/shop")
    ended = tend("plan", "text-dates", "--json")
    assert ended.code == 1
    assert ended.json["error"]["code"] == "target_unreachable"
    assert ended.json["error"]["details"] == {"run": "r-1"}
    assert tend.json("show", "r-1")["state"] == "failed"


def test_a_wrong_password_is_refused_without_repeating_it(tend: Tend) -> None:
    for variable in ("TEND_MONGO_URL", "TEND_MONGO_READ_URL"):
        tend.setting(variable, re.sub(r"//(\w+):\w+@", r"//\1:hunter2@", os.environ[variable]))
    ended = tend("plan", "text-dates")
    complains(ended, 1, "refused the user or password")
    assert "hunter2" not in ended.err


def test_a_collection_that_does_not_exist_is_named(tend: Tend) -> None:
    complains(tend("plan", "oauth-state-cleanup"), 1, "oauthstates does not exist")


def test_a_missing_index_comes_with_the_command_that_creates_it(tend: Tend) -> None:
    tend.shop.oauthstates.insert_one({"timestamp": ago(1)})
    complains(tend("plan", "oauth-state-cleanup"), 1, "db.oauthstates.createIndex(")
    assert tend.json("plan", "oauth-state-cleanup", "--scan")["planned"] == 1


def test_a_guard_refuses_with_code_3_and_everything_is_printed(tend: Tend) -> None:
    tend.old_sales(30)
    tend.policy("sales-retention", "guards: {max_records: 29, max_percent: 100}\n")
    ended = tend("plan", "sales-retention")
    assert ended.code == 3
    assert "max_records allows 29 records and the plan has 30 records" in ended.err
    for part in ("30 of 30", "guard", "cutoff", "digest", "sample of 10"):
        assert part in ended.out
    assert "tend apply" not in ended.out
    machine = tend("plan", "sales-retention", "--json")
    assert (machine.code, machine.json["state"]) == (3, "refused")
    assert machine.json["plan"]["apply"] is None
    complains(tend("apply", "r-1", "--reason", "all the same", "--inline"), 3, "refused by a guard")
    refused = tend("run", "sales-retention", "--reason", "x", "--inline", "--json")
    assert (refused.code, refused.json["state"]) == (3, "refused")
    assert tend.shop.salesData.count_documents({}) == 30


def test_a_plan_is_applied_once(tend: Tend) -> None:
    tend.old_sales(3)
    plan = tend.json("plan", "sales-retention")
    tend.json("apply", plan["id"], "--reason", "x", "--inline")
    again = tend("apply", plan["id"], "--reason", "x", "--inline")
    complains(again, 1, "r-1 is succeeded and cannot be applied: `tend undo r-1` takes it back.")


def test_a_run_is_undone_once(tend: Tend) -> None:
    tend.old_sales(3)
    run = tend.json("run", "sales-retention", "--reason", "x", "--inline")
    tend.json("undo", run["id"], "--reason", "x", "--inline")
    again = tend("undo", run["id"], "--reason", "x", "--inline")
    complains(again, 1, "r-1 is undone and cannot be undone: it was taken back")
    assert tend.shop.salesData.count_documents({}) == 3


def test_a_plan_of_a_text_that_was_changed_is_not_applied(tend: Tend) -> None:
    tend.old_sales(3)
    plan = tend.json("plan", "sales-retention")
    tend.policy("sales-retention", AMPLE + "undo: 1d\n")
    ended = tend("apply", plan["id"], "--reason", "x", "--inline")
    complains(ended, 1, "Policy sales-retention was changed after r-1 was planned")
    assert tend.shop.salesData.count_documents({}) == 3


def test_a_second_plan_beside_a_run_at_work_is_not_left_waiting(tend: Tend) -> None:
    tend.json("run", "sales-retention", "--reason", "x")
    complains(tend("plan", "sales-retention"), 1, "r-1 of sales-retention is queued; wait for it")
    assert [run["state"] for run in tend.json("runs")["runs"]] == ["cancelled", "queued"]


def test_a_policy_that_needs_approval_waits_with_code_4(tend: Tend) -> None:
    tend.old_sales(3)
    tend.policy("sales-retention", AMPLE + "approval: required\n")
    ended = tend("run", "sales-retention", "--reason", "x", "--inline", "--json")
    assert (ended.code, ended.json["state"]) == (4, "awaiting_approval")
    assert "r-1 waits for approval by someone other than" in ended.err
    assert tend.shop.salesData.count_documents({}) == 3


def test_a_job_that_raises_fails_the_run_with_its_cause_and_can_be_resumed(
    tend: Tend, monkeypatch: pytest.MonkeyPatch
) -> None:
    tend.old_sales(60)
    original = RetentionPurge.change

    def breaks(self: RetentionPurge, policy: Policy, record: Record) -> Change:
        if record["_id"] == 38:
            raise ZeroDivisionError("a value such as bob@example.org must not be shown")
        return original(self, policy, record)

    plan = tend.json("plan", "sales-retention")
    monkeypatch.setattr(RetentionPurge, "change", breaks)
    ended = tend("apply", plan["id"], "--reason", "x", "--inline", "--json")
    assert (ended.code, ended.json["state"]) == (1, "failed")
    assert "ZeroDivisionError; `tend resume r-1` continues it." in ended.err
    assert "bob" not in ended.err + ended.out
    assert "Traceback" not in ended.err
    assert 0 < ended.json["changed"] < 60
    assert ended.json["skipped"]["not_reached"] == 60 - ended.json["changed"]
    monkeypatch.setattr(RetentionPurge, "change", original)
    resumed = tend.json("resume", plan["id"], "--reason", "mended", "--inline")
    assert (resumed["state"], resumed["changed"]) == ("succeeded", 60)


def test_an_error_nobody_thought_of_shows_no_values_and_no_trace(
    tend: Tend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: Any) -> None:
        raise RuntimeError("bob@example.org")

    monkeypatch.setattr("worker.present.run_as_json", breaks)
    tend.json("policies")
    monkeypatch.setattr("worker.runs.parse_id", breaks)
    ended = tend("show", "r-1", "--json")
    assert (ended.code, ended.json["error"]["code"]) == (1, "unexpected")
    assert "Something unexpected went wrong: RuntimeError" in ended.err
    assert "bob" not in ended.err + ended.out
    assert "Traceback" not in ended.err
    tend.setting("TEND_LOG", "json")
    assert "test_bad_input.py" in tend("show", "r-1").err
