"""`tend undo --plan` and `--only`: what a person is told before and after."""

import re

from sqlalchemy import update

from tests.worker.cli.conftest import Tend
from tests.worker.cli.test_changes import control
from worker.tables import Run


def purged(tend: Tend, count: int = 30) -> None:
    tend.old_sales(count)
    tend.json("run", "sales-retention", "--reason", "x", "--inline")


def test_a_plan_says_what_an_undo_then_does_and_changes_nothing(tend: Tend) -> None:
    purged(tend)
    tend.shop.salesData.insert_one({"_id": 5, "mine": "new"})
    plan = tend.json("undo", "r-1", "--plan")
    assert (plan["restores"], plan["conflicts"], plan["expired"]) == (29, 1, 0)
    assert plan["codes"] == {"key_taken": 1}
    assert plan["conflict_records"] == [{"key": 5, "code": "key_taken"}]
    assert [sale["_id"] for sale in tend.shop.salesData.find()] == [5]
    assert tend.json("show", "r-1")["state"] == "succeeded"
    undone = tend.json("undo", "r-1", "--reason", "x", "--inline")
    assert (undone["restored"], undone["conflicts"]) == (29, 1)


def test_for_a_person_a_plan_is_a_few_lines(tend: Tend) -> None:
    purged(tend)
    tend.shop.salesData.insert_one({"_id": 5, "mine": "new"})
    said = tend("undo", "r-1", "--plan")
    assert said.code == 0
    facts = dict(re.findall(r"^  (\w[\w ,]*?)  +(.*?) *$", said.out, re.MULTILINE))
    assert said.out.startswith("[development] r-1 of sales-retention: what an undo would do")
    assert (facts["would return"], facts["in conflict, would stay"]) == ("29", "1")
    assert "expired, cannot return" not in facts


def test_one_record_is_taken_back_and_then_the_rest(tend: Tend) -> None:
    purged(tend)
    assert tend.json("undo", "r-1", "--plan", "--only", "7")["restores"] == 1
    one = tend.json("undo", "r-1", "--only", "7", "--only", "8", "--reason", "x", "--inline")
    assert (one["state"], one["restored"], one["conflicts"]) == ("succeeded", 2, 0)
    again = tend("undo", "r-1", "--only", "7", "--reason", "x", "--inline")
    assert (again.code, again.err.strip()) == (
        1,
        "The record 7 of r-1 is back already; nothing was done.",
    )
    plan = tend.json("undo", "r-1", "--plan")
    assert (plan["restores"], plan["back_already"]) == (28, 2)
    whole = tend.json("undo", "r-1", "--reason", "x", "--inline")
    assert (whole["state"], whole["restored"]) == ("undone", 30)
    assert tend("audit", "verify").code == 0


def test_a_key_that_the_run_never_had_is_bad_usage(tend: Tend) -> None:
    purged(tend, 3)
    ended = tend("undo", "r-1", "--only", "99", "--reason", "x", "--inline", "--json")
    assert (ended.code, ended.json["error"]["code"]) == (2, "record_unknown")
    assert tend.shop.salesData.count_documents({}) == 0


def test_an_undo_needs_a_reason_and_its_plan_none(tend: Tend) -> None:
    purged(tend, 3)
    ended = tend("undo", "r-1", "--inline")
    assert ended.code == 2
    assert "--reason is empty" in ended.err
    assert tend("undo", "r-1", "--plan").code == 0


def test_a_plan_of_what_has_expired_says_so(tend: Tend) -> None:
    purged(tend, 3)
    database = control()
    with database.transaction() as session:
        session.execute(update(Run).values(key=None, sample=None))
    database.close()
    plan = tend.json("undo", "r-1", "--plan")
    assert (plan["restores"], plan["expired"], plan["until"]) == (0, 3, None)
    assert re.search(r"expired, cannot return +3$", tend("undo", "r-1", "--plan").out.strip())
    assert tend("undo", "r-1", "--reason", "x", "--inline").code == 1


def test_a_plan_of_a_run_that_cannot_be_undone_says_what_to_do_instead(tend: Tend) -> None:
    tend.json("plan", "sales-retention")
    ended = tend("undo", "r-1", "--plan")
    assert ended.code == 1
    assert "r-1 is planned and cannot be undone: read its plan" in ended.err
