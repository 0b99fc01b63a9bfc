"""`tend policies diff`: the text's change, its effect, and who said yes to what was before."""

import pytest

from tests.worker.cli.conftest import AMPLE, Tend, ago
from worker import comparing
from worker.overdue import Overdue


def aged(tend: Tend) -> None:
    """Three sales that the shipped text finds, and seven younger ones."""
    tend.shop.salesData.insert_many(
        [{"createdAt": ago(3000)} for _ in range(3)] + [{"createdAt": ago(400)} for _ in range(7)]
    )


def shortened(tend: Tend) -> None:
    tend.policy(
        "sales-retention",
        AMPLE + "options: {select: {older_than: {field: createdAt, age: 365d}}}\n",
    )


def test_the_enabled_text_is_compared_with_the_one_of_now(tend: Tend) -> None:
    aged(tend)
    tend.setting("TEND_REVISION", "4f2c9d1")
    tend.json("enable", "sales-retention", "--reason", "reviewed in CASE-3")
    tend.setting("TEND_REVISION", "77aa001")
    shortened(tend)
    found = tend.json("policies", "diff", "sales-retention")
    changes = {one["key"]: (one["before"], one["after"]) for one in found["changes"]}
    assert changes["options.select.older_than.age"] == ("2555d", "365d")
    assert "guards.max_records" not in changes
    assert (found["effect"]["before"]["count"], found["effect"]["after"]["count"]) == (3, 10)
    against = found["against"]
    assert (against["how"], against["reason"]) == ("enabled", "reviewed in CASE-3")
    assert (against["revision"], found["revision"]) == ("4f2c9d1", "77aa001")
    assert "@" in against["actor"]
    said = tend("policies", "diff", "sales-retention").out
    assert "3 → 10 records" in said
    assert "4f2c9d1 → 77aa001" in said
    assert tend.shop.salesData.count_documents({}) == 10


def test_what_was_enabled_last_is_compared_after_it_was_disabled_too(tend: Tend) -> None:
    tend.json("enable", "sales-retention", "--reason", "x")
    tend.json("disable", "sales-retention", "--reason", "not yet")
    shortened(tend)
    found = tend.json("policies", "diff", "sales-retention")
    assert found["against"]["how"] == "enabled"
    assert "options.select.older_than.age" in {one["key"] for one in found["changes"]}


def test_one_that_was_never_enabled_is_compared_with_its_last_run(tend: Tend) -> None:
    aged(tend)
    tend.setting("TEND_REVISION", "4f2c9d1")
    assert tend.json("plan", "sales-retention")["revision"] == "4f2c9d1"
    shortened(tend)
    against = tend.json("policies", "diff", "sales-retention")["against"]
    assert (against["how"], against["run"], against["revision"]) == ("run", "r-1", "4f2c9d1")


def test_one_that_nobody_has_seen_yet_has_an_effect_alone(tend: Tend) -> None:
    aged(tend)
    found = tend.json("policies", "diff", "sales-retention")
    assert (found["against"], found["changes"]) == (None, [])
    assert found["effect"]["before"] is None
    assert "finds 3 records now" in tend("policies", "diff", "sales-retention").out


def test_the_same_text_has_no_changes(tend: Tend) -> None:
    tend.json("enable", "sales-retention", "--reason", "x")
    found = tend.json("policies", "diff", "sales-retention")
    assert found["changes"] == []
    assert "0 changed values" in tend("policies", "diff", "sales-retention").out


def test_a_count_that_was_cut_off_is_at_least_so_much(
    tend: Tend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(*_: object) -> Overdue:
        return Overdue(1204, at_least=True, oldest=None)

    monkeypatch.setattr(comparing, "overdue", cut_off)
    assert "finds at least 1,204 records now" in tend("policies", "diff", "sales-retention").out


def test_without_an_index_the_effect_is_not_known_and_why_is_said(tend: Tend) -> None:
    tend.old_sales(3)
    tend.shop.salesData.drop_indexes()
    said = tend("policies", "diff", "sales-retention")
    assert said.code == 0
    assert "finds not known records" in said.out
    assert "has no index for this selector" in said.err


def test_a_policy_that_does_not_exist_is_bad_usage(tend: Tend) -> None:
    assert tend("policies", "diff", "sales-retentoin").code == 2
